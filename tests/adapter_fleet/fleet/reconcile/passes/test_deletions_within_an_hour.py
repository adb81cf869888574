"""The deletion guard counts what the manifests of an hour delete together."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.manifest.desired import DesiredAdapter
from tests.adapter_fleet.fleet_world import World, adapter

FLEET = [adapter(f"a{number:03}") for number in range(100)]
MORE = [adapter(f"b{number:03}") for number in range(15)]


def fleet_of_a_hundred(*, seconds_ago: float = 7200.0) -> World:
    world = World()
    world.apply(*FLEET)
    world.clock.sleep(seconds_ago)
    return world


def put(world: World, adapters: Sequence[DesiredAdapter]) -> Outcome:
    world.put_manifest(*adapters)
    world.settle()
    return world.newest().outcome


def test_manifests_that_are_undone_between_do_not_hide_deletions() -> None:
    world = fleet_of_a_hundred()
    broken = adapter("broken")
    world.service.faults.broken[broken.artifact.uri] = "ValueError: not a tar"
    outcomes = [put(world, FLEET[:81]), put(world, [*FLEET[:81], broken]), put(world, FLEET[:70])]
    assert outcomes == [Outcome.CONVERGED, Outcome.CONVERGED, Outcome.REFUSED]
    assert world.outcomes()[2] is Outcome.FAILED
    assert len(world.serving()) == 81


def test_first_manifest_counts_for_a_fleet_that_is_younger_than_an_hour() -> None:
    world = fleet_of_a_hundred(seconds_ago=60.0)
    assert [put(world, FLEET[:left]) for left in (81, 70)] == [Outcome.CONVERGED, Outcome.REFUSED]


@pytest.mark.slow
def test_manifest_that_was_open_for_hours_is_no_manifest_of_the_last_hour() -> None:
    world = fleet_of_a_hundred()
    world.service.faults.limit = 101
    world.put_manifest(*FLEET[15:], *MORE, adapter("one-too-many"))
    world.run_for(2 * 3600.0)
    assert world.newest().outcome is Outcome.OPEN
    assert [put(world, [*FLEET[left:], *MORE]) for left in (25, 40)] == [Outcome.CONVERGED, Outcome.REFUSED]
