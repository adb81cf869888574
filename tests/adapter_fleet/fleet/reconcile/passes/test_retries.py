"""Whatever holds a fleet up is retried with backoff, and everything else goes on."""

from dataclasses import replace

import pytest

from adapter_fleet.fleet.planning.settle import MAX_LOST_WRITES, with_new_attempts
from adapter_fleet.fleet.requests.is_complete import FleetError
from adapter_fleet.fleet.state.failures import Cause, Failure
from adapter_fleet.fleet.state.fleet_settings import DeletionLimit, DriftAction, FailureLimit, FleetSettings
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.records import AdapterRecord, Order, OrderKind
from adapter_fleet.fleet.state.sagemaker_port import MissingError, UnansweredError
from tests.adapter_fleet.fake_service import Crash
from tests.adapter_fleet.fleet_world import World, adapter, artifact, deployed, uris

LENIENT = FleetSettings(request_rate=10, failures=FailureLimit(count=5))


class TestWritesWithoutAnAnswer:
    UNANSWERED = UnansweredError("InternalFailure: 500")

    def test_adapter_fails_after_some_lost_answers_and_holds_up_neither_writes_nor_deletions(self) -> None:
        world = deployed(adapter("a"), adapter("b"), adapter("c"), settings=LENIENT)
        world.service.fail("CreateInferenceComponent p-bad", self.UNANSWERED)
        world.apply(adapter("a"), adapter("b"), adapter("bad"), adapter("z"), retries=False)
        assert world.newest().outcome is Outcome.CONVERGED
        assert (world.newest().in_service, world.newest().failed) == (3, 1)
        assert set(world.serving()) == {"a", "b", "z"}
        assert world.deletions() == ["DeleteInferenceComponent p-c"]
        failure = world.failure("bad")
        assert failure.cause is Cause.CAPACITY
        assert failure.reason == (
            f"{MAX_LOST_WRITES} requests to create it had no answer, or no effect: {self.UNANSWERED}"
        )

    def test_writes_without_an_answer_are_retried_with_backoff(self) -> None:
        world = World(settings=LENIENT)
        world.service.fail("CreateInferenceComponent p-bad", self.UNANSWERED)
        world.deploy(adapter("bad"))
        world.run_for(3000)
        first = world.service.calls["CreateInferenceComponent"]
        world.run_for(3600)
        # As many attempts as make a failure, every quarter of an hour.
        assert MAX_LOST_WRITES < first < 12 * MAX_LOST_WRITES
        assert world.service.calls["CreateInferenceComponent"] - first <= 6 * MAX_LOST_WRITES


@pytest.mark.slow
def test_one_pass_makes_all_retries_that_are_due_soon_after_the_deployment() -> None:
    world = World(settings=FleetSettings(request_rate=20, failures=FailureLimit(count=10)))
    many = [adapter(f"a{number:03}") for number in range(20)]
    world.service.faults.missing.update(want.artifact.uri for want in many[:10])
    world.apply(*many, retries=False)
    assert world.newest().outcome is Outcome.CONVERGED
    world.run_for(7200)
    lists = world.service.calls["ListInferenceComponents"]
    passes = world.run_for(3600)
    # An adapter is retried every quarter of an hour, and each of the ten at its own time.
    assert passes <= 16
    assert world.service.calls["ListInferenceComponents"] - lists <= passes * 10
    world.service.faults.missing.clear()
    world.settle()
    assert len(world.serving()) == 20


@pytest.mark.slow
def test_write_that_met_a_conflict_leaves_no_intent_and_the_deployment_reports_what_blocks_it() -> None:
    world = World(settings=replace(LENIENT, timeout_seconds=600))
    words = 'Could not find inference component "base"'
    world.service.fail("CreateInferenceComponent", MissingError(words))
    made = world.deploy(*(adapter(f"a{number}") for number in range(20)))
    world.run_for(590)
    assert world.newest().reason == words
    assert (world.record("a0").intent, world.record("a0").lost) == (None, 0)
    world.run_for(60)
    with pytest.raises(FleetError, match=f"nothing of what this changes was applied: {words}"):
        world.response_to(made)


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


MENDED = [cause for cause in Cause if cause.retried]


def test_archive_uploaded_after_the_failure_is_served_by_the_next_deployment() -> None:
    world = deployed(adapter("a"), settings=FleetSettings(request_rate=10, failures=FailureLimit(count=0)))
    world.service.faults.missing.add(artifact("a", 2).uri)
    checked = 0
    for _ in range(2):
        world.apply(adapter("a", 2), retries=False)
        assert world.newest().outcome is Outcome.FAILED
        # Each deployment tries again before it fails.
        assert world.service.calls["HeadObject"] > checked
        checked = world.service.calls["HeadObject"]
    world.service.faults.missing.clear()
    world.apply(adapter("a", 2), retries=False)
    assert world.newest().outcome is Outcome.CONVERGED
    assert world.serving()["a"] == artifact("a", 2).uri


def test_order_to_retry_a_failed_component_creates_it_again_though_its_last_modified_time_moves() -> None:
    world = World(settings=LENIENT)
    world.service.faults.modified_moves = True
    world.service.faults.broken[artifact("a").uri] = "bad tensors"
    world.apply(adapter("a"), retries=False)
    world.service.faults.broken.clear()
    world.clock.time += 10.0
    world.carry_out(OrderKind.RETRY, "a")
    assert world.serving()["a"] == artifact("a").uri


@pytest.mark.parametrize("cause", list(Cause))
def test_new_attempts_depend_on_the_cause(cause: Cause) -> None:
    failure = Failure(cause=cause, reason="x", artifact=artifact("a"), at=0.0, attempts=7, retry_at=9.0)
    record = AdapterRecord(name="a", component="p-a", failure=failure, restore_at=9.0)
    expected = None if cause in MENDED else failure
    assert with_new_attempts(record).failure == expected
    assert with_new_attempts(record).restore_at is None


CREATION = "CreateInferenceComponent"
NAMES = [f"a{number:02}" for number in range(30)]
LIMIT = 21
"""Room for the base and twenty adapters."""


def test_what_serves_stays_and_the_rest_is_pending_with_the_limit() -> None:
    world = World(settings=FleetSettings(request_rate=10.0, deletions=DeletionLimit(share=1.0)))
    world.service.faults.limit = LIMIT
    world.deploy(*map(adapter, NAMES))
    world.run_for(600.0)
    newest = world.newest()
    # A pass that meets the limit creates nothing more.
    assert world.service.calls[CREATION] <= LIMIT - 1 + newest.passes
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


@pytest.mark.slow
@pytest.mark.parametrize("first", ["new", "old"])
def test_what_serves_is_not_deleted_to_be_replaced(first: str) -> None:
    world = World(settings=FleetSettings(request_rate=10.0, allow_base_replacement=True))
    old = NAMES[:20]
    world.apply(*map(adapter, old))
    world.service.add_base("endpoint", "base-2")
    world.target = replace(world.target, base="base-2")
    world.service.faults.limit = LIMIT + 1
    changed, new = [adapter(name, 2) for name in old], list(map(adapter, NAMES[20:]))
    world.deploy(*new, *changed) if first == "new" else world.deploy(*changed, *new)
    world.run_for(1800.0)
    assert sorted(world.serving()) == old
    world.service.faults.limit = None
    world.settle()
    assert world.serving() == {made.name: made.artifact.uri for made in (*changed, *new)}


HOTFIX = "s3://bucket/hotfix.tar.gz"


class TestChangeByHandAtAnOrder:
    """An order restores what it names, and leaves what people changed elsewhere."""

    def changed(self, by_hand: str | None = HOTFIX, *, settings: FleetSettings = LENIENT) -> World:
        world = World(settings=settings)
        for version in (1, 2):
            world.apply(adapter("a", version), adapter("b", version))
        for component in ("p-a", "p-b"):
            if by_hand is None:
                world.service.remove(component)
            else:
                world.service.edit(component, by_hand)
        return world

    @pytest.mark.parametrize("by_hand", [HOTFIX, None], ids=["another version", "none"])
    def test_retry_restores_the_adapter_that_it_names_alone(self, by_hand: str | None) -> None:
        world = self.changed(by_hand)
        world.carry_out(OrderKind.RETRY, "a")
        assert (world.serving()["a"], world.serving().get("b")) == (artifact("a", 2).uri, by_hand)
        assert (world.record("a").drifted, world.record("b").drifted is None) == (None, False)
        assert (world.record("a").ordered, world.newest().outcome) == (False, Outcome.CONVERGED)

    def test_policy_to_repair_restores_the_others_too(self) -> None:
        world = self.changed(settings=replace(LENIENT, drift=DriftAction.REPAIR))
        world.carry_out(OrderKind.RETRY, "a")
        assert world.serving() == uris("a", "b", version=2)

    def test_rollback_to_the_last_good_version_restores_the_adapter_that_it_names_alone(self) -> None:
        world = self.changed()
        world.service.faults.broken[artifact("a", 3).uri] = "bad tensors"
        world.apply(adapter("a", 3), adapter("b", 2))
        for component in ("p-a", "p-b"):
            world.service.edit(component, HOTFIX)
        world.carry_out(OrderKind.PIN, "a", artifact=artifact("a", 2), replaces=artifact("a", 3))
        assert world.serving() == uris("a", version=2) | {"b": HOTFIX}

    @pytest.mark.parametrize("trigger", ["scaling", "order", "look"])
    def test_pin_that_stands_restores_nothing(self, trigger: str) -> None:
        world = self.changed()
        world.carry_out(OrderKind.PIN, "a", artifact=artifact("a", 1), replaces=artifact("a", 2))
        world.service.edit("p-a", HOTFIX)
        world.trigger(trigger)
        assert world.serving() == {"a": HOTFIX, "b": HOTFIX}

    def test_pin_of_an_earlier_release_which_retries_nothing_takes_effect(self) -> None:
        world = World(settings=LENIENT)
        for version in (1, 2):
            world.apply(adapter("a", version))
        pin = Order(kind=OrderKind.PIN, component="p-a", at=0.0, artifact=artifact("a"))
        world.registry.orders.add([replace(pin, replaces=artifact("a", 2))])
        world.trigger("order")
        assert world.serving() == uris("a")

    def test_pass_that_dies_after_it_took_the_order_leaves_it_to_the_next(self) -> None:
        world = self.changed()
        world.service.fail("UpdateInferenceComponent", Crash())
        world.carry_out(OrderKind.RETRY, "a")
        assert world.serving() == uris("a", version=2) | {"b": HOTFIX}

    def test_capacity_that_comes_later_restores_what_was_deleted_and_named(self) -> None:
        world = self.changed(None)
        world.service.faults.broken[artifact("a", 2).uri] = "Insufficient capacity"
        world.order(OrderKind.RETRY, "a")
        world.run_for(60)
        world.service.faults.broken.clear()
        world.settle()
        assert world.serving() == uris("a", version=2)


def test_adapter_that_does_not_answer_after_it_was_sent_again_is_tried_less_and_less_often() -> None:
    """Its update counts as done, as SageMaker has the same address before and after it."""
    world = World(seconds=0.5)
    world.apply(adapter("a"))
    world.service.faults.failure_reason_stays = True
    world.service.faults.broken[artifact("a").uri] = "AccessDenied: 403"
    world.service.faults.silent.add(artifact("a").uri)
    world.service.replace_base("another model", lost=True)
    writes = len(world.writes())
    world.start_machine("look")
    world.run_for(3600)
    assert 1 < len(world.writes()) - writes < 15
