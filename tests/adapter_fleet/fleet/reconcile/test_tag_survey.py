"""The fleet's tag is removed from a component by hand, which no listing shows."""

from __future__ import annotations

import pytest

from adapter_fleet.common.naming import FLEET_TAG
from adapter_fleet.fleet.state.configuration import TAGS_A_DRIFT_CHECK
from adapter_fleet.fleet.state.failures import Cause
from adapter_fleet.fleet.state.fleet_settings import DriftAction, FleetSettings
from adapter_fleet.fleet.state.orders import OrderKind
from adapter_fleet.fleet.state.sagemaker_port import ThrottledError, UnansweredError
from tests.adapter_fleet.fleet_world import UID, World, adapter, artifact

MANY = [adapter(f"a{number:03}") for number in range(2 * TAGS_A_DRIFT_CHECK + 50)]


def whole(*adapters: object, drift: DriftAction = DriftAction.REPAIR) -> World:
    """A fleet with nothing to do."""
    world = World(settings=FleetSettings(request_rate=10, drift=drift))
    world.apply(*adapters)  # type: ignore[arg-type]
    world.service.calls.clear()
    world.writes().clear()
    return world


def run_drift_check(world: World) -> None:
    world.trigger("drift")


@pytest.mark.parametrize("drift", DriftAction)
def test_component_without_its_tag_is_foreign_and_left_alone(drift: DriftAction) -> None:
    world = whole(adapter("acme"), adapter("zeta"), drift=drift)
    del world.service.components["p-acme"].tags[FLEET_TAG]
    run_drift_check(world)
    failure = world.failure("acme")
    assert failure.cause is Cause.FOREIGN
    assert f"has no tag {FLEET_TAG} of this fleet; 'adapters import --take-over'" in failure.reason
    assert (world.newest().failed, world.newest().in_service) == (1, 1)
    assert (world.writes(), world.service.foreign_writes) == ([], [])


def test_component_without_its_tag_can_be_imported_again() -> None:
    world = whole(adapter("acme"))
    component = world.service.components["p-acme"]
    del component.tags[FLEET_TAG]
    run_drift_check(world)
    world.order(OrderKind.CLAIM, "acme", created=component.created)
    world.settle()
    assert component.tags == {FLEET_TAG: UID}
    assert world.record("acme").failure is None
    assert world.writes() == ["AddTags p-acme"]


@pytest.mark.parametrize("lost", [False, True], ids=["throttled", "unanswered"])
def test_reading_of_tags_is_retried(lost: bool) -> None:
    world = whole(adapter("acme"), adapter("zeta"))
    del world.service.components["p-acme"].tags[FLEET_TAG]
    failures = [UnansweredError("no answer") if lost else ThrottledError("Rate exceeded")] * 3

    def fail(operation: str, when: str) -> None:
        if operation.startswith("ListTags") and when == "before" and failures:
            raise failures.pop()

    world.service.around = fail
    run_drift_check(world)
    assert failures == []
    failure = world.failure("acme")
    assert failure.cause is Cause.FOREIGN


def test_component_with_its_tag_back_is_the_fleet_s_again() -> None:
    world = whole(adapter("acme"))
    component = world.service.components["p-acme"]
    del component.tags[FLEET_TAG]
    run_drift_check(world)
    component.tags[FLEET_TAG] = UID
    run_drift_check(world)
    assert world.record("acme").failure is None
    assert world.newest().in_service == 1
    world.apply(adapter("acme", 2))
    assert world.serving() == {"acme": artifact("acme", 2).uri}


def test_tags_refused_without_the_fleet_s_tag_are_not_retried_for_ever() -> None:
    world = whole(adapter("acme"), adapter("zeta"))
    del world.service.components["p-acme"].tags[FLEET_TAG]
    world.apply(adapter("acme", tags={"team": "support"}), adapter("zeta"))
    failure = world.failure("acme")
    assert failure.cause is Cause.FOREIGN
    assert world.service.foreign_writes == ["AddTags p-acme"]


def test_drift_checks_take_turns_in_reading_tags() -> None:
    world = whole(*MANY)
    for number in range(3):
        run_drift_check(world)
        assert world.service.calls["ListTags"] == (number + 1) * TAGS_A_DRIFT_CHECK
    assert world.service.calls["DescribeInferenceComponent"] == 3  # the base, once a run
    assert world.writes() == []
    last = world.service.components[MANY[-1].component]
    del last.tags[FLEET_TAG]
    for _ in range(3):
        run_drift_check(world)
    assert world.newest().failed == 1
