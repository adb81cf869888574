"""What CloudFormation tells of a stack, executions of the state machine, and manifests in S3."""

import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter_fleet.aws.s3_objects import S3Manifests
from adapter_fleet.aws.stacks import Stacks
from adapter_fleet.aws.state_machine import StateMachine, execution_name
from adapter_fleet.fleet.requests.handler import StackState
from tests.fakes import FakeClient, client_error


def refuses(code: str) -> Callable[..., Any]:
    """Return a call that is refused."""

    def call(**_: Any) -> Any:
        raise client_error(code)

    return call


def stacks(describe: Callable[..., Any]) -> Stacks:
    client: Any = FakeClient(describe_stacks=describe)
    return Stacks(client, Logger(service="test"))


@pytest.mark.parametrize(
    ("status", "rolling_back"),
    [
        ("UPDATE_IN_PROGRESS", False),
        ("UPDATE_ROLLBACK_IN_PROGRESS", True),
    ],
)
def test_status_tells_whether_a_stack_rolls_back(status: str, rolling_back: bool) -> None:
    stack = {"StackStatus": status, "Tags": [{"Key": "team", "Value": "nlp"}]}
    found = stacks(lambda **_: {"Stacks": [stack]}).describe("Llm")
    assert found == StackState(rolling_back=rolling_back, tags={"team": "nlp"})


def test_state_is_unknown_where_cloudformation_does_not_answer() -> None:
    assert stacks(refuses("Throttling")).describe("Llm") is None


@settings(max_examples=50)
@given(key=st.text(max_size=120))
def test_name_of_an_execution_is_one_that_step_functions_takes(key: str) -> None:
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,80}", execution_name(key))


def test_names_of_long_keys_that_begin_alike_are_different() -> None:
    assert execution_name("a" * 100 + "1") != execution_name("a" * 100 + "2")
    assert execution_name("object-v/1") != execution_name("object-v.1")


def test_error_other_than_that_the_name_is_taken_is_raised() -> None:
    client: Any = FakeClient(start_execution=refuses("ThrottlingException"))
    with pytest.raises(ClientError, match="ThrottlingException"):
        StateMachine(client, "machine").start("object", "1")


def manifests(call: Callable[..., Any]) -> S3Manifests:
    """Return the manifests of a client of S3 that knows one object, or has an error for every call."""
    client: Any = FakeClient(get_object=call, head_object=call)
    return S3Manifests(client)


@pytest.mark.parametrize(
    ("answer", "version"), [({"VersionId": "v1"}, "v1"), ({"VersionId": "null"}, "e1"), ({}, "e1")]
)
def test_version_is_the_entity_tag_in_a_bucket_without_versioning(
    answer: dict[str, str], version: str
) -> None:
    def call(**_: str) -> dict[str, Any]:
        return {"ETag": '"e1"', "Body": io.BytesIO(b"adapters: []"), **answer}

    assert manifests(call).read("bucket", "live.yaml") == (b"adapters: []", version)
    assert manifests(call).version("bucket", "live.yaml") == version


@pytest.mark.parametrize("code", ["NoSuchKey", "404"])
def test_object_that_does_not_exist_is_none(code: str) -> None:
    assert manifests(refuses(code)).read("bucket", "live.yaml") is None
    assert manifests(refuses(code)).version("bucket", "live.yaml") is None


def test_other_errors_are_raised() -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        manifests(refuses("AccessDenied")).read("bucket", "live.yaml")
