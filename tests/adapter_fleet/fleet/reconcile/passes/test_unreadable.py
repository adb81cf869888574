"""A component that may not be read is left alone, and holds up nothing else."""

from __future__ import annotations

from collections.abc import Callable

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


def failing(error: ServiceError, *operations: str) -> Callable[[str, str], None]:
    def around(operation: str, when: str) -> None:
        if when == "before" and operation.startswith(operations):
            raise error

    return around


def denied(*operations: str) -> Callable[[str, str], None]:
    return failing(RefusedError(f"AccessDeniedException: explicit deny of {operations[0]}"), *operations)


@pytest.mark.parametrize(
    "error",
    [UnansweredError("no answer in time"), ConflictError("in progress"), LimitReachedError("a quota")],
    ids=lambda error: type(error).__name__,
)
class TestComponentWhoseReadsKeepFailing:
    def test_it_holds_up_no_other(self, error: ServiceError) -> None:
        world = World(settings=FleetSettings(request_rate=10, failures=FailureLimit(share=1.0)))
        world.apply(*MANY)
        world.service.touch("p-a00")
        world.service.around = failing(error, "DescribeInferenceComponent p-a00")
        world.deploy(*MANY[:19], adapter("a19", 2))
        world.run_for(300)
        assert world.serving()["a19"] == artifact("a19", 2).uri
        assert world.newest().outcome is Outcome.CONVERGED

    def test_it_is_read_no_more_often_than_the_rate_allows(self, error: ServiceError) -> None:
        world = World(settings=FleetSettings(request_rate=10, failures=FailureLimit(share=1.0)))
        world.apply(*MANY)
        world.service.touch("p-a00")
        world.service.around = failing(error, "DescribeInferenceComponent p-a00")
        before = world.service.calls["DescribeInferenceComponent"]
        world.deploy(*MANY)
        world.run_for(600)
        assert world.service.calls["DescribeInferenceComponent"] - before < 200

    def test_another_teams_holds_up_nothing(self, error: ServiceError) -> None:
        world = World()
        world.service.make("other-team", "s3://x/y.tar.gz", tags={FLEET_TAG: "fleet-2"})
        world.service.around = failing(error, "ListTags other-team")
        world.deploy(adapter("a"))
        began = world.clock.now()
        world.settle()
        assert world.newest().outcome is Outcome.CONVERGED
        assert world.clock.now() - began < 300


class TestComponentOfAnotherTeam:
    def world(self) -> World:
        world = World()
        world.service.make("other-team", "s3://x/y.tar.gz", tags={FLEET_TAG: "fleet-2"})
        world.service.around = denied("ListTags other-team")
        return world

    def test_unreadable_component_does_not_hold_up_a_deletion(self) -> None:
        world = self.world()
        world.apply(adapter("a"))
        world.destroy()
        world.settle()
        assert world.newest().outcome is Outcome.CONVERGED
        assert set(world.serving()) == {"other-team"}

    def test_unreadable_component_gets_no_record(self) -> None:
        world = self.world()
        world.apply(adapter("a"))
        assert set(world.registry.records()) == {"p-a"}
        fleet = world.fleet()
        assert fleet.foreign == {}  # its owner is unknown


class TestAfterTheRegistryWasLost:
    def world(self) -> World:
        world = World(settings=FleetSettings(request_rate=10, failures=FailureLimit(share=1.0)))
        world.apply(*MANY)
        world.registry.__init__()  # type: ignore[misc]
        world.service.around = denied("ListTags")
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
        world.service.around = denied("ListTags p-a19")
        world.apply(*MANY[:19])
        assert world.newest().outcome is Outcome.CONVERGED
        assert "p-a19" in world.service.components
        assert world.deletions() == []


class TestAdapterOfTheFleet:
    def world(self, limit: FailureLimit) -> World:
        world = World(settings=FleetSettings(request_rate=10, failures=limit))
        world.apply(*MANY)
        world.service.edit("p-a00", "s3://bucket/by-hand.tar.gz")
        world.service.around = denied("DescribeInferenceComponent p-a00")
        return world

    def test_unreadable_adapter_fails_alone(self) -> None:
        world = self.world(FailureLimit(count=1))
        world.deploy(*MANY, adapter("new"))
        world.settle_without_retries()
        assert world.newest().outcome is Outcome.CONVERGED
        assert world.newest().failed == 1
        assert "a00: AccessDenied" in str(world.newest().reason)
        assert world.serving()["new"] == artifact("new").uri

    def test_changed_unreadable_adapter_counts_against_the_failure_limit(self) -> None:
        world = self.world(FailureLimit(count=0))
        world.deploy(adapter("a00", 2), *MANY[1:])
        world.settle_without_retries()
        assert world.newest().outcome is Outcome.FAILED
        assert "explicit deny" in str(world.newest().reason)
