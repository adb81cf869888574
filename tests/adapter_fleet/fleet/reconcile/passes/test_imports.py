"""An import takes over adapters of the fleet's own base model, and no rollback deletes what was imported.

A component of a CloudFormation stack is never taken over, as the stack would not notice the change.
"""

from dataclasses import replace

import pytest

from adapter_fleet.common.naming import FLEET_TAG
from adapter_fleet.fleet.state.components import ObservedComponent
from adapter_fleet.fleet.state.failures import Cause
from adapter_fleet.fleet.state.fleet_settings import DeletionLimit, FailureLimit, FleetSettings
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.records import Order, OrderKind
from adapter_fleet.fleet.state.sagemaker_port import RefusedError
from tests.adapter_fleet.fleet_world import UID, World, adapter, artifact, deployed

LENIENT = FleetSettings(request_rate=10, failures=FailureLimit(count=1))
STRICT = FleetSettings(request_rate=10, failures=FailureLimit(count=0))


def fleet(settings: FleetSettings = LENIENT) -> World:
    """A fleet of one adapter, and a component made by hand that someone orders to import."""
    world = deployed(adapter("a"), digest="one", settings=settings, seconds=1.0)
    made = world.service.make("p-x", artifact("x").uri)
    world.carry_out(OrderKind.CLAIM, "x", created=made.created)
    return world


def import_x(world: World) -> None:
    world.deploy(adapter("a"), adapter("x"), digest="two", previous="one")


def test_stale_listing_does_not_tag_a_re_created_component() -> None:
    world = fleet()
    world.service.faults.listing_lag = 3.0
    world.clock.time += 10
    world.service.remove("p-x")
    world.service.make("p-x", "s3://another-team/x.tar.gz")
    import_x(world)
    world.settle()
    assert "AddTags p-x" not in world.writes()
    assert world.service.components["p-x"].tags == {}
    assert world.failure("x").cause is Cause.FOREIGN


def test_claim_waits_for_the_manifest_that_has_the_adapter_and_ends_with_it() -> None:
    world = fleet()
    world.start_machine("drift")
    world.apply(adapter("a"), adapter("b"), digest="one")
    assert world.service.components["p-x"].tags == {}
    assert [order.component for order in world.registry.orders.all()] == ["p-x"]
    import_x(world)
    world.settle()
    assert world.registry.orders.all() == []
    # From then on the component is the fleet's own, and is deleted with its entry.
    world.apply(adapter("a"), digest="three", previous="two")
    assert world.deletions() == ["DeleteInferenceComponent p-b", "DeleteInferenceComponent p-x"]


def test_import_of_a_deployment_that_failed_is_kept_by_the_next_one_that_drops_it() -> None:
    world = fleet(STRICT)
    world.service.faults.broken[artifact("b").uri] = "bad tensors"
    world.apply(adapter("a"), adapter("x"), adapter("b"), digest="two", previous="one")
    assert world.newest().outcome is Outcome.FAILED
    world.apply(adapter("a"), digest="three", previous="two")
    assert "p-x" in world.service.components


def test_tags_of_aws_are_not_removed() -> None:
    world = World(settings=STRICT)
    of_aws = "aws:createdBy"
    world.service.make("p-a", artifact("a").uri, tags={FLEET_TAG: UID, of_aws: "s", "old": "1"})
    untag = world.service.untag

    def as_aws_does(component: str, live: ObservedComponent, keys: list[str]) -> None:
        if any(key.startswith("aws:") for key in keys):
            raise RefusedError("aws: prefixed tag key names are not allowed for external use.")
        untag(component, live, keys)

    world.service.untag = as_aws_does  # type: ignore[method-assign]
    world.apply(adapter("a"))
    assert world.newest().outcome is Outcome.CONVERGED
    assert world.record("a").failure is None
    assert world.service.components["p-a"].tags == {FLEET_TAG: UID, of_aws: "s"}


class TestOrderForWhatTheCommandWouldNotOffer:
    """Whoever may give orders, and writes the manifest, names a component of someone else."""

    def world(self) -> World:
        world = World(settings=replace(LENIENT, allow_base_replacement=True))
        world.service.add_base("payments", "payments-base")
        world.service.add_base("endpoint", "second-base")
        world.service.make("payments-risk", "s3://payments/risk.tar.gz", base="payments-base")
        world.service.make("of-second-base", "s3://second/x.tar.gz", base="second-base")
        world.service.make("of-fleet-2", "s3://other/x.tar.gz", tags={FLEET_TAG: "fleet-2"})
        world.service.make("of-stack", "s3://other/x.tar.gz")
        world.service.stacks["of-stack"] = "Llm"
        world.apply(adapter("a"))
        return world

    @pytest.mark.parametrize(
        "component",
        ["payments-risk", "payments-base", "of-second-base", "second-base", "of-fleet-2", "of-stack"],
    )
    def test_it_is_neither_tagged_nor_deleted(self, component: str) -> None:
        world = self.world()
        there = world.service.components[component]
        tags, writes = dict(there.tags), len(world.writes())
        claim = Order(kind=OrderKind.CLAIM, component=component, at=world.clock.now(), created=there.created)
        world.registry.orders.add([claim])
        world.apply(adapter("a"), replace(adapter("x"), component=component))
        record = world.registry.records.all()[component]
        assert record.failure is not None
        assert record.failure.cause is Cause.FOREIGN
        world.apply(adapter("a"))
        assert world.service.components[component].tags == tags
        assert world.writes()[writes:] == []
        assert world.registry.orders.all() == []

    def test_an_order_for_the_fleet_s_own_component_takes_nothing_from_it(self) -> None:
        world = self.world()
        world.order(OrderKind.CLAIM, "a", created=world.service.components["p-a"].created)
        world.apply()
        world.apply(settings=replace(LENIENT, deletions=DeletionLimit(share=1.0, allow_empty=True)))
        assert world.deletions() == ["DeleteInferenceComponent p-a"]
        assert "DeleteTags p-a" not in world.writes()


def test_component_that_a_stack_imported_after_the_order_stays_with_the_stack() -> None:
    world = fleet()
    world.service.stacks["p-x"] = "Llm"
    import_x(world)
    world.settle()
    assert world.failure("x").cause is Cause.FOREIGN
    assert world.failure("x").reason == (
        "a component named p-x is there and belongs to stack 'Llm'; take it out of that stack, or give the"
        " adapter another 'component'"
    )
    assert world.service.components["p-x"].tags == {}
