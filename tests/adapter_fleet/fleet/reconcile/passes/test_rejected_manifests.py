"""A refused manifest in S3 changes nothing; one that fails is undone by the fleet, not by CloudFormation.

The deletion guard counts what the manifests of an hour delete together.
"""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from adapter_fleet.fleet.state.fleet_settings import DriftAction, FleetSettings
from adapter_fleet.fleet.state.generations import Generation, Outcome, Source
from adapter_fleet.manifest.desired import DesiredAdapter
from tests.adapter_fleet.fake_service import Crash
from tests.adapter_fleet.fleet_world import Hooked, World, adapter, artifact, deployed, uris

BEFORE = [f"a{number:02}" for number in range(20)]
ALL = [*BEFORE, *(f"b{number:02}" for number in range(40))]


def fleet_that_grows() -> World:
    """A fleet of twenty adapters that has just got a manifest of sixty."""
    world = deployed(*map(adapter, BEFORE), settings=FleetSettings(request_rate=10, drift=DriftAction.REPAIR))
    world.put_manifest(*map(adapter, ALL))
    return world


@pytest.mark.parametrize("invalid", [True, False], ids=["invalid", "by the guard of deletions"])
def test_open_generation_goes_on_after_any_number_of_refused_manifests(invalid: bool) -> None:
    world = fleet_that_grows()
    for _ in range(3):
        world.run_newest(deadline=1.0)
        if invalid:
            world.put_invalid_manifest()
        else:
            world.put_manifest()
    world.settle()
    assert world.outcomes()[:2] == [Outcome.CONVERGED, Outcome.CONVERGED]
    assert set(world.outcomes()[2:]) == {Outcome.REFUSED}
    assert world.serving() == uris(*ALL)


def test_refused_manifest_at_the_end_of_a_pass_does_not_change_the_outcome() -> None:
    world = fleet_that_grows()
    came: list[Generation] = []
    save = world.registry.generations.save

    def meanwhile(generation: Generation, lease: object) -> None:
        if generation.outcome is Outcome.CONVERGED and not came:
            came.append(world.put_invalid_manifest())
        save(generation, lease)  # type: ignore[arg-type]

    world.registry.generations.save = meanwhile  # type: ignore[method-assign]
    world.settle()
    assert world.outcomes() == [Outcome.CONVERGED, Outcome.CONVERGED, Outcome.REFUSED]
    world.service.remove("p-a00")
    world.trigger("drift")
    assert world.serving() == uris(*ALL)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["a deployment", "S3"])
def test_undo_keeps_what_came_with_a_manifest_that_the_quota_has_no_room_for(source: str) -> None:
    world = deployed(adapter("a"))
    world.service.faults.limit = 3
    before = world.deploy if source == "a deployment" else world.put_manifest
    before(adapter("a"), adapter("b"), adapter("no-room"))
    world.run_for(world.settings.timeout_seconds + 3600.0)
    world.service.faults.broken[artifact("a", 2).uri] = "bad tensors"
    world.put_manifest(adapter("a", 2), adapter("b"), adapter("no-room"))
    world.run_for(3600.0)
    assert world.outcomes()[2] is Outcome.FAILED
    assert world.newest().request.source is Source.UNDO
    assert world.serving() == uris("a", "b")


@pytest.mark.parametrize("operation", ["generations.save", "save_fleet", "release", "generations.open"])
def test_failed_manifest_is_undone_though_the_pass_that_failed_it_died(operation: str) -> None:
    world = deployed(adapter("a"), adapter("b"))
    world.service.faults.broken[artifact("c").uri] = "bad tensors"
    world.put_manifest(adapter("a", 2), adapter("c"))
    dies = True

    def die(called: str, when: str) -> None:
        nonlocal dies
        generation = world.registry.generations.find(2)
        failed = generation is not None and generation.outcome is Outcome.FAILED
        if dies and failed and (called, when) == (operation, "after"):
            dies = False
            raise Crash

    registry = Hooked(world.registry, die)
    world.reconciler = replace(world.reconciler, registry=registry)  # type: ignore[arg-type]
    world.settle()
    assert not dies
    newest = world.newest()
    assert (newest.request.source, newest.outcome) == (Source.UNDO, Outcome.CONVERGED)
    assert world.serving() == uris("a", "b")


FLEET = [adapter(f"a{number:03}") for number in range(100)]
MORE = [adapter(f"b{number:03}") for number in range(15)]


def fleet_of_a_hundred(*, seconds_ago: float = 7200.0) -> World:
    world = deployed(*FLEET)
    world.clock.sleep(seconds_ago)
    return world


def put(world: World, adapters: Sequence[DesiredAdapter]) -> Outcome:
    world.apply_manifest(*adapters)
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
