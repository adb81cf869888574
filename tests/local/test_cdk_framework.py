"""What the CDK brings along, deployed by its unmodified command line: Node.js handlers, a state machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from examples.demo.cdk import Cdk, CdkError
from local_sagemaker.server import LocalCloud
from tests.local.stacks import Stack

APP = Path(__file__).parent / "apps" / "framework.py"

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def cdk(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Cdk:
    folder = tmp_path_factory.mktemp("framework")
    cdk = Cdk(
        options=("--app", f"{sys.executable} {APP}"),
        out=folder / "cdk.out",
        home=folder / "home",
        variables=cloud.environment,
    )
    cdk.bootstrap("000000000000", "us-east-1")
    cdk.deploy()
    return cdk


def test_custom_resource_is_asked_until_it_is_complete(cdk: Cdk) -> None:
    assert cdk.outputs()["Looks"] == "['Create', 'Create']"


def test_error_of_the_handler_is_the_reason_of_the_failed_deployment(
    cdk: Cdk, client: Callable[..., Any]
) -> None:
    impossible = replace(cdk, variables={**cdk.variables, "WISH": "impossible"})
    with pytest.raises(CdkError):
        impossible.deploy()
    (reason,) = Stack(client("cloudformation"), "Framework").reasons("UPDATE_FAILED")
    assert "the wish is impossible" in reason


def test_bucket_is_emptied_and_deleted_with_its_stack(cdk: Cdk, client: Callable[..., Any]) -> None:
    bucket, s3 = cdk.outputs()["BucketName"], client("s3")
    s3.put_object(Bucket=bucket, Key="left/over", Body=b"x")
    cdk.destroy()
    with pytest.raises(ClientError, match="404"):
        s3.head_bucket(Bucket=bucket)
