"""A component with the fleet's tag that no guard has counted is reported and left alone."""

import pytest

from adapter_fleet.common.naming import FLEET_TAG
from adapter_fleet.fleet.requests.is_complete import data_of
from adapter_fleet.fleet.state.configuration import LATE_TAGS_SECONDS
from adapter_fleet.fleet.state.fleet_settings import DriftAction, FleetSettings
from adapter_fleet.fleet.state.generations import Outcome
from tests.adapter_fleet.fleet_world import UID, World, adapter, artifact, deployed

FLEET = [adapter(f"t{number}") for number in range(20)]
TRIGGERS = pytest.mark.parametrize("trigger", ["deployment", "manifest", "drift", "order"])


def world_with() -> World:
    return deployed(*FLEET, settings=FleetSettings(request_rate=10, drift=DriftAction.REPAIR))


def tag_strangers(world: World, number: int) -> None:
    """Let a person put the fleet's tag on components that they created."""
    for index in range(number):
        world.service.make(f"victim-{index}", "s3://other/x.tar.gz", tags={FLEET_TAG: UID})


def trigger_by(world: World, trigger: str) -> None:
    if trigger == "deployment":
        world.deploy(*FLEET, digest="again")
    elif trigger == "manifest":
        world.put_manifest(*FLEET)
    else:
        world.start_machine(trigger)
    world.settle()


class TestComponentTaggedByHand:
    @TRIGGERS
    def test_no_pass_deletes_an_orphan(self, trigger: str) -> None:
        world = world_with()
        tag_strangers(world, 30)
        for _ in range(3):
            trigger_by(world, trigger)
        assert world.deletions() == []
        assert len(world.serving()) == 50

    def test_orphan_is_reported_is_no_failure_and_holds_nothing_up(self) -> None:
        world = world_with()
        tag_strangers(world, 3)
        world.service.components["victim-0"].stuck = True
        world.apply(*FLEET)
        newest = world.newest()
        assert (newest.outcome, newest.orphans) == (Outcome.CONVERGED, 3)
        assert (newest.failed, newest.pending) == (0, 0)
        assert "3 with the fleet's tag that no manifest wants" in data_of(newest)["Summary"]

    def test_generation_that_goes_on_after_a_refusal_deletes_no_orphan(self) -> None:
        world = world_with()
        tag_strangers(world, 30)
        for _ in range(4):
            trigger_by(world, "deployment")
        assert world.newest().outcome is Outcome.REFUSED
        world.trigger("drift")
        assert world.deletions() == []

    @pytest.mark.parametrize("lag", [0.0, 30.0], ids=["listed", "not yet listed"])
    def test_order_to_prune_is_void_for_another_incarnation(self, lag: float) -> None:
        world = world_with()
        tag_strangers(world, 1)
        trigger_by(world, "order")
        created = world.service.components["victim-0"].created
        world.service.faults.listing_lag = lag
        world.clock.time += 60.0
        tag_strangers(world, 1)
        world.prune("victim-0", created)
        world.settle()
        assert world.deletions() == []
        assert world.newest().orphans == 1

    def test_wanted_component_on_another_base_is_not_deleted_without_a_count(self) -> None:
        world = world_with()
        world.service.add_base(base="base-2")
        world.service.remove("p-t0")
        world.service.make("p-t0", artifact("t0").uri, tags={FLEET_TAG: UID}, base="base-2")
        world.trigger("drift")
        assert world.deletions() == []
        assert world.newest().outcome is Outcome.CONVERGED


@TRIGGERS
def test_no_serving_adapter_is_deleted(trigger: str) -> None:
    """The registry is one from a backup, after which fifty adapters came into service."""
    world = world_with()
    backup = world.registry.clone()
    world.apply(*FLEET, *[adapter(f"n{number}") for number in range(50)])
    world.registry.restore(backup)
    world.executions.clear()
    for _ in range(3):
        trigger_by(world, trigger)
    assert world.deletions() == []
    assert len(world.serving()) == 70


@pytest.mark.parametrize("rolling_back", [True, None])
def test_rollback_of_a_creation_deletes_only_what_that_created(rolling_back: bool | None) -> None:
    world = World(settings=FleetSettings(request_rate=10))
    world.service.make("p-kept", artifact("kept").uri, tags={FLEET_TAG: UID})
    broken = adapter("broken")
    world.service.faults.broken[broken.artifact.uri] = "bad tensors"
    world.apply(adapter("kept"), adapter("new"), broken)
    assert world.newest().outcome is Outcome.FAILED
    world.take_down(rolling_back=rolling_back)
    assert world.newest().outcome is Outcome.CONVERGED
    assert set(world.serving()) == {"kept"}


def test_order_to_prune_outlasts_a_refused_deployment() -> None:
    world = world_with()
    tag_strangers(world, 1)
    trigger_by(world, "order")
    world.prune("victim-0", world.service.components["victim-0"].created)
    world.apply()
    assert world.newest().outcome is Outcome.REFUSED
    assert world.deletions() == ["DeleteInferenceComponent victim-0"]
    assert world.registry.orders.all() == []


class TestStrangers:
    @pytest.mark.slow
    def test_small_fleet_beside_a_large_one_is_deleted_without_reading_tags(self) -> None:
        world = deployed(adapter("a"), adapter("b"), settings=FleetSettings(request_rate=10))
        for number in range(3000):
            world.service.make(f"other-{number}", "s3://x/y.tar.gz", tags={FLEET_TAG: "fleet-2"})
        began = world.clock.now()
        world.take_down()
        assert world.newest().outcome is Outcome.CONVERGED
        assert world.service.calls["ListTags"] == 0
        assert world.clock.now() - began < 20

    @pytest.mark.slow
    def test_small_fleet_beside_a_large_one_converges_before_any_tag_is_read(self) -> None:
        world = World(settings=FleetSettings(request_rate=10))
        for number in range(1000):
            world.service.make(f"other-{number}", "s3://x/y.tar.gz", tags={FLEET_TAG: "fleet-2"})
        world.service.components["other-999"].tags[FLEET_TAG] = UID
        world.clock.time += LATE_TAGS_SECONDS
        world.apply(adapter("a"), adapter("b"))
        made = world.newest()
        assert made.ended is not None
        assert made.ended - made.request.at < 20
        assert world.service.calls["ListTags"] == 1000  # read afterwards, once
        assert (len(world.fleet().foreign), made.orphans) == (999, 1)
