"""What a fleet hangs on beside its custom resource, deployed by the CDK's unmodified command line."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from examples.demo.cdk import Cdk
from local_sagemaker.server import LocalCloud

APP = Path(__file__).parent / "apps" / "events.py"
BUCKET = "bucket-of-another-stack"

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def outputs(
    cloud: LocalCloud, client: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    client("s3").create_bucket(Bucket=BUCKET)
    client("s3").put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    folder = tmp_path_factory.mktemp("events")
    cdk = Cdk(
        options=("--app", f"{sys.executable} {APP}"),
        out=folder / "cdk.out",
        home=folder / "home",
        variables={**cloud.environment, "BUCKET": BUCKET},
    )
    cdk.bootstrap("000000000000", "us-east-1")
    cdk.deploy()
    return cdk.outputs()


def test_object_of_an_imported_bucket_starts_a_state_machine(
    outputs: dict[str, str], client: Callable[..., Any]
) -> None:
    s3, machines = client("s3"), client("stepfunctions")
    s3.put_object(Bucket=BUCKET, Key="another.yaml", Body=b"{}")
    version = s3.put_object(Bucket=BUCKET, Key="adapters.yaml", Body=b"{}")["VersionId"]
    executions: list[Any] = []
    deadline = time.monotonic() + 30
    while not executions and time.monotonic() < deadline:
        time.sleep(0.05)
        executions = machines.list_executions(stateMachineArn=outputs["MachineArn"])["executions"]
    (execution,) = executions
    event = json.loads(machines.describe_execution(executionArn=execution["executionArn"])["input"])
    assert event["detail"]["object"]["key"] == "adapters.yaml"
    assert event["detail"]["object"]["version-id"] == version
