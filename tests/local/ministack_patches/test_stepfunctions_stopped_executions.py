from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

COUNTING = """
import time

def handler(event, context):
    with open("{log}", "a") as log:
        print("called", flush=True, file=log)
    time.sleep(0.3)
    raise ValueError("again")
"""


def test_task_of_a_stopped_execution_is_not_retried(
    function: Callable[[str], str], client: Callable[..., Any], tmp_path: Path
) -> None:
    log = tmp_path / "calls"
    call = {
        "Type": "Task",
        "Resource": function(COUNTING.format(log=log)),
        "Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 0, "MaxAttempts": 100}],
        "End": True,
    }
    machines = client("stepfunctions")
    machine = machines.create_state_machine(
        name=f"retries-{time.monotonic_ns()}",
        roleArn="arn:aws:iam::000000000000:role/Machine",
        definition=json.dumps({"StartAt": "Call", "States": {"Call": call}}),
    )["stateMachineArn"]
    execution = machines.start_execution(stateMachineArn=machine, input="{}")["executionArn"]
    while not log.exists():
        time.sleep(0.02)
    machines.stop_execution(executionArn=execution, error="Enough")
    begun = len(log.read_text().split())
    time.sleep(1.2)
    assert len(log.read_text().split()) == begun
    assert machines.describe_execution(executionArn=execution)["status"] == "ABORTED"
