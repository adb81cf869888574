from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local_sagemaker.server import LocalCloud


@pytest.fixture
def scaled(cloud: LocalCloud) -> Iterator[LocalCloud]:
    yield cloud
    cloud.admin.scale_waits(1)


def test_state_machine_does_not_wait_when_waits_are_scaled_to_nothing(
    scaled: LocalCloud, client: Callable[..., Any]
) -> None:
    scaled.admin.scale_waits(0)
    machines = client("stepfunctions")
    machine = machines.create_state_machine(
        name="waiting",
        roleArn="arn:aws:iam::000000000000:role/Machine",
        definition=json.dumps(
            {
                "StartAt": "Wait",
                "States": {"Wait": {"Type": "Wait", "SecondsPath": "$.seconds", "End": True}},
            }
        ),
    )["stateMachineArn"]
    execution = machines.start_execution(stateMachineArn=machine, input='{"seconds": 86400}')
    status, deadline = "RUNNING", time.monotonic() + 30
    while status == "RUNNING" and time.monotonic() < deadline:
        time.sleep(0.02)
        status = machines.describe_execution(executionArn=execution["executionArn"])["status"]
    assert status == "SUCCEEDED"


@pytest.mark.parametrize("scale", [-1, "often"])
def test_scale_that_is_no_share_is_refused(scaled: LocalCloud, scale: Any) -> None:
    with pytest.raises(ValueError, match="'scale' should be a number of at least 0"):
        scaled.admin.scale_waits(scale)
