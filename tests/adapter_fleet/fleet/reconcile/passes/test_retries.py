"""Whatever holds a fleet up is retried with backoff, and everything else goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from adapter_fleet.fleet.planning.settle import MAX_LOST_WRITES
from adapter_fleet.fleet.state.components import Status
from adapter_fleet.fleet.state.failures import Cause
from adapter_fleet.fleet.state.fleet_settings import DriftAction, FailureLimit, FleetSettings
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.sagemaker_port import (
    ConflictError,
    MissingError,
    ServiceError,
    UnansweredError,
)
from tests.adapter_fleet.fleet_world import World, adapter, artifact

LENIENT = FleetSettings(request_rate=10, failures=FailureLimit(count=5))


def failing(operation: str, error: ServiceError) -> tuple[Callable[[str, str], None], Counter[str]]:
    """Raises at each call of an operation, and counts the calls."""
    tried: Counter[str] = Counter()

    def around(called: str, when: str) -> None:
        if when == "before" and called.startswith(operation):
            tried[called] += 1
            raise error

    return around, tried


class TestWritesWithoutAnAnswer:
    UNANSWERED = UnansweredError("InternalFailure: 500")

    def test_adapter_fails_after_some_lost_answers_and_holds_up_no_other(self) -> None:
        world = World(settings=LENIENT)
        world.service.around, _ = failing("CreateInferenceComponent p-bad", self.UNANSWERED)
        world.deploy(adapter("a"), adapter("bad"), adapter("z"))
        world.settle_without_retries()
        assert world.newest().outcome is Outcome.CONVERGED
        assert (world.newest().in_service, world.newest().failed) == (2, 1)
        failure = world.failure("bad")
        assert failure.cause is Cause.CAPACITY
        assert failure.reason == (
            f"{MAX_LOST_WRITES} requests to create it had no answer, or no effect: {self.UNANSWERED}"
        )

    def test_writes_without_an_answer_are_retried_with_backoff(self) -> None:
        world = World(settings=LENIENT)
        world.service.around, tried = failing("CreateInferenceComponent p-bad", self.UNANSWERED)
        world.deploy(adapter("a"), adapter("bad"))
        world.run_for(3000)
        first = tried.total()
        world.run_for(3600)
        # As many attempts as make a failure, every quarter of an hour.
        assert MAX_LOST_WRITES < first < 12 * MAX_LOST_WRITES
        assert tried.total() - first <= 6 * MAX_LOST_WRITES

    def test_few_lost_answers_are_forgotten_when_a_write_arrives(self) -> None:
        world = World(settings=replace(LENIENT, failures=FailureLimit(count=0)))
        for version in (1, 2, 3):
            world.service.faults.lost_before = MAX_LOST_WRITES - 1
            world.apply(adapter("a", version))
            assert world.newest().outcome is Outcome.CONVERGED
            assert world.record("a").lost == 0

    def test_unwanted_adapter_is_deleted_all_the_same(self) -> None:
        world = World(settings=LENIENT)
        world.apply(adapter("a"), adapter("b"), adapter("c"))
        world.service.around, _ = failing("CreateInferenceComponent p-bad", self.UNANSWERED)
        world.deploy(adapter("a"), adapter("b"), adapter("bad"))
        world.settle_without_retries()
        assert set(world.serving()) == {"a", "b"}
        assert world.deletions() == ["DeleteInferenceComponent p-c"]


class TestAcceptedWritesWithoutAnEffect:
    def test_update_without_an_effect_fails_and_is_retried_with_backoff(self) -> None:
        world = World(settings=LENIENT)
        world.apply(adapter("a"))
        world.service.update = lambda component, artifact: world.service._begin(  # type: ignore[method-assign]
            "UpdateInferenceComponent", component, write=True
        )
        world.deploy(adapter("a", 2))
        world.settle_without_retries()
        failure = world.failure("a")
        assert failure.reason == f"{MAX_LOST_WRITES} requests to update it had no answer, or no effect"
        world.run_for(6 * 3600)
        assert world.service.calls["UpdateInferenceComponent"] <= 6 * 6 * MAX_LOST_WRITES


def test_conflicts_with_a_write_of_someone_else_back_off() -> None:
    world = World(settings=LENIENT)
    world.apply(adapter("a"))
    world.service.around, tried = failing(
        "CreateInferenceComponent p-b", ConflictError("Cannot update base: UPDATE_IN_PROGRESS")
    )
    world.deploy(adapter("a"), adapter("b"))
    started = world.clock.now()
    world.run_for(1800)
    # After the first few, the pause between two attempts is two to ten seconds.
    elapsed = world.clock.now() - started
    assert elapsed / 10 < tried.total() < elapsed / 5 + 5
    world.service.around = lambda _operation, _when: None
    world.settle()
    assert world.serving() == {"a": artifact("a").uri, "b": artifact("b").uri}


class TestPausesOfAHaltedFleet:
    @staticmethod
    def pauses(world: World) -> list[int]:
        return [result.wait_seconds for result in world.results if not result.done]

    def held_up(self) -> World:
        world = World(settings=LENIENT)
        world.service.components["base"].status = Status.CREATING
        world.service._note("base")
        return world

    def test_pauses_grow_to_five_minutes(self) -> None:
        world = self.held_up()
        world.deploy(*(adapter(f"a{number}") for number in range(20)))
        passes = world.run_for(3600)
        pauses = self.pauses(world)
        assert pauses == sorted(pauses)
        assert pauses[0] <= 20
        assert pauses[-1] == 300
        assert passes <= 50
        # A halted pass lists the endpoint, and describes no adapter.
        assert world.service.calls["DescribeInferenceComponent"] <= passes

    def test_pauses_are_short_enough_for_a_base_that_takes_minutes(self) -> None:
        world = self.held_up()
        world.deploy(adapter("a"))
        world.run_for(300)
        world.service.components["base"].status = Status.IN_SERVICE
        world.service._note("base")
        ready = world.clock.now()
        world.settle()
        assert world.serving() == {"a": artifact("a").uri}
        ended = world.newest().ended
        assert ended is not None
        assert ended - ready < 60

    def test_drift_check_on_a_missing_endpoint_backs_off_alike(self) -> None:
        world = World(settings=replace(LENIENT, drift=DriftAction.REPAIR))
        world.apply(*(adapter(f"a{number}") for number in range(20)))
        world.clock.time += 3600
        world.service.components.clear()
        world.service._seen.clear()
        world.start_machine("drift")
        assert world.run_for(3600) <= 20


def test_one_pass_makes_all_retries_that_are_due_soon_after_the_deployment() -> None:
    world = World(settings=FleetSettings(request_rate=20))
    many = [adapter(f"a{number:03}") for number in range(200)]
    world.service.faults.missing.update(want.artifact.uri for want in many[:10])
    world.deploy(*many)
    world.settle_without_retries()
    assert world.newest().outcome is Outcome.CONVERGED
    world.run_for(7200)
    lists = world.service.calls["ListInferenceComponents"]
    passes = world.run_for(3600)
    # An adapter is retried every quarter of an hour, and each of the ten at its own time.
    assert passes <= 16
    assert world.service.calls["ListInferenceComponents"] - lists <= passes * 10
    world.service.faults.missing.clear()
    world.settle()
    assert len(world.serving()) == 200


def test_write_that_met_a_conflict_leaves_no_intent() -> None:
    world = World(settings=replace(LENIENT, timeout_seconds=600))
    world.service.around, _ = failing("CreateInferenceComponent", MissingError("no base"))
    world.deploy(adapter("a"))
    world.run_for(300)
    assert (world.record("a").intent, world.record("a").lost) == (None, 0)


def test_deployment_reports_what_blocks_its_adapters() -> None:
    world = World(settings=replace(LENIENT, timeout_seconds=600))
    words = 'Could not find inference component "base"'
    world.service.around, _ = failing("CreateInferenceComponent", MissingError(words))
    deployed = world.deploy(*(adapter(f"a{number}") for number in range(20)))
    world.run_for(590)
    assert world.newest().reason == words
    world.run_for(60)
    assert world.response_to(deployed)["Data"]["Summary"].endswith(words)


@pytest.mark.parametrize("count", [0, 1])
def test_pending_adapters_of_the_last_deployment_are_no_changes_of_the_next(count: int) -> None:
    settings = FleetSettings(request_rate=10, timeout_seconds=60, failures=FailureLimit(count=count))
    world = World(settings=settings)
    many = [adapter(f"a{number:03}") for number in range(100)]
    pending = world.deploy(*many)
    world.run_newest(deadline=5.0)
    world.clock.time += 100
    assert world.response_to(pending)["IsComplete"]
    world.service.faults.broken[artifact("bad").uri] = "bad tensors"
    world.apply(*many, adapter("bad"))
    assert world.newest().changes == 1
    assert world.newest().outcome is (Outcome.CONVERGED if count else Outcome.FAILED)


def test_adapters_of_a_superseded_deployment_are_changes_of_the_next() -> None:
    world = World(settings=FleetSettings(request_rate=10, timeout_seconds=600))
    many = [adapter(f"a{number:03}") for number in range(60)]
    world.deploy(*many[:40])
    world.run_newest(deadline=2.0)
    world.apply(*many)
    assert world.newest().changes == 60
