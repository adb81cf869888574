"""What a fleet does: requests go in, adapters come out."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from adapter_fleet.fleet.state.failures import Cause
from adapter_fleet.fleet.state.fleet_settings import (
    FailureLimit,
    FleetSettings,
)
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.records import OrderKind
from adapter_fleet.fleet.state.sagemaker_port import UnansweredError
from adapter_fleet.manifest.desired import SmokeRequest
from tests.adapter_fleet.fleet_world import Hooked, World, adapter, artifact, deployed, uris

MANY = [f"a{number:03}" for number in range(120)]
LENIENT = FleetSettings(request_rate=10, failures=FailureLimit(share=1.0))
STRICT = FleetSettings(request_rate=10, failures=FailureLimit(share=0.0))


def test_unchanged_fleet_costs_two_listing_pages_and_a_describe_and_a_change_little_more() -> None:
    world = deployed(*map(adapter, MANY))
    assert world.serving() == uris(*MANY)
    assert world.newest().outcome is Outcome.CONVERGED
    assert len(world.writes()) == len(MANY)
    world.writes().clear()
    world.service.calls.clear()
    world.apply(*map(adapter, MANY))
    assert world.writes() == []
    assert world.service.calls == {"ListInferenceComponents": 2, "DescribeInferenceComponent": 1}
    world.service.calls.clear()
    world.apply(adapter("a000", 2), *map(adapter, MANY[1:]))
    assert world.writes() == ["UpdateInferenceComponent p-a000"]
    assert world.serving()["a000"] == artifact("a000", 2).uri
    assert world.service.calls["ListInferenceComponents"] == 4
    assert world.service.calls["DescribeInferenceComponent"] == 2
    assert world.service.calls["ListTags"] == 0


def test_archives_that_are_read_first_take_no_turns_from_the_writes() -> None:
    world = World(settings=LENIENT, seconds=0.0)
    world.service.read_seconds = 0.0
    began = world.clock.now()
    world.apply(*(replace(adapter(name), artifact=artifact(name, digest="d" * 64)) for name in MANY))
    assert world.serving() == uris(*MANY)
    assert world.clock.now() - began <= len(MANY) / LENIENT.request_rate + 2.0


def test_broken_adapter_fails_alone_and_is_not_retried_until_it_changes_or_a_person_orders_it() -> None:
    world = World()
    world.service.faults.broken[artifact("a000").uri] = "rank 64 is above the maximum"
    world.apply(*map(adapter, MANY))
    assert (world.newest().outcome, world.newest().failed) == (Outcome.CONVERGED, 1)
    assert world.serving() == uris(*MANY[1:])
    failure = world.failure("a000")
    assert (failure.cause, failure.reason) == (Cause.ARTIFACT, "rank 64 is above the maximum")
    world.writes().clear()
    world.apply(*map(adapter, MANY))
    assert world.writes() == []
    world.service.faults.broken.clear()
    world.carry_out(OrderKind.RETRY, "a000")
    assert world.serving() == uris(*MANY)


def test_empty_manifest_is_refused_while_the_adapters_do_not_show_yet() -> None:
    world = World()
    world.service.faults.listing_lag = 3.0
    world.clock.sleep(5.0)
    world.deploy(adapter("a"), adapter("b"))
    world.run_pass(world.executions[0], deadline=0.2)
    assert len(world.writes()) == 2
    world.apply()
    assert world.newest().outcome is Outcome.REFUSED
    assert not any(write.startswith("Delete") for write in world.writes())


def test_fleet_adapts_to_a_service_that_takes_one_write_at_a_time() -> None:
    world = World(seconds=1.0)
    world.service.faults.one_write_at_a_time = True
    world.apply(*map(adapter, MANY[:30]))
    assert world.serving() == uris(*MANY[:30])
    refused = world.service.calls["CreateInferenceComponent"] - 30
    assert refused <= 3


@pytest.mark.slow
def test_changed_adapters_are_described_once_each_and_not_listed_in_between() -> None:
    world = deployed(*map(adapter, MANY))
    world.service.calls.clear()
    started = world.clock.now()
    world.apply(*(adapter(name, 2) for name in MANY))
    ended = world.newest().ended
    assert ended is not None
    assert ended - started <= len(MANY) / 10 + 5.0 + 1.0
    assert world.service.calls["ListInferenceComponents"] <= 6
    assert world.service.calls["DescribeInferenceComponent"] <= len(MANY) + 1


@pytest.mark.slow
def test_stale_listing_causes_no_second_write() -> None:
    world = World(seconds=1.0)
    world.service.faults.listing_lag = 3.0
    world.service.faults.modified_moves = True
    world.apply(*map(adapter, MANY))
    world.apply(*(adapter(name, 2) for name in MANY))
    assert world.serving() == uris(*MANY, version=2)
    assert len(world.writes()) == 2 * len(MANY)


@pytest.mark.parametrize("words", ["AccessDeniedException: not authorized", "something that nobody knows"])
def test_refused_deletion_is_retried_with_backoff(words: str) -> None:
    world = deployed(adapter("a"), adapter("b"), settings=LENIENT)
    world.service.faults.broken[artifact("a", 2).uri] = "bad tensors"
    world.apply(adapter("a", 2), adapter("b"))
    world.service.faults.deletion_refused = words
    world.service.calls.clear()
    world.deploy(adapter("b"))
    started = world.clock.now()
    world.settle_without_retries()
    assert world.newest().outcome is Outcome.CONVERGED
    assert world.clock.now() - started > 20
    assert world.service.calls["DeleteInferenceComponent"] <= 4
    world.service.faults.deletion_refused = None
    world.settle()
    assert world.serving() == uris("b")


def test_pin_serves_an_older_version_until_the_manifest_changes() -> None:
    world = deployed(adapter("a"))
    world.apply(adapter("a", 2))
    world.carry_out(OrderKind.PIN, "a", artifact=artifact("a"), replaces=artifact("a", 2))
    assert world.serving() == uris("a")
    world.apply(adapter("a", 2), adapter("b"))
    assert world.serving() == uris("a", "b")
    world.apply(adapter("a", 3), adapter("b"))
    assert world.serving() == {**uris("a", version=3), **uris("b")}
    assert world.registry.orders.all() == []


def test_fleet_moves_to_another_endpoint_and_base_only_if_that_is_allowed() -> None:
    world = deployed(adapter("a"))
    world.service.add_base("endpoint-2", "base-2")
    world.target = replace(world.target, endpoint="endpoint-2", base="base-2")
    world.apply(adapter("a"))
    assert world.newest().outcome is Outcome.REFUSED
    assert "allow_base_replacement" in str(world.newest().reason)
    world.apply(
        adapter("a"), digest="again", settings=FleetSettings(request_rate=10, allow_base_replacement=True)
    )
    moved = world.service.components["p-a"]
    assert (moved.endpoint, moved.base) == ("endpoint-2", "base-2")


def test_deletion_is_not_complete_while_a_component_is_left_and_may_be_repeated() -> None:
    world = deployed(adapter("a"), adapter("b"))
    world.destroy()
    world.run_pass(world.executions[-1], deadline=0.5)
    world.service.components["p-a"].stuck = True
    world.clock.time += 4000
    for _ in range(5):
        world.step()
    assert world.newest().outcome is Outcome.OPEN
    world.service.components["p-a"].stuck = False
    world.settle()
    assert world.newest().outcome is Outcome.CONVERGED
    assert world.serving() == {}
    writes = len(world.writes())
    again = world.destroy()
    world.settle()
    assert (world.newest().number, world.newest().outcome) == (again.number, Outcome.CONVERGED)
    assert len(world.writes()) == writes


def test_stuck_adapters_count_against_the_failure_limit() -> None:
    world = World(settings=STRICT)
    world.deploy(adapter("a"), adapter("b"))
    world.run_pass(world.executions[0], deadline=0.5)
    world.service.components["p-a"].stuck = True
    world.clock.time += 2000
    for _ in range(5):
        world.step()
    assert world.newest().outcome is Outcome.FAILED


def test_adapter_that_cannot_be_asked_is_retried_and_holds_up_no_other() -> None:
    world = World(settings=LENIENT)
    smoke = SmokeRequest(body={"inputs": "x"})

    def hang() -> None:
        world.clock.time += 60
        raise UnansweredError("no answer in time")

    world.service.on("InvokeEndpoint p-a", hang)
    world.apply(adapter("a", smoke=smoke), adapter("b", smoke=smoke), retries=False)
    assert world.newest().outcome is Outcome.CONVERGED
    assert world.service.calls["InvokeEndpoint"] <= 5
    assert "no answer in time" in world.failure("a").reason
    world.service.around = lambda _operation, _when: None
    world.settle()
    assert world.record("a").failure is None


def test_claimed_component_does_not_count_as_a_creation_of_the_fleet() -> None:
    world = World(seconds=40.0)
    world.deploy(adapter("a"))
    world.run_pass(world.executions[0], deadline=0.2)
    world.clock.sleep(35.0)
    made = world.service.make("p-a", "s3://x/y")
    world.carry_out(OrderKind.CLAIM, "a", created=made.created)
    assert world.serving() == uris("a")


def test_deployment_restores_what_somebody_deleted_before_its_last_listing() -> None:
    world = deployed(adapter("a"), adapter("b"))
    world.apply(adapter("a", 2), adapter("b"))
    world.service.on("UpdateInferenceComponent", lambda: world.service.remove("p-b"), times=1)
    world.apply(adapter("a", 3), adapter("b"), retries=False)
    assert world.serving() == uris("a", version=3) | uris("b")


def test_component_is_not_described_again_before_the_answer_is_there() -> None:
    world = deployed(adapter("a"), adapter("b"))
    world.service.calls.clear()
    world.service.on("DescribeInferenceComponent p-a", lambda: time.sleep(0.05))
    with ThreadPoolExecutor(4) as threads:
        late: Any = Hooked(threads, lambda *_: world.clock.sleep(5.0))
        world.reconciler = replace(world.reconciler, executor=late)
        world.apply(adapter("a", 2), retries=False)
    assert world.service.calls["DescribeInferenceComponent"] == 2
