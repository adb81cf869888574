"""Someone deletes the base component, and with it the adapters of a converged fleet."""

from __future__ import annotations

import pytest

from adapter_fleet.fleet.planning.observe import base_trouble
from adapter_fleet.fleet.state.components import ObservedComponent, Status
from adapter_fleet.fleet.state.fleet_settings import DriftAction, FleetSettings
from adapter_fleet.fleet.state.generations import Outcome
from tests.adapter_fleet.fleet_world import World, adapter, artifact

MANY = [adapter(f"a{number:02}") for number in range(15)]


@pytest.fixture(params=DriftAction)
def world(request: pytest.FixtureRequest) -> World:
    """A fleet that loses its base an hour after it converged, with a drift check every ten minutes."""
    world = World(settings=FleetSettings(request_rate=10, drift=request.param))
    world.apply(*MANY)
    world.clock.time += 3600
    world.log.metrics.clear()
    for component in list(world.service.components):
        world.service.remove(component)
    for _ in range(6):
        world.start_machine("drift")
        world.run_for(1)
        world.clock.time += 600
    return world


def test_fleet_record_reports_the_lost_base_of_a_converged_fleet(world: World) -> None:
    fleet = world.fleet()
    assert world.newest().outcome is Outcome.CONVERGED
    assert fleet.trouble == "the base component 'base' is not there"


def test_age_grows_from_when_the_loss_was_found(world: World) -> None:
    ages = [metrics["age"] for metrics in world.log.metrics]
    assert ages[0] == 0
    assert ages == sorted(ages)
    ended = world.newest().ended
    assert ended is not None
    assert 2900 < ages[-1] < world.clock.now() - ended - 3600


def test_every_adapter_counts_as_drifted_until_it_is_repaired(world: World) -> None:
    assert {metrics["drifted"] for metrics in world.log.metrics} == {len(MANY)}
    world.service.add_base()
    world.apply(*MANY)
    assert {"age": 0, "throttles": 0, "drifted": 0}.items() <= world.log.metrics[-1].items()


def test_restored_base_ends_the_trouble(world: World) -> None:
    world.service.add_base()
    world.apply(*MANY)
    fleet = world.fleet()
    assert (fleet.trouble, fleet.behind_since) == (None, None)
    assert len(world.serving()) == len(MANY)


def test_change_by_hand_that_was_reverted_by_hand_is_no_drift() -> None:
    world = World(settings=FleetSettings(request_rate=10, drift=DriftAction.REPAIR))
    world.apply(*MANY)
    base = world.service.components["base"]
    base.status = Status.FAILED
    world.service.edit("base", base.uri)
    world.service.edit("p-a00", "s3://bucket/by-hand.tar.gz")
    world.start_machine("drift")
    world.run_for(1)
    assert world.log.metrics[-1]["drifted"] == 1
    world.service.edit("p-a00", artifact("a00").uri)
    base.status = Status.IN_SERVICE
    world.service.edit("base", base.uri)
    world.settle()
    world.trigger("drift")
    assert world.log.metrics[-1]["drifted"] == 0


@pytest.mark.parametrize("status", [None, *Status])
def test_adapters_are_created_on_a_base_in_service(status: Status | None) -> None:
    live = None if status is None else ObservedComponent(status=status, created=1.0, modified=1.0)
    serves = status in (Status.IN_SERVICE, Status.UPDATING)
    assert (base_trouble("base", live) is None) == serves
