"""A component or a row of the registry that cannot be read is left alone, and holds up nothing else."""

import re
from typing import Any

import pytest

from adapter_fleet.common.naming import FLEET_TAG
from adapter_fleet.fleet.requests.is_complete import FleetError
from adapter_fleet.fleet.state.fleet_settings import DriftAction, FailureLimit, FleetSettings
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.records import OrderKind
from adapter_fleet.fleet.state.rows.row import UnreadableError
from adapter_fleet.fleet.state.sagemaker_port import (
    ComponentPage,
    ConflictError,
    LimitReachedError,
    RefusedError,
    ServiceError,
    UnansweredError,
)
from tests.adapter_fleet.fleet_world import UID, World, adapter, artifact, deployed
from tests.adapter_fleet.memory_registry import MemoryRegistry

MANY = [adapter(f"a{number:02}") for number in range(20)]


def deny(world: World, operation: str) -> None:
    world.service.fail(operation, RefusedError(f"AccessDeniedException: explicit deny of {operation}"))


@pytest.mark.parametrize(
    "error",
    [UnansweredError("no answer in time"), ConflictError("in progress"), LimitReachedError("a quota")],
    ids=lambda error: type(error).__name__,
)
def test_component_whose_reads_keep_failing_holds_up_no_other_and_is_read_at_the_rate(
    error: ServiceError,
) -> None:
    world = deployed(*MANY, settings=FleetSettings(request_rate=10, failures=FailureLimit(share=1.0)))
    world.service.touch("p-a00")
    world.service.fail("DescribeInferenceComponent p-a00", error)
    before = world.service.calls["DescribeInferenceComponent"]
    world.deploy(*MANY[:19], adapter("a19", 2))
    world.run_for(600)
    assert world.serving()["a19"] == artifact("a19", 2).uri
    assert world.newest().outcome is Outcome.CONVERGED
    assert world.service.calls["DescribeInferenceComponent"] - before < 200


def test_unreadable_component_of_another_team_gets_no_record_and_holds_up_no_deletion() -> None:
    world = World()
    world.service.make("other-team", "s3://x/y.tar.gz", tags={FLEET_TAG: "fleet-2"})
    deny(world, "ListTags other-team")
    world.apply(adapter("a"))
    assert set(world.registry.records.all()) == {"p-a"}
    assert world.fleet().foreign == {}  # its owner is unknown
    world.take_down()
    assert world.newest().outcome is Outcome.CONVERGED
    assert set(world.serving()) == {"other-team"}


def test_components_readable_after_the_registry_was_lost_are_orphans_until_a_guard_counts_them() -> None:
    world = deployed(*MANY, settings=FleetSettings(request_rate=10, failures=FailureLimit(share=1.0)))
    world.lose_registry()
    deny(world, "ListTags")
    world.deploy(*MANY[:10])
    world.run_for(600)
    world.service.around = lambda _operation, _when: None
    world.settle()
    assert world.newest().orphans == 10
    world.apply(*MANY[:10])
    assert world.newest().outcome is Outcome.REFUSED
    assert "deletion_guard" in str(world.newest().reason)
    assert world.deletions() == []


def test_unreadable_adapter_of_the_fleet_fails_alone() -> None:
    world = deployed(*MANY, settings=FleetSettings(request_rate=10, failures=FailureLimit(count=1)))
    world.service.edit("p-a00", "s3://bucket/by-hand.tar.gz")
    deny(world, "DescribeInferenceComponent p-a00")
    world.apply(*MANY, adapter("new"), retries=False)
    assert world.newest().outcome is Outcome.CONVERGED
    assert world.newest().failed == 1
    assert "a00: AccessDenied" in str(world.newest().reason)
    assert world.serving()["new"] == artifact("new").uri


REPAIRING = FleetSettings(request_rate=10, drift=DriftAction.REPAIR)
WHY = MemoryRegistry().spoil("records", "p-a")


@pytest.fixture
def world() -> World:
    """A fleet of two adapters; the record of one cannot be read."""
    world = deployed(adapter("a"), adapter("b"), settings=REPAIRING)
    world.registry.spoil("records", "p-a")
    return world


class TestRowOfAnAdapter:
    def test_it_fails_alone(self, world: World) -> None:
        world.apply_manifest(adapter("a", 2), adapter("b", 2))
        assert world.serving() == {"a": artifact("a").uri, "b": artifact("b", 2).uri}
        newest = world.newest()
        assert (newest.outcome, newest.failed, newest.reason) == (Outcome.CONVERGED, 1, f"p-a: {WHY}")

    @pytest.mark.parametrize("rebased", [False, True], ids=["base unchanged", "base changed"])
    def test_it_is_in_service_once_its_row_can_be_read(self, rebased: bool) -> None:
        """It is written again only if its base has changed meanwhile."""
        world = deployed(adapter("a"), adapter("b"), settings=REPAIRING)
        kept = world.record("a")
        world.registry.spoil("records", "p-a")
        if rebased:
            world.service.replace_base("model-2", lost=True)
        world.trigger("order")
        world.registry.overwrite(kept)
        world.trigger("order")
        assert world.serving() == {"a": artifact("a").uri, "b": artifact("b").uri}
        assert world.newest().in_service == 2
        assert len(world.writes()) == 2 + 2 * rebased
        assert not world.fleet().unasked

    def test_its_rollback_is_kept(self, world: World) -> None:
        world.order(OrderKind.PIN, "a", artifact=artifact("a"), replaces=artifact("a", 2))
        world.apply(adapter("a", 2), adapter("b"))
        assert [order.kind for order in world.registry.orders.all()] == [OrderKind.PIN]


class TestDeletionOfTheFleet:
    def test_it_deletes_the_others_and_names_what_is_left_until_somebody_deletes_that(
        self, world: World
    ) -> None:
        deletion = world.destroy()
        world.settle()
        assert set(world.serving()) == {"a"}
        with pytest.raises(FleetError, match=re.escape(f"p-a is left: {WHY}") + "$"):
            world.response_to(deletion)
        world.service.remove("p-a")
        world.take_down()
        assert world.newest().outcome is Outcome.CONVERGED

    def test_it_names_what_a_listing_leaves_out(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        list_page = world.service.list_page

        def stale(*arguments: Any, **options: Any) -> ComponentPage:
            page = list_page(*arguments, **options)
            kept = {key: live for key, live in page.components.items() if key != "p-a"}
            return page._replace(components=kept)

        monkeypatch.setattr(world.service, "list_page", stale)
        world.take_down()
        assert world.newest().reason == f"p-a is left: {WHY}"

    def test_it_names_what_else_is_left(self, world: World) -> None:
        world.service.make("p-stray", "s3://x/y.tar.gz", tags={FLEET_TAG: UID})
        world.take_down(rolling_back=True)
        assert world.newest().reason == f"p-a is left: {WHY}; left behind with the fleet's tag: p-stray"


class TestRowOfAnOrder:
    def test_it_is_logged_and_holds_nothing_up(self, world: World) -> None:
        why = world.registry.spoil("orders", "p-b#pause")
        world.apply(adapter("a"), adapter("b", 2))
        assert world.serving()["b"] == artifact("b", 2).uri
        assert set(world.log.troubles) == {f"an order is left alone: {why}"}
        assert set(world.registry.orders.read()[1]) == {"p-b#pause"}


class TestRowOfAGeneration:
    def fail(self, *_: object) -> None:
        raise UnreadableError("row '0000000002' of 'generations' in the registry cannot be read")

    def test_a_deployment_fails_with_its_desired_state_that_cannot_be_read(self, world: World) -> None:
        world.registry.generations.desired = self.fail  # type: ignore[assignment, method-assign]
        generation = world.deploy(adapter("a"), adapter("b"))
        world.settle()
        with pytest.raises(FleetError, match=r"^row '0000000002' of 'generations' in the registry cannot"):
            world.response_to(generation)

    @pytest.mark.parametrize(("owner", "method"), [("Registry", "fleet"), ("GenerationRows", "find")])
    def test_a_row_of_the_fleet_that_cannot_be_read_ends_the_execution(
        self, world: World, monkeypatch: pytest.MonkeyPatch, owner: str, method: str
    ) -> None:
        generation = world.deploy(adapter("a"), adapter("b"))
        monkeypatch.setattr(f"adapter_fleet.fleet.state.registry.{owner}.{method}", self.fail)
        passes = len(world.results)
        world.settle()
        assert len(world.results) == passes + 1
        assert world.log.failed_passes == [1]
        with pytest.raises(UnreadableError):
            world.response_to(generation)
