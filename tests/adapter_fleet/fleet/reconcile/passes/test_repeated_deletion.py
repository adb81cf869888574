"""A deletion goes on after its timeout, and CloudFormation repeats it."""

from __future__ import annotations

from adapter_fleet.fleet.state.generations import Outcome
from tests.adapter_fleet.fleet_world import World, adapter


def test_repeated_deletion_of_a_deleted_fleet_ends_without_a_write() -> None:
    world = World()
    world.apply(adapter("a"), adapter("b"))
    world.destroy()
    world.settle()
    assert world.serving() == {}
    world.writes().clear()

    again = world.destroy()
    world.settle()

    assert (world.newest().number, world.newest().outcome) == (again.number, Outcome.CONVERGED)
    assert world.writes() == []
