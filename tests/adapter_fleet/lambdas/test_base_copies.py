from typing import Any
from unittest.mock import Mock

import boto3
import pytest
from botocore.stub import Stubber

from adapter_fleet.lambdas import base_copies
from tests.adapter_fleet.fake_service import FakeClock


@pytest.fixture(scope="module")
def client() -> Any:
    """The client of all tests, as making it takes most of the time."""
    return boto3.client(
        "sagemaker", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )


@pytest.fixture
def sagemaker(client: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(base_copies, "_sagemaker", lambda: client)
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock()
    monkeypatch.setattr(base_copies, "Clock", lambda: clock)
    return clock


def context() -> Mock:
    return Mock(get_remaining_time_in_millis=lambda: 60_000)


def event(kind: str, **more: object) -> dict[str, Any]:
    # Properties arrive as texts.
    return {
        "RequestType": kind,
        "ResourceProperties": {"ComponentName": "acme-base", "StartCopies": "2"},
        **more,
    }


def described(copies: int | None, status: str = "InService") -> dict[str, Any]:
    runtime = {} if copies is None else {"DesiredCopyCount": copies, "CurrentCopyCount": 0}
    return {
        "InferenceComponentName": "acme-base",
        "InferenceComponentArn": "arn:aws:sagemaker:us-east-1:111122223333:inference-component/acme-base",
        "EndpointName": "acme",
        "EndpointArn": "arn:aws:sagemaker:us-east-1:111122223333:endpoint/acme",
        "InferenceComponentStatus": status,
        "CreationTime": 0,
        "LastModifiedTime": 0,
        **({"RuntimeConfig": runtime} if runtime else {}),
    }


def test_new_component_starts_with_the_copies_of_the_template(sagemaker: Stubber) -> None:
    sagemaker.add_client_error(
        "describe_inference_component",
        "ValidationException",
        'Could not find inference component "arn:aws:sagemaker:us-east-1:111122223333:inference-component/x"',
    )
    assert base_copies.on_event(event("Create"), context()) == {
        "PhysicalResourceId": "acme-base",
        "Data": {"CopyCount": 2},
    }


@pytest.mark.parametrize(("running", "kept"), [(1, 1), (3, 3), (0, 1), (None, 2)])
def test_component_keeps_the_copies_that_run_and_has_at_least_one(
    sagemaker: Stubber, running: int | None, kept: int
) -> None:
    sagemaker.add_response(
        "describe_inference_component", described(running), {"InferenceComponentName": "acme-base"}
    )
    answer = base_copies.on_event(event("Update", PhysicalResourceId="before"), context())
    assert answer == {"PhysicalResourceId": "before", "Data": {"CopyCount": kept}}


def test_scaling_that_does_not_end_leaves_time_for_the_answer(sagemaker: Stubber, clock: FakeClock) -> None:
    for _ in range(7):
        sagemaker.add_response("describe_inference_component", described(2, "Updating"))
    started = clock.now()
    answer = base_copies.on_event(event("Update", PhysicalResourceId="before"), context())
    assert answer["Data"] == {"CopyCount": 2}
    assert clock.now() - started == 30


def test_number_that_cannot_be_read_fails_the_deployment(sagemaker: Stubber) -> None:
    sagemaker.add_client_error("describe_inference_component", "AccessDeniedException", "not allowed")
    with pytest.raises(Exception, match="AccessDeniedException"):
        base_copies.on_event(event("Update", PhysicalResourceId="before"), context())


def test_deletion_asks_nobody() -> None:
    assert base_copies.on_event(event("Delete", PhysicalResourceId="before"), context()) == {
        "PhysicalResourceId": "before"
    }
