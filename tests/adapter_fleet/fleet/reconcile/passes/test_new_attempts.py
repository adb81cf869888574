"""A new generation retries every failure that time or people may have removed."""

from __future__ import annotations

import pytest

from adapter_fleet.fleet.planning.settle import with_new_attempts
from adapter_fleet.fleet.state.failures import Cause, Failure
from adapter_fleet.fleet.state.fleet_settings import FailureLimit, FleetSettings
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.records import AdapterRecord
from tests.adapter_fleet.fleet_world import World, adapter, artifact

MENDED = [cause for cause in Cause if cause.retried]


def failing_world() -> World:
    """A deployment failed, as the archive of the second version was missing for an hour."""
    world = World(settings=FleetSettings(request_rate=10, failures=FailureLimit(count=0)))
    world.apply(adapter("a"))
    world.service.faults.missing.add(artifact("a", 2).uri)
    world.deploy(adapter("a", 2))
    world.settle_without_retries()
    assert world.newest().outcome is Outcome.FAILED
    return world


def test_archive_uploaded_after_the_failure_is_served_by_the_next_deployment() -> None:
    world = failing_world()
    world.service.faults.missing.clear()
    world.deploy(adapter("a", 2))
    world.settle_without_retries()
    assert world.newest().outcome is Outcome.CONVERGED
    assert world.serving()["a"] == artifact("a", 2).uri


def test_deployment_retries_before_it_fails_for_a_lasting_cause() -> None:
    world = failing_world()
    checked = world.service.calls["HeadObject"]
    world.deploy(adapter("a", 2))
    world.settle_without_retries()
    assert world.newest().outcome is Outcome.FAILED
    assert world.service.calls["HeadObject"] > checked


@pytest.mark.parametrize("cause", list(Cause))
def test_new_attempts_depend_on_the_cause(cause: Cause) -> None:
    failure = Failure(cause=cause, reason="x", artifact=artifact("a"), at=0.0, attempts=7, retry_at=9.0)
    record = AdapterRecord(name="a", component="p-a", failure=failure, restore_at=9.0)
    expected = None if cause in MENDED else failure
    assert with_new_attempts(record).failure == expected
    assert with_new_attempts(record).restore_at is None
