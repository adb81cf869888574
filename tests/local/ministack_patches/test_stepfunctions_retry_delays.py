from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from tests.local.waiting import until


def test_retries_of_a_state_machine_wait_no_longer_than_their_maximum(
    function: Callable[[str], str], client: Callable[..., Any]
) -> None:
    machines = client("stepfunctions")
    retry = {
        "ErrorEquals": ["States.ALL"],
        "IntervalSeconds": 1,
        "BackoffRate": 100,
        "MaxDelaySeconds": 1,
        "MaxAttempts": 2,
    }
    task = {
        "Type": "Task",
        "Resource": function("def handler(event, context):\n    raise ValueError\n"),
        "Retry": [retry],
        "End": True,
    }
    machine = machines.create_state_machine(
        name=f"retrying-{time.monotonic_ns()}",
        roleArn="arn:aws:iam::000000000000:role/Machine",
        definition=json.dumps({"StartAt": "Task", "States": {"Task": task}}),
    )["stateMachineArn"]
    execution = machines.start_execution(stateMachineArn=machine)["executionArn"]
    until(lambda: machines.describe_execution(executionArn=execution)["status"] == "FAILED", 30)
