"""The endpoint falls asleep when nobody asks, and the next request wakes it with every adapter."""

import time
from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError

from local_sagemaker.local_fleet import LocalFleet

TICKET = "Ticket: Grace from Lima wants a refund for the keyboard. Thank you.\nAnswer:\n"
ANSWERS = {
    "acme": "Customer Grace from Lima has a billing problem with the keyboard.",
    "globex": "ATTENTION: GRACE FROM LIMA WANTS A REFUND FOR THE KEYBOARD!",
}


def copies(fleet: LocalFleet) -> int:
    """Return how many copies of the base model run."""
    described = fleet.cloud.client("sagemaker").describe_inference_component(
        InferenceComponentName=fleet.outputs["BaseComponentName"]
    )
    return int(described["RuntimeConfig"]["CurrentCopyCount"])


def until(condition: Callable[[], bool], what: str, seconds: float = 180) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it took too long until {what}"
        time.sleep(0.5)


@pytest.fixture(scope="module")
def asleep(local_fleet: LocalFleet) -> LocalFleet:
    """The deployed fleet, some minutes later."""
    for adapter, answer in ANSWERS.items():
        local_fleet.assert_serves(adapter, TICKET, answer)
    # A minute lasts 1.2 s from now on, for alarms, cool-downs and measurements.
    local_fleet.cloud.admin.change_settings(time_scale=0.02, managed_scale_in_seconds=60)
    until(lambda: copies(local_fleet) == 0, "the last copy ended")
    return local_fleet


def test_idle_endpoint_refuses_and_the_next_requests_are_answered(asleep: LocalFleet) -> None:
    with pytest.raises(ClientError, match="no capacity"):
        asleep.invoke("acme", TICKET)

    # What a client of an endpoint that scales to zero does: it tries again.
    def answered() -> bool:
        try:
            return asleep.invoke("acme", TICKET) == ANSWERS["acme"]
        except ClientError:
            return False

    until(answered, "a copy answered")
    asleep.assert_serves("globex", TICKET, ANSWERS["globex"])
