from typing import Any
from unittest.mock import Mock

import boto3
import pytest
from botocore.stub import Stubber

from adapter_fleet.lambdas import base_copies


@pytest.fixture
def sagemaker(monkeypatch: pytest.MonkeyPatch) -> Any:
    client = boto3.client(
        "sagemaker", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    monkeypatch.setattr(base_copies, "_sagemaker", lambda: client)
    with Stubber(client) as stubber:
        yield stubber


def event(kind: str, **more: object) -> dict[str, Any]:
    # Properties arrive as texts.
    return {
        "RequestType": kind,
        "ResourceProperties": {"ComponentName": "acme-base", "StartCopies": "2"},
        **more,
    }


def described(copies: int) -> dict[str, Any]:
    return {
        "InferenceComponentName": "acme-base",
        "InferenceComponentArn": "arn:aws:sagemaker:us-east-1:111122223333:inference-component/acme-base",
        "EndpointName": "acme",
        "EndpointArn": "arn:aws:sagemaker:us-east-1:111122223333:endpoint/acme",
        "CreationTime": 0,
        "LastModifiedTime": 0,
        "RuntimeConfig": {"DesiredCopyCount": copies, "CurrentCopyCount": 0},
    }


def test_new_component_starts_with_the_copies_of_the_template(sagemaker: Stubber) -> None:
    sagemaker.add_client_error(
        "describe_inference_component",
        "ValidationException",
        'Could not find inference component "arn:aws:sagemaker:us-east-1:111122223333:inference-component/x"',
    )
    assert base_copies.on_event(event("Create"), Mock()) == {
        "PhysicalResourceId": "acme-base",
        "Data": {"CopyCount": 2},
    }


@pytest.mark.parametrize(("running", "kept"), [(1, 1), (3, 3), (0, 1)])
def test_component_keeps_the_copies_that_run_and_has_at_least_one(
    sagemaker: Stubber, running: int, kept: int
) -> None:
    sagemaker.add_response(
        "describe_inference_component", described(running), {"InferenceComponentName": "acme-base"}
    )
    answer = base_copies.on_event(event("Update", PhysicalResourceId="before"), Mock())
    assert answer == {"PhysicalResourceId": "before", "Data": {"CopyCount": kept}}


def test_component_that_exists_before_its_scaling_keeps_its_copies(sagemaker: Stubber) -> None:
    sagemaker.add_response("describe_inference_component", described(4))
    assert base_copies.on_event(event("Create"), Mock())["Data"] == {"CopyCount": 4}


def test_number_that_cannot_be_read_fails_the_deployment(sagemaker: Stubber) -> None:
    sagemaker.add_client_error("describe_inference_component", "AccessDeniedException", "not allowed")
    with pytest.raises(Exception, match="AccessDeniedException"):
        base_copies.on_event(event("Update", PhysicalResourceId="before"), Mock())


def test_deletion_asks_nobody() -> None:
    assert base_copies.on_event(event("Delete", PhysicalResourceId="before"), Mock()) == {
        "PhysicalResourceId": "before"
    }
