"""A component that may not be read is left alone, and holds up nothing else."""

from __future__ import annotations

import pytest

from adapter_fleet.common.naming import FLEET_TAG
from adapter_fleet.fleet.state.fleet_settings import DeletionLimit, FailureLimit, FleetSettings
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.sagemaker_port import (
    ConflictError,
    LimitReachedError,
    RefusedError,
    ServiceError,
    UnansweredError,
)
from tests.adapter_fleet.fleet_world import World, adapter, artifact

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
    world = World(settings=FleetSettings(request_rate=10, failures=FailureLimit(share=1.0)))
    world.apply(*MANY)
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
    assert set(world.registry.records()) == {"p-a"}
    assert world.fleet().foreign == {}  # its owner is unknown
    world.destroy()
    world.settle()
    assert world.newest().outcome is Outcome.CONVERGED
    assert set(world.serving()) == {"other-team"}


class TestAfterTheRegistryWasLost:
    def world(self) -> World:
        world = World(settings=FleetSettings(request_rate=10, failures=FailureLimit(share=1.0)))
        world.apply(*MANY)
        world.lose_registry()
        deny(world, "ListTags")
        return world

    def test_components_readable_later_are_orphans_until_a_guard_counts_them(self) -> None:
        world = self.world()
        world.deploy(*MANY[:10])
        world.run_for(600)
        world.service.around = lambda _operation, _when: None
        world.settle()
        assert world.newest().orphans == 10
        world.apply(*MANY[:10])
        assert world.newest().outcome is Outcome.REFUSED
        assert "deletion_guard" in str(world.newest().reason)
        assert world.deletions() == []

    def test_unreadable_component_is_not_deleted_though_the_guard_allows_it(self) -> None:
        world = self.world()
        world.with_settings(FleetSettings(request_rate=10, deletions=DeletionLimit(share=1.0)))
        deny(world, "ListTags p-a19")
        world.apply(*MANY[:19])
        assert world.newest().outcome is Outcome.CONVERGED
        assert "p-a19" in world.service.components
        assert world.deletions() == []


class TestAdapterOfTheFleet:
    def world(self, limit: FailureLimit) -> World:
        world = World(settings=FleetSettings(request_rate=10, failures=limit))
        world.apply(*MANY)
        world.service.edit("p-a00", "s3://bucket/by-hand.tar.gz")
        deny(world, "DescribeInferenceComponent p-a00")
        return world

    def test_unreadable_adapter_fails_alone(self) -> None:
        world = self.world(FailureLimit(count=1))
        world.apply(*MANY, adapter("new"), retries=False)
        assert world.newest().outcome is Outcome.CONVERGED
        assert world.newest().failed == 1
        assert "a00: AccessDenied" in str(world.newest().reason)
        assert world.serving()["new"] == artifact("new").uri

    def test_changed_unreadable_adapter_counts_against_the_failure_limit(self) -> None:
        world = self.world(FailureLimit(count=0))
        world.apply(adapter("a00", 2), *MANY[1:], retries=False)
        assert world.newest().outcome is Outcome.FAILED
        assert "explicit deny" in str(world.newest().reason)
