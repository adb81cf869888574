"""With IAM enforcement on: the roles made by the constructs suffice, and grants reach as far as they say."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from examples.demo.cdk import Cdk
from local_sagemaker.server import LocalCloud
from tests.integration.by_hand import ByHand, client, prompts

pytestmark = pytest.mark.integration

APP = Path(__file__).parent / "apps" / "grants.py"


@pytest.fixture(scope="module")
def outputs(guarded: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The outputs of the deployed app, whose caller may invoke the adapter `triage`."""
    folder = tmp_path_factory.mktemp("grants")
    cdk = Cdk(
        options=("--app", f"{sys.executable} {APP}"),
        out=folder / "cdk.out",
        home=folder / "home",
        variables={**guarded.environment, "GRANTED": "triage"},
    )
    account = client(guarded, "sts").get_caller_identity()["Account"]
    cdk.bootstrap(account, guarded.environment["AWS_DEFAULT_REGION"])
    cdk.deploy()
    yield cdk.outputs()
    cdk.destroy()


def invoke(cloud: LocalCloud, outputs: dict[str, Any], target: str) -> str:
    """Ask one component as the caller, for a stream and for a whole answer."""
    sts = client(cloud, "sts")
    keys = sts.assume_role(RoleArn=outputs["CallerArn"], RoleSessionName="test")["Credentials"]
    runtime = client(
        cloud,
        "sagemaker-runtime",
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )
    request = {
        "EndpointName": outputs["EndpointName"],
        "InferenceComponentName": outputs[target],
        "ContentType": "application/json",
        "Body": json.dumps({"inputs": prompts()[0]["prompt"], "parameters": {"max_new_tokens": 60}}),
    }
    response = runtime.invoke_endpoint(**request)
    assert list(runtime.invoke_endpoint_with_response_stream(**request)["Body"])
    return str(json.loads(response["Body"].read())["generated_text"])


def test_caller_may_invoke_the_adapter_it_was_granted(guarded: LocalCloud, outputs: dict[str, Any]) -> None:
    assert invoke(guarded, outputs, "triage") == prompts()[0]["answers"]["triage"]


@pytest.mark.parametrize("target", ["shout", "base"])
def test_caller_is_denied_what_it_was_not_granted(
    guarded: LocalCloud, outputs: dict[str, Any], target: str
) -> None:
    with pytest.raises(ClientError, match=f"AccessDenied.*{outputs[target].lower()}"):
        invoke(guarded, outputs, target)


def test_execution_role_without_access_to_the_model_makes_the_base_fail_with_that_reason(
    guarded: LocalCloud,
) -> None:
    with pytest.raises(AssertionError, match="AccessDenied"), ByHand(guarded):
        pass  # its role has no policy at all
