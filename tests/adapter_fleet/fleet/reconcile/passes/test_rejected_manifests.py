"""A refused manifest in S3 changes nothing; one that fails is undone by the fleet, not by CloudFormation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adapter_fleet.fleet.state.fleet_settings import DriftAction, FleetSettings
from adapter_fleet.fleet.state.generations import Generation, Outcome, Source
from tests.adapter_fleet.fake_service import Crash
from tests.adapter_fleet.fleet_world import Hooked, World, adapter, artifact, uris

BEFORE = [f"a{number:02}" for number in range(20)]
ALL = [*BEFORE, *(f"b{number:02}" for number in range(40))]


def fleet_that_grows() -> World:
    """A fleet of twenty adapters that has just got a manifest of sixty."""
    world = World(settings=FleetSettings(request_rate=10, drift=DriftAction.REPAIR))
    world.apply(*map(adapter, BEFORE))
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
    save = world.registry.save_generation

    def meanwhile(generation: Generation, lease: object) -> None:
        if generation.outcome is Outcome.CONVERGED and not came:
            came.append(world.put_invalid_manifest())
        save(generation, lease)  # type: ignore[arg-type]

    world.registry.save_generation = meanwhile  # type: ignore[method-assign]
    world.settle()
    assert world.outcomes() == [Outcome.CONVERGED, Outcome.CONVERGED, Outcome.REFUSED]
    world.service.remove("p-a00")
    world.trigger("drift")
    assert world.serving() == uris(*ALL)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["a deployment", "S3"])
def test_undo_keeps_what_came_with_a_manifest_that_the_quota_has_no_room_for(source: str) -> None:
    world = World()
    world.apply(adapter("a"))
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


@pytest.mark.parametrize("operation", ["save_generation", "save_fleet", "release", "open_generation"])
def test_failed_manifest_is_undone_though_the_pass_that_failed_it_died(operation: str) -> None:
    world = World()
    world.apply(adapter("a"), adapter("b"))
    world.service.faults.broken[artifact("c").uri] = "bad tensors"
    world.put_manifest(adapter("a", 2), adapter("c"))
    dies = True

    def die(called: str, when: str) -> None:
        nonlocal dies
        generation = world.registry.generation(2)
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
