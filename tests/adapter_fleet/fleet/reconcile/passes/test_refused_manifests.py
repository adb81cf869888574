"""A refused manifest in S3 changes nothing: the open generation goes on, and nothing is deleted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from adapter_fleet.fleet.state.fleet_settings import DriftAction, FleetSettings
from adapter_fleet.fleet.state.generations import Generation, Outcome
from tests.adapter_fleet.fleet_world import World, adapter

BEFORE = [adapter(f"a{number:02}") for number in range(20)]
ADDED = [adapter(f"b{number:02}") for number in range(40)]

Refuse = Callable[[World], Generation]


def no_manifest(world: World) -> Generation:
    """A manifest that cannot be read."""
    return world.put_invalid_manifest()


def empty_manifest(world: World) -> Generation:
    """A manifest that the guard of deletions refuses."""
    return world.put_manifest()


REFUSED = pytest.mark.parametrize("refuse", [no_manifest, empty_manifest], ids=["invalid", "guard"])


def fleet_of_twenty(**settings: object) -> World:
    world = World(settings=FleetSettings(request_rate=10, **settings))  # type: ignore[arg-type]
    world.apply(*BEFORE)
    return world


def names(world: World) -> set[str]:
    return {name for name, uri in world.serving().items() if uri is not None}


ALL = {want.name for want in (*BEFORE, *ADDED)}


def test_invalid_manifest_does_not_supersede_the_open_generation() -> None:
    world = fleet_of_twenty()
    world.put_manifest(*BEFORE, *ADDED)
    world.put_invalid_manifest()
    assert world.outcomes() == [Outcome.CONVERGED, Outcome.OPEN, Outcome.REFUSED]


@REFUSED
def test_open_generation_goes_on_after_any_number_of_refused_manifests(refuse: Refuse) -> None:
    world = fleet_of_twenty()
    world.put_manifest(*BEFORE, *ADDED)
    for _ in range(3):
        world.run_newest(deadline=1.0)
        refuse(world)
    world.settle()
    assert world.outcomes()[:2] == [Outcome.CONVERGED, Outcome.CONVERGED]
    assert set(world.outcomes()[2:]) == {Outcome.REFUSED}
    assert names(world) == ALL


@REFUSED
def test_pending_adapters_of_a_deployment_come_all_the_same(refuse: Refuse) -> None:
    world = World(settings=FleetSettings(request_rate=10, timeout_seconds=60))
    deployed = world.deploy(*BEFORE, *ADDED)
    world.run_newest(deadline=2.0)
    world.clock.time += 100
    assert world.response_to(deployed)["Data"]["Pending"] != "0"
    refuse(world)
    world.settle()
    assert names(world) == ALL
    assert world.deletions() == []


@REFUSED
def test_open_undo_goes_on(refuse: Refuse) -> None:
    world = fleet_of_twenty()
    world.apply(*BEFORE, digest="one")
    world.deploy(*BEFORE, *ADDED[:3], digest="two", previous="one")
    world.run_newest(deadline=1.0)
    undo = world.deploy(*BEFORE, digest="one", previous="two")
    assert undo.undo
    refuse(world)
    assert world.response_to(undo) == {"IsComplete": False}
    world.settle()
    assert world.response_to(undo)["Data"]["Summary"] == "20 of 20 adapters in service"
    assert names(world) == {want.name for want in BEFORE}


@REFUSED
def test_drift_check_finishes_a_stalled_generation(refuse: Refuse) -> None:
    world = fleet_of_twenty(drift=DriftAction.REPAIR)
    world.put_manifest(*BEFORE, *ADDED)
    world.run_newest(deadline=2.0)
    refuse(world)
    for execution in world.executions:
        execution.done = True
    world.clock.time += 3600
    world.trigger("drift")
    assert names(world) == ALL
    assert world.deletions() == []


def test_refused_manifest_at_the_end_of_a_pass_does_not_change_the_outcome() -> None:
    world = fleet_of_twenty(drift=DriftAction.REPAIR)
    world.put_manifest(*BEFORE, *ADDED)
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
    assert names(world) == ALL
