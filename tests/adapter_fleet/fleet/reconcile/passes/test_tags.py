"""Tags come late after a creation, or somebody removes the fleet's tag, which no listing shows."""

from collections.abc import Callable

import pytest

from adapter_fleet.common.naming import FLEET_TAG
from adapter_fleet.fleet.state.failures import Cause
from adapter_fleet.fleet.state.fleet_settings import DriftAction, FailureLimit, FleetSettings
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.records import OrderKind
from adapter_fleet.fleet.state.sagemaker_port import ServiceError, ThrottledError, UnansweredError
from adapter_fleet.manifest.desired import DesiredAdapter
from tests.adapter_fleet.fleet_world import UID, World, adapter, artifact, deployed

MINUTES = 60.0
LENIENT = FleetSettings(request_rate=10, failures=FailureLimit(share=1.0), drift=DriftAction.REPORT)


def unanswered_creation(*, tags_after: float, settings: FleetSettings = LENIENT) -> World:
    """A deployment of one adapter. The answer to its creation was lost, and its tags come late."""
    world = World(settings=settings)
    world.service.faults.tags_lag = tags_after
    world.service.faults.lost_after = 1
    world.deploy(adapter("a"))
    return world


def destroy(world: World, *, rolling_back: bool | None = False) -> None:
    world.take_down(rolling_back=rolling_back)
    assert world.newest().outcome is Outcome.CONVERGED


def test_deployment_waits_for_tags_that_come_late() -> None:
    world = unanswered_creation(
        tags_after=50.0, settings=FleetSettings(request_rate=10, failures=FailureLimit(count=0))
    )
    world.settle()
    assert world.newest().outcome is Outcome.CONVERGED
    assert (world.newest().in_service, world.record("a").failure) == (1, None)
    assert world.writes() == ["CreateInferenceComponent p-a"]


@pytest.mark.parametrize(
    "trigger",
    [
        lambda world: world.deploy(adapter("a")),
        lambda world: world.start_machine("drift"),
        lambda world: world.order(OrderKind.RETRY, "a"),
    ],
    ids=["deployment", "drift check", "retry"],
)
def test_false_foreign_heals_with_the_next_execution(trigger: Callable[[World], None]) -> None:
    """It took its own adapter for someone else's, as the tags came after ten minutes."""
    world = unanswered_creation(tags_after=10 * MINUTES)
    world.settle()
    assert world.failure("a").cause is Cause.FOREIGN
    world.clock.time += 20 * MINUTES
    trigger(world)
    world.settle()
    assert (world.newest().in_service, world.record("a").failure) == (1, None)


@pytest.mark.parametrize("rolling_back", [True, False, None])
def test_deletion_waits_for_the_late_tags_of_a_creation(rolling_back: bool | None) -> None:
    world = unanswered_creation(tags_after=50.0)
    world.step()
    destroy(world, rolling_back=rolling_back)
    assert "p-a" not in world.service.components


class TestDeletionOfAFleetWithForgottenComponents:
    """Components that seemed foreign, and that no manifest wants any more, have their tag by now."""

    def world(self, *, strangers: int = 0) -> World:
        world = World(settings=LENIENT)
        for number in range(strangers):
            world.service.make(f"other-{number}", "s3://another-team/x.tar.gz")
        world.service.make("p-old", artifact("old").uri)
        for names in (["a", "old"], ["a"]):
            world.apply(*map(adapter, names))
        assert "p-old" not in world.registry.records.all()
        world.service.components["p-old"].tags[FLEET_TAG] = UID
        return world

    @pytest.mark.parametrize("strangers", [0, 150])
    def test_forgotten_component_is_deleted(self, strangers: int) -> None:
        world = self.world(strangers=strangers)
        world.service.calls.clear()
        destroy(world)
        assert not {"a", "old"} & world.serving().keys()
        assert world.service.calls["ListTags"] == 1

    def test_deletion_ends_only_after_the_tags_were_read(self) -> None:
        world = self.world()
        world.service.remove("p-a")
        world.destroy()
        world.run_newest(deadline=0.0)
        assert world.newest().outcome is Outcome.OPEN
        world.settle()
        assert world.serving() == {}


def whole(*adapters: DesiredAdapter, drift: DriftAction = DriftAction.REPAIR) -> World:
    world = deployed(*adapters, settings=FleetSettings(request_rate=10, drift=drift))
    world.service.calls.clear()
    world.writes().clear()
    return world


@pytest.mark.parametrize("drift", DriftAction)
def test_component_without_its_tag_is_foreign_and_left_alone_until_it_is_back(drift: DriftAction) -> None:
    world = whole(adapter("acme"), adapter("zeta"), drift=drift)
    component = world.service.components["p-acme"]
    del component.tags[FLEET_TAG]
    world.trigger("drift")
    failure = world.failure("acme")
    assert failure.cause is Cause.FOREIGN
    assert f"has no tag {FLEET_TAG} of this fleet; 'adapters import --take-over'" in failure.reason
    assert (world.newest().failed, world.newest().in_service) == (1, 1)
    assert (world.writes(), world.service.foreign_writes) == ([], [])
    component.tags[FLEET_TAG] = UID
    world.trigger("drift")
    assert (world.record("acme").failure, world.newest().in_service) == (None, 2)
    world.apply(adapter("acme", 2), adapter("zeta"))
    assert world.serving() == {"acme": artifact("acme", 2).uri, "zeta": artifact("zeta").uri}


@pytest.mark.parametrize("error", [ThrottledError("Rate exceeded"), UnansweredError("no answer")])
def test_reading_of_tags_is_retried(error: ServiceError) -> None:
    world = whole(adapter("acme"), adapter("zeta"))
    del world.service.components["p-acme"].tags[FLEET_TAG]
    world.service.fail("ListTags", error, times=3)
    world.trigger("drift")
    assert world.failure("acme").cause is Cause.FOREIGN


@pytest.mark.parametrize(("age", "readings"), [(0.0, 6), (1000.0, 1)])
def test_tags_of_a_foreign_component_are_read_few_times(age: float, readings: int) -> None:
    world = World(settings=LENIENT)
    world.service.make("p-a", "s3://another-team/x.tar.gz")
    world.clock.time += age
    world.apply(adapter("a"))
    assert world.service.calls["ListTags"] == readings
    assert [event.what for event in world.registry.events.newest("p-a", 10)] == ["failed"]
    world.apply(adapter("a", 2))
    assert world.service.calls["ListTags"] == readings + 1
