"""What CloudFormation reports about the stack of a fleet."""

from __future__ import annotations

from typing import Any

import pytest
from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError

from adapter_fleet.aws.stacks import Stacks
from adapter_fleet.fleet.requests.handler import StackState


class CloudFormation:
    def __init__(self, status: str | None) -> None:
        self._status = status

    def describe_stacks(self, **_: str) -> dict[str, Any]:
        if self._status is None:
            raise ClientError({"Error": {"Code": "Throttling"}}, "DescribeStacks")
        return {"Stacks": [{"StackStatus": self._status, "Tags": [{"Key": "team", "Value": "nlp"}]}]}


@pytest.mark.parametrize(
    ("status", "rolling_back"),
    [
        ("UPDATE_IN_PROGRESS", False),
        ("UPDATE_ROLLBACK_IN_PROGRESS", True),
        ("ROLLBACK_IN_PROGRESS", True),
    ],
)
def test_status_tells_whether_a_stack_rolls_back(status: str, rolling_back: bool) -> None:
    stacks = Stacks(CloudFormation(status), Logger(service="test"))  # type: ignore[arg-type]
    assert stacks.describe("Llm") == StackState(rolling_back=rolling_back, tags={"team": "nlp"})


def test_state_is_unknown_where_cloudformation_does_not_answer() -> None:
    stacks = Stacks(CloudFormation(None), Logger(service="test"))  # type: ignore[arg-type]
    assert stacks.describe("Llm") is None
