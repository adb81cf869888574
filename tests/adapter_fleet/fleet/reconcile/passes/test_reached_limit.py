"""A limit of the account on components: nothing more is created, and what serves stays."""

from __future__ import annotations

import pytest

from adapter_fleet.fleet.state.fleet_settings import DeletionLimit, FleetSettings, UpdateMode
from adapter_fleet.fleet.state.generations import Outcome
from tests.adapter_fleet.fleet_world import World, adapter

CREATION = "CreateInferenceComponent"
NAMES = [f"a{number:02}" for number in range(30)]
LIMIT = 21
"""Room for the base and twenty adapters."""


def full_world() -> World:
    """Return a fleet with more adapters than there is room for, ten minutes after its deployment."""
    world = World(settings=FleetSettings(request_rate=10.0, deletions=DeletionLimit(share=1.0)))
    world.service.faults.limit = LIMIT
    world.deploy(*map(adapter, NAMES))
    world.run_for(600.0)
    return world


def test_pass_that_meets_the_limit_creates_nothing_more() -> None:
    world = full_world()
    passes = world.newest().passes
    assert world.service.calls[CREATION] <= LIMIT - 1 + passes


def test_what_serves_stays_and_the_rest_is_pending_with_the_limit() -> None:
    world = full_world()
    newest = world.newest()
    assert (newest.outcome, newest.in_service, newest.pending, newest.failed) == (Outcome.OPEN, 20, 10, 0)
    assert newest.reason is not None
    assert newest.reason.startswith("ResourceLimitExceeded")
    assert world.deletions() == []


def test_adapters_that_are_not_wanted_make_room_for_new_ones() -> None:
    world = World(settings=FleetSettings(request_rate=10.0, deletions=DeletionLimit(share=1.0)))
    world.service.faults.limit = LIMIT
    world.apply(*map(adapter, NAMES[:20]))
    world.apply(*map(adapter, NAMES[10:]))
    assert sorted(world.serving()) == NAMES[10:]


def test_adapters_that_serve_are_updated_though_the_limit_is_reached() -> None:
    world = full_world()
    world.deploy(adapter("a00", 2), *map(adapter, NAMES[1:]))
    world.run_for(60.0)
    assert world.serving()["a00"] == "s3://bucket/a00/v2.tar.gz"


@pytest.mark.parametrize("first", ["new", "old"])
def test_what_serves_is_not_deleted_to_be_replaced(first: str) -> None:
    settings = FleetSettings(request_rate=10.0, update_mode=UpdateMode.REPLACE)
    world = World(settings=settings)
    old = NAMES[:20]
    world.apply(*map(adapter, old))
    world.service.faults.update_refused = True
    world.service.faults.limit = LIMIT
    changed, new = [adapter(name, 2) for name in old], list(map(adapter, NAMES[20:]))
    world.deploy(*new, *changed) if first == "new" else world.deploy(*changed, *new)
    world.run_for(1800.0)
    assert sorted(world.serving()) == old
    world.service.faults.limit = None
    world.settle()
    assert world.serving() == {made.name: made.artifact.uri for made in (*changed, *new)}
