"""Deployments whose time is up: what they have applied decides how they end."""

from dataclasses import replace

import pytest

from adapter_fleet.fleet.requests.is_complete import FleetError
from adapter_fleet.fleet.state.fleet_settings import FleetSettings, OnTimeout, ReleaseSettings
from adapter_fleet.fleet.state.generations import Generation
from adapter_fleet.fleet.state.sagemaker_port import ThrottledError
from adapter_fleet.manifest.desired import DesiredAdapter, SmokeRequest
from tests.adapter_fleet.fleet_world import World, deployed, released

NAMES = "abcdefghij"
WRITES = ("Create", "Update", "Delete")
IN_PLACE = FleetSettings(request_rate=10.0)
RELEASES = replace(IN_PLACE, releases=ReleaseSettings(keep=1, drain_seconds=900.0))


def adapters(version: int, names: str = NAMES, *, smoke: SmokeRequest | None = None) -> list[DesiredAdapter]:
    return [released(name, version, smoke=smoke) for name in names]


def throttle(world: World, *operations: str, but: int = 0) -> None:
    """Throttle these operations from now on, after some calls that are taken."""
    left = but

    def around(called: str, at: str) -> None:
        nonlocal left
        if at == "before" and called.startswith(operations):
            left -= 1
            if left < 0:
                raise ThrottledError("ThrottlingException: Rate exceeded")

    world.service.around = around


def timed_out(world: World, *desired: DesiredAdapter) -> Generation:
    """Deploy, and let the hour pass that CloudFormation waits."""
    before = world.newest().request.source_digest
    generation = world.deploy(*desired, previous=before)
    world.run_for(world.settings.timeout_seconds + 10)
    return generation


@pytest.fixture(params=[IN_PLACE, RELEASES], ids=["in place", "releases"])
def world(request: pytest.FixtureRequest) -> World:
    return deployed(*adapters(1), settings=request.param)


def test_deployment_of_which_nothing_was_applied_fails_and_its_rollback_writes_nothing(world: World) -> None:
    throttle(world, *WRITES)
    writes, before = len(world.writes()), world.newest()
    generation = timed_out(world, *adapters(2))
    why = r"10 adapters are pending \(a, b, c, d, e and 5 more\), and nothing .* applied: .*Rate exceeded"
    with pytest.raises(FleetError, match=why):
        world.response_to(generation)
    digests = before.request.source_digest, world.newest().request.source_digest
    undo = world.deploy(*adapters(1), digest=digests[0], previous=digests[1])
    world.settle()
    assert undo.undo
    assert world.writes()[writes:] == []
    assert world.response_to(undo)["Data"]["Summary"] == "10 of 10 adapters in service"
    assert world.registry.lineage.previous_in_force(undo) == world.generation(before.number)


def test_deployment_that_applied_a_part_succeeds_and_names_what_is_pending(world: World) -> None:
    throttle(world, *WRITES, but=7)
    generation = timed_out(world, *adapters(2))
    summary = world.response_to(generation)["Data"]["Summary"]
    assert summary.startswith("7 of 10 adapters in service, 3 pending (h, i, j): ThrottlingException")


def test_deletions_of_which_none_was_taken_fail_the_deployment() -> None:
    world = deployed(*adapters(1), settings=IN_PLACE)
    throttle(world, *WRITES)
    generation = timed_out(world, *adapters(1, NAMES[2:]))
    with pytest.raises(FleetError, match="nothing of what this changes was applied"):
        world.response_to(generation)


def test_adapter_without_a_route_is_removed_though_its_component_stays() -> None:
    world = deployed(*adapters(1), settings=RELEASES)
    throttle(world, *WRITES)
    generation = timed_out(world, *adapters(1, NAMES[1:]))
    assert "1 pending (a)" in world.response_to(generation)["Data"]["Summary"]


def test_drained_version_that_leaves_is_none_of_the_changes() -> None:
    world = deployed(
        *adapters(1), settings=replace(RELEASES, releases=ReleaseSettings(keep=0, drain_seconds=900.0))
    )
    world.deploy(*adapters(2))
    world.run_for(60)
    throttle(world, "Create")
    generation = timed_out(world, *adapters(3))
    assert len(world.deletions()) == 10
    with pytest.raises(FleetError, match="nothing of what this changes was applied"):
        world.response_to(generation)


def test_deployment_that_changes_nothing_succeeds_at_its_timeout(world: World) -> None:
    component = next(name for name in world.service.components if name.startswith("p-a"))
    world.service.edit(component, "s3://bucket/elsewhere.tar.gz")
    throttle(world, *WRITES)
    generation = timed_out(world, *adapters(1))
    assert "1 pending (a)" in world.response_to(generation)["Data"]["Summary"]


def test_new_request_that_has_not_passed_needs_no_write_and_fails_no_deployment() -> None:
    world = deployed(*adapters(1), settings=IN_PLACE)
    world.service.faults.unanswered = 10**6
    throttle(world, "Invoke", *WRITES)
    smoke = SmokeRequest(body={"inputs": "Hello"})
    generation = timed_out(world, *adapters(1, smoke=smoke))
    assert world.response_to(generation)["Data"]["Pending"] == "10"


def test_chosen_end_is_kept_though_nothing_was_applied(world: World) -> None:
    world.settings = replace(world.settings, on_timeout=OnTimeout.SUCCEED)
    world.target = replace(world.target, settings=world.settings)
    throttle(world, *WRITES)
    assert world.response_to(timed_out(world, *adapters(2)))["Data"]["Pending"] == "10"
