from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

COUNTING = """
import time

def handler(event, context):
    with open("{log}", "a") as log:
        print(event["number"], flush=True, file=log)
    time.sleep(0.3)
    if event["fails"]:
        raise ValueError("again")
    return {{}}
"""


@pytest.mark.parametrize("fails", [False, True])
def test_what_a_distributed_map_has_started_stops_with_its_execution(
    function: Callable[[str], str], client: Callable[..., Any], tmp_path: Any, fails: bool
) -> None:
    log = tmp_path / "numbers"
    call = {
        "Type": "Task",
        "Resource": function(COUNTING.format(log=log)),
        "Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 0, "MaxAttempts": 100}],
        "End": True,
    }
    each = {
        "Type": "Map",
        "MaxConcurrency": 1,
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED"},
            "StartAt": "Call",
            "States": {"Call": call},
        },
        "End": True,
    }
    machines = client("stepfunctions")
    machine = machines.create_state_machine(
        name=f"map-{time.monotonic_ns()}",
        roleArn="arn:aws:iam::000000000000:role/Machine",
        definition=json.dumps({"StartAt": "Each", "States": {"Each": each}}),
    )["stateMachineArn"]
    items = [{"number": number, "fails": fails} for number in range(10)]
    execution = machines.start_execution(stateMachineArn=machine, input=json.dumps(items))["executionArn"]
    while not log.exists():
        time.sleep(0.02)
    machines.stop_execution(executionArn=execution, error="Enough")
    begun = len(log.read_text().split())
    time.sleep(1.2)
    assert len(log.read_text().split()) == begun
    assert machines.describe_execution(executionArn=execution)["status"] == "ABORTED"
