from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.stacks import Stack


def conditional(*, output: str = "same", on: bool = True) -> tuple[dict[str, Any], dict[str, str]]:
    """A template with a queue on a condition, and the parameters that turn it on or off."""
    template = {
        "Parameters": {"On": {"Type": "String"}},
        "Conditions": {"IsOn": {"Fn::Equals": [{"Ref": "On"}, "yes"]}},
        "Resources": {
            "Always": {"Type": "AWS::SQS::Queue"},
            "Sometimes": {"Type": "AWS::SQS::Queue", "Condition": "IsOn"},
        },
        "Outputs": {"Output": {"Value": output}},
    }
    return template, {"On": "yes" if on else "no"}


def test_change_set_has_what_a_condition_removes_and_adds(stack: Stack, client: Callable[..., Any]) -> None:
    created = stack.change_set(*conditional(), kind="CREATE")
    assert created.changes() == {"Always": "Add", "Sometimes": "Add"}
    assert created.execute() == "CREATE_COMPLETE"
    queue = stack.physical_id("Sometimes")
    removes = stack.change_set(*conditional(on=False))
    assert (removes.changes(), removes.describe()["Status"]) == ({"Sometimes": "Remove"}, "CREATE_COMPLETE")
    assert removes.execute() == "UPDATE_COMPLETE"
    assert queue not in client("sqs").list_queues().get("QueueUrls", [])
    assert stack.change_set(*conditional(on=False)).describe()["Status"] == "FAILED"
    adds = stack.change_set(*conditional())
    assert adds.changes() == {"Sometimes": "Add"}
    assert adds.execute() == "UPDATE_COMPLETE"


def test_stack_whose_creation_was_rolled_back_has_no_change_set(stack: Stack) -> None:
    endpoint = {"Type": "AWS::SageMaker::Endpoint", "Properties": {"EndpointConfigName": "nowhere"}}
    broken = {"Resources": {"Broken": endpoint}}
    assert stack.change_set(broken, {}, kind="CREATE").execute() == "ROLLBACK_COMPLETE"
    words = "is in ROLLBACK_COMPLETE state and can not be updated"
    with pytest.raises(ClientError, match=words):
        stack.change_set(*conditional())


def test_change_set_of_outputs_alone_can_be_executed(stack: Stack) -> None:
    assert stack.change_set(*conditional(), kind="CREATE").execute() == "CREATE_COMPLETE"
    changed = stack.change_set(*conditional(output="other"))
    assert (changed.changes(), changed.describe()["ExecutionStatus"]) == ({}, "AVAILABLE")
    assert changed.execute() == "UPDATE_COMPLETE"
    assert stack.outputs() == {"Output": "other"}
    refused = stack.change_set(*conditional(output="other")).describe()
    assert refused["StatusReason"].startswith("The submitted information didn't contain changes.")
