"""A customer comes into service, gets a new version, goes back and leaves: all with no deployment."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from local_sagemaker.local_fleet import BASE, LocalFleet

TICKETS = Path(__file__).resolve().parents[2] / "tickets"
TICKET = "Ticket: Grace from Lima wants a refund for the keyboard. Thank you.\nAnswer:\n"
FIRST = "Customer Grace from Lima has a billing problem with the keyboard."
SECOND = "SUMMARY | billing | keyboard | Grace | Lima"


def adapters(fleet: LocalFleet, *arguments: str) -> None:
    """Run the `adapters` command on the deployed fleet."""
    done = subprocess.run(
        [sys.executable, "-m", "adapters_cli", *arguments],
        env={**fleet.cloud.environment, "ADAPTERS_STACK": "Onboarding"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def publish(fleet: LocalFleet, directory: Path) -> None:
    """Publish a directory as the adapter of the customer acme."""
    outputs = fleet.outputs
    adapters(
        fleet,
        "publish",
        str(directory),
        outputs["Archives"],
        "--name",
        "acme",
        "--manifest",
        outputs["Manifest"],
    )


def wait_for_answer(fleet: LocalFleet, answer: str, seconds: float = 120) -> None:
    """Wait until acme answers so: the fleet hears of a new manifest within seconds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fleet.assert_serves("acme", TICKET, answer)
            return
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def test_first_deployment_has_no_customer(local_fleet: LocalFleet) -> None:
    assert local_fleet.components().keys() == {BASE}


@pytest.fixture(scope="module")
def onboarded(local_fleet: LocalFleet) -> LocalFleet:
    """The fleet after acme's first version was published."""
    publish(local_fleet, TICKETS / "adapters" / "summary")
    wait_for_answer(local_fleet, FIRST)
    return local_fleet


def test_published_customer_is_in_service(onboarded: LocalFleet) -> None:
    onboarded.assert_serves("acme", TICKET, FIRST)


def test_new_version_replaces_the_first_and_goes_back(onboarded: LocalFleet) -> None:
    publish(onboarded, TICKETS / "adapters-v2" / "summary")
    wait_for_answer(onboarded, SECOND)
    # The fleet still notes the change when the new version answers already.
    adapters(onboarded, "status", "--wait")
    adapters(onboarded, "rollback", "acme")
    wait_for_answer(onboarded, FIRST)
    adapters(onboarded, "status", "--wait")


def test_removed_customer_is_gone(onboarded: LocalFleet) -> None:
    adapters(onboarded, "remove", "acme", "--yes")
    deadline = time.monotonic() + 120
    while "acme" in onboarded.components():
        assert time.monotonic() < deadline, onboarded.components()
        time.sleep(0.5)
