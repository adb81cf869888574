"""What a pass lists, how fast, and what it does where SageMaker throttles or is slow."""

from itertools import pairwise

import pytest

from adapter_fleet.fleet.state.fleet_settings import DeletionLimit, FleetSettings
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.manifest.desired import DesiredAdapter
from tests.adapter_fleet.fleet_world import World, adapter

LISTING = "ListInferenceComponents"


def fleet_of(size: int, *, rate: float = 1000.0, page: int = 10) -> World:
    """Return a fleet that has converged with so many adapters, and so many in a page of a listing."""
    world = World(settings=FleetSettings(request_rate=rate, deletions=DeletionLimit(share=1.0)))
    world.service.page = page
    world.apply(*adapters(size))
    world.service.calls.clear()
    return world


def adapters(size: int, changed: int = 0) -> list[DesiredAdapter]:
    return [adapter(f"t{number:04}", 2 if number < changed else 1) for number in range(size)]


def test_throttled_page_is_asked_again_and_not_those_before_it() -> None:
    world = fleet_of(95)
    throttled: list[str] = []

    def throttle_fifth_page(operation: str, when: str) -> None:
        fifth = operation.startswith(LISTING) and world.service.calls[LISTING] == 5
        if fifth and when == "before" and not throttled:
            throttled.append(operation)
            world.service.faults.throttled = 3

    world.service.around = throttle_fifth_page
    world.apply(*adapters(95))
    assert throttled
    assert world.service.calls[LISTING] == 10 + 3


def test_pass_that_ends_within_a_listing_says_so_and_the_next_one_lists() -> None:
    world = fleet_of(95)
    world.service.faults.read_seconds = 1.0
    world.deploy(*adapters(95, 1))
    world.run_newest(deadline=4.0)
    assert "the pass ended before it had listed all components" in world.log.troubles[-1]
    assert world.newest().reason == world.log.troubles[-1]
    world.settle()
    assert world.newest().outcome is Outcome.CONVERGED


def test_listing_under_way_is_a_sign_of_life() -> None:
    world = fleet_of(95)
    world.service.faults.read_seconds = 20.0
    world.deploy(*adapters(95, 1))
    began = world.clock.now()
    heartbeats = set()

    def note_heartbeat(operation: str, when: str) -> None:
        heartbeats.add(world.fleet().heartbeat)

    world.service.around = note_heartbeat
    world.run_newest(deadline=150.0)
    beats = sorted(int(beat - began) for beat in heartbeats if beat > began)
    assert {60, 120} <= set(beats)
    assert all(later - earlier >= 60 for earlier, later in pairwise(beats))


@pytest.mark.slow
def test_adapters_that_are_being_created_are_looked_for_among_new_components_only() -> None:
    world = fleet_of(200, rate=1.0)
    world.apply(*adapters(230))
    assert world.newest().in_service == 230
    # 21 pages at the beginning, 24 at the end, and a few with the new ones between.
    assert world.service.calls[LISTING] < 21 + 24 + 20


@pytest.mark.slow
def test_listings_while_writes_go_on_take_a_small_share_of_the_time() -> None:
    world = fleet_of(159, rate=1.0)
    world.service.faults.read_rate = 3.0
    world.service.faults.read_seconds = 0.05
    began = world.clock.now()
    world.apply(*adapters(10))
    bound = 149 / 1.0 + (16 + 1) / 3.0 + world.service.seconds
    assert world.clock.now() - began < 1.1 * bound
