"""A fleet never touches a component of a CloudFormation stack, as the stack would not notice the change."""

from __future__ import annotations

import pytest

from adapter_fleet.common.naming import FLEET_TAG
from adapter_fleet.fleet.state.failures import Cause
from adapter_fleet.fleet.state.fleet_settings import DriftAction, FailureLimit, FleetSettings
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.orders import OrderKind
from tests.adapter_fleet.fleet_world import UID, World, adapter, artifact

OF_A_STACK = {
    "aws:cloudformation:stack-name": "Llm",
    "aws:cloudformation:stack-id": "arn:aws:cloudformation:eu-central-1:123456789012:stack/Llm/1",
    "aws:cloudformation:logical-id": "Acme",
}
WHY = (
    "a component named p-x is there and belongs to stack 'Llm'; take it out of that stack, or give the"
    " adapter another 'component'"
)


@pytest.fixture
def world() -> World:
    """A fleet of one adapter beside an adapter of a stack."""
    world = World(settings=FleetSettings(request_rate=10, failures=FailureLimit(count=1)), seconds=1.0)
    world.service.make("p-x", artifact("x").uri, tags=OF_A_STACK)
    world.apply(adapter("a"))
    return world


def untouched(world: World) -> bool:
    return world.service.components["p-x"].tags == OF_A_STACK and not any(
        write.endswith(" p-x") for write in world.writes()
    )


def test_adapter_with_the_name_of_a_stack_component_fails_and_names_the_stack(world: World) -> None:
    world.apply(adapter("a"), adapter("x"))
    assert (world.failure("x").cause, world.failure("x").reason) == (Cause.FOREIGN, WHY)
    assert world.newest().outcome is Outcome.CONVERGED
    assert untouched(world)


def test_component_that_a_stack_imported_after_the_order_stays_with_the_stack(world: World) -> None:
    by_hand = world.service.make("p-x", artifact("x").uri)
    world.order(OrderKind.CLAIM, "x", created=by_hand.created)
    world.settle()
    by_hand.tags.update(OF_A_STACK)
    world.apply(adapter("a"), adapter("x"))
    assert world.failure("x").reason == WHY
    assert untouched(world)


@pytest.mark.parametrize("wanted", [True, False], ids=["wanted", "not wanted"])
def test_stack_component_with_the_fleet_s_tag_is_neither_adopted_nor_deleted(wanted: bool) -> None:
    world = World(settings=FleetSettings(request_rate=10, failures=FailureLimit(count=1)))
    world.service.make("p-x", artifact("other").uri, tags={FLEET_TAG: UID, **OF_A_STACK})
    world.apply(adapter("a"), *([adapter("x")] if wanted else []))
    assert world.serving() == {"a": artifact("a").uri, "x": artifact("other").uri}
    assert not any(write.endswith(" p-x") for write in world.writes())


def test_drift_check_finds_a_component_that_a_stack_has_imported(world: World) -> None:
    world.with_settings(
        FleetSettings(request_rate=10, failures=FailureLimit(count=1), drift=DriftAction.REPAIR)
    )
    world.apply(adapter("a"), adapter("b"))
    world.service.components["p-b"].tags.update(OF_A_STACK)
    world.trigger("drift")
    world.apply(adapter("a"))
    assert "b" in world.serving()
