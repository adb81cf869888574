"""An undo goes as far as it can, and the last good versions stay known."""

from dataclasses import replace
from typing import Any

import pytest

from adapter_fleet.common.naming import FLEET_TAG
from adapter_fleet.fleet.planning.settle import MAX_RESTORES
from adapter_fleet.fleet.state.components import Status
from adapter_fleet.fleet.state.failures import Cause
from adapter_fleet.fleet.state.fleet_settings import FailureLimit, FleetSettings
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.manifest.desired import SmokeRequest
from tests.adapter_fleet.fake_service import Crash
from tests.adapter_fleet.fleet_world import UID, World, adapter, artifact, deployed, uris

STRICT = FleetSettings(request_rate=10, failures=FailureLimit(count=0))
LENIENT = FleetSettings(request_rate=10, failures=FailureLimit(share=1.0))


def test_undo_is_not_stopped_by_the_failure_policy_and_says_that_it_is_degraded() -> None:
    world = deployed(adapter("a"), adapter("b"), digest="one", settings=STRICT)
    world.apply(adapter("a", 2), adapter("b", 2), digest="two", previous="one")
    world.service.faults.broken[artifact("a").uri] = "bad tensors"
    undo = world.deploy(adapter("a"), adapter("b"), digest="one", previous="two")
    assert undo.undo
    world.settle()
    assert world.newest().outcome is Outcome.CONVERGED
    told = world.response_to(undo)["Data"]
    assert told["Summary"] == "degraded: 1 of 2 adapters in service, 1 failed: a: bad tensors"
    # The new version goes on serving where the old one cannot be restored.
    assert world.serving() == uris("b") | uris("a", version=2)


def test_deletions_come_last() -> None:
    world = deployed(
        adapter("a"), adapter("b"), adapter("c"), settings=FleetSettings(request_rate=10), seconds=30.0
    )
    world.writes().clear()
    under_way: list[set[str]] = []

    def look() -> None:
        there = world.service.components
        moving = (Status.CREATING, Status.UPDATING)
        under_way.append({name for name in there if there[name].status in moving})

    world.service.on("Delete", look)
    world.apply(adapter("a", 2), adapter("d"), adapter("e"))
    assert under_way == [set(), set()]
    assert world.writes()[-2:] == ["DeleteInferenceComponent p-b", "DeleteInferenceComponent p-c"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_undo_restores_tags_that_were_being_written_when_the_pass_died(when: str) -> None:
    world = deployed(adapter("a", tags={"tier": "gold"}), digest="one", settings=STRICT)
    world.service.fail("AddTags p-a", Crash(), when=when)
    world.deploy(adapter("a", tags={"tier": "silver", "new": "1"}), digest="two", previous="one")
    world.run_newest(deadline=600.0)
    world.apply(adapter("a", tags={"tier": "gold"}), digest="one", previous="two")
    assert world.service.components["p-a"].tags == {"tier": "gold", FLEET_TAG: UID}
    assert world.record("a").tags == {"tier": "gold"}


def test_last_good_version_is_given_up_after_repeated_failures() -> None:
    world, smoke = World(settings=LENIENT), SmokeRequest(body={"inputs": "x"})
    world.apply(adapter("a", smoke=smoke))
    world.service.faults.silent.add(artifact("a", 2).uri)
    world.service.faults.broken[artifact("a").uri] = "bad tensors"
    world.writes().clear()
    world.apply(adapter("a", 2, smoke=smoke))
    assert (world.record("a").last_good, world.record("a").restores) == (None, 0)
    assert world.writes() == ["UpdateInferenceComponent p-a"] * (1 + MAX_RESTORES)


def test_restore_of_a_failed_component_backs_off_while_its_deletion_is_refused() -> None:
    world = deployed(adapter("a"), settings=LENIENT)
    faults = world.service.faults
    faults.broken[artifact("a", 2).uri] = "bad tensors"
    world.apply(adapter("a", 2))
    there = world.service.components["p-a"]
    there.status, there.modified = Status.FAILED, world.service._tick()
    world.service._note("p-a")
    faults.deletion_refused = "it cannot be deleted"
    world.service.calls.clear()
    world.deploy(adapter("a", 2), digest="again")
    world.run_for(3600)
    assert 4 <= world.service.calls["DeleteInferenceComponent"] <= 10
    assert world.record("a").last_good == artifact("a")
    faults.deletion_refused = None
    world.run_for(3600)
    assert world.serving() == uris("a")


class TestContainerThatRefusesUpdates:
    """The last good version goes on serving. Nothing is sent again until the artifact or the base changes."""

    @pytest.fixture
    def world(self) -> World:
        world = deployed(adapter("a"), settings=LENIENT)
        world.service.faults.update_refused = True
        world.writes().clear()
        return world

    def test_new_version_is_tried_once(self, world: World) -> None:
        for digest in ("two", "two again"):
            world.apply(adapter("a", 2), digest=digest)
            assert world.failure("a").cause is Cause.UPDATE_REFUSED
        world.run_for(3600)
        assert world.serving() == uris("a")
        assert world.writes() == ["UpdateInferenceComponent p-a"]

    def test_next_version_and_another_base_are_tried(self, world: World) -> None:
        world.apply(adapter("a", 2))
        world.apply(adapter("a", 3))
        assert world.writes() == ["UpdateInferenceComponent p-a"] * 2
        world.service.faults.update_refused = False
        world.service.replace_base("model-2", lost=False)
        world.apply(adapter("a", 3), digest="on another base")
        assert world.serving() == uris("a", version=3)

    def test_version_that_somebody_else_has_sent_has_not_failed(self, world: World) -> None:
        world.apply(adapter("a", 2))
        world.service.edit("p-a", uris("a", version=2)["a"])
        world.apply(adapter("a", 2), digest="again")
        assert world.record("a").failure is None

    def test_adapter_that_its_base_lost_fails_until_the_base_changes(self, world: World) -> None:
        world.service.replace_base("model-2", lost=True)
        world.apply(adapter("a"), digest="again")
        world.run_for(3600)
        assert world.failure("a").cause is Cause.UPDATE_REFUSED
        assert world.writes() == ["UpdateInferenceComponent p-a"]
        world.service.faults.update_refused = False
        world.service.replace_base("model-3", lost=True)
        world.apply(adapter("a"), digest="and again")
        assert world.serving() == uris("a")

    def test_component_that_someone_deleted_is_created_with_the_new_version(self, world: World) -> None:
        world.apply(adapter("a", 2))
        world.service.remove("p-a")
        world.apply(adapter("a", 2), digest="again")
        assert world.serving() == uris("a", version=2)


class TestFailureLimitNearTheTimeout:
    """A deployment never fails after `is_complete` has reported its success."""

    def world(self, *, until: float, slow: str) -> tuple[World, dict[str, Any]]:
        """A fleet over its failure limit at half its timeout, and the response after some seconds."""
        settings = FleetSettings(request_rate=10, timeout_seconds=60, failures=FailureLimit(count=0))
        world = World(settings=settings, seconds=30.0)
        bad = [adapter("bad0"), adapter("bad1")]
        world.service.faults.broken = {want.artifact.uri: "bad tensors" for want in bad}
        made = world.deploy(*bad, *(adapter(f"c{number}") for number in range(5)))
        told: list[dict[str, Any]] = []

        def take_long(operation: str, when: str) -> None:
            there = world.service.components.get(slow)
            failed = there is not None and there.status is Status.FAILED
            if failed and (operation, when) == (f"DescribeInferenceComponent {slow}", "after") and not told:
                assert world.clock.now() < made.request.at + until
                world.clock.time = made.request.at + until
                told.append(world.response_to(made))

        world.service.around = take_long
        world.settle()
        return world, told[0]

    # That is the poll that finds the limit exceeded, or the next one.
    SLOW = pytest.mark.parametrize("slow", ["p-bad0", "p-bad1"])

    @SLOW
    def test_failure_limit_counts_until_the_deployment_is_reported(self, slow: str) -> None:
        world, told = self.world(until=48.0, slow=slow)
        assert told == {"IsComplete": False}
        assert world.newest().outcome is Outcome.FAILED

    @SLOW
    @pytest.mark.parametrize("until", [52.0, 61.0])
    def test_failure_limit_ends_when_the_deployment_is_about_to_be_reported(
        self, slow: str, until: float
    ) -> None:
        world, _ = self.world(until=until, slow=slow)
        assert world.newest().outcome is Outcome.CONVERGED
        assert len(world.serving()) == 5


def test_execution_names_of_undos_do_not_repeat_after_the_registry_was_lost() -> None:
    world, keys = World(), []

    def start(trigger: str, key: str) -> None:
        keys.append(key)
        world.start_machine(trigger, key)

    world.reconciler = replace(world.reconciler, start_machine=start)
    world.service.faults.broken[artifact("c").uri] = "bad tensors"
    for _ in range(2):
        world.apply(adapter("a"))
        world.apply_manifest(adapter("a"), adapter("c"))
        world.lose_registry()
        world.clock.time += 1
    assert len(keys) == len(set(keys)) == 2


class TestManifestInS3WithoutAFailurePolicy:
    """Each adapter fails alone: many write the manifest, and none of them deploys."""

    def world(self, *bad: str, stored: bool = True, settings: FleetSettings | None = None) -> World:
        world = World(settings=settings or FleetSettings(request_rate=10))
        if stored:
            world.target = replace(world.target, manifest="s3://bucket/tenants.yaml")
        world.service.faults.broken |= {artifact(name).uri: "bad tensors" for name in bad}
        return world

    def test_customer_whose_adapter_is_bad_undoes_no_later_change(self) -> None:
        world = self.world("bad")
        world.apply(adapter("a"), adapter("b"))
        for version in (2, 3):
            world.put_manifest(adapter("a", version), adapter("b", version), adapter("bad"))
            world.settle_without_retries()
        assert world.outcomes() == [Outcome.CONVERGED] * 3
        assert world.serving() == uris("a", "b", version=3)

    def test_all_that_a_change_brings_may_fail_and_what_served_serves(self) -> None:
        world = self.world("c", "d")
        world.service.faults.broken[artifact("a", 2).uri] = "bad tensors"
        world.apply(adapter("a"))
        world.put_manifest(adapter("a", 2), adapter("c"), adapter("d"))
        world.settle_without_retries()
        assert (world.newest().outcome, world.newest().failures) == (Outcome.CONVERGED, 3)
        assert world.serving()["a"] == artifact("a").uri

    @pytest.mark.parametrize(
        ("stored", "bad", "outcome"),
        [
            (True, "c", Outcome.CONVERGED),
            (True, "cd", Outcome.CONVERGED),
            (True, "bcd", Outcome.FAILED),
            (False, "c", Outcome.FAILED),
        ],
    )
    def test_deployment_fails_if_most_adapters_fail_and_that_of_a_file_above_five_per_cent(
        self, stored: bool, bad: str, outcome: Outcome
    ) -> None:
        world = self.world(*bad, stored=stored)
        world.apply(*map(adapter, "abcd"), retries=False)
        assert world.newest().outcome is outcome

    def test_only_adapter_of_a_first_deployment_fails_alone(self) -> None:
        world = self.world("a")
        world.apply(adapter("a"), retries=False)
        assert (world.newest().outcome, world.newest().failed) == (Outcome.CONVERGED, 1)

    def test_failure_policy_counts_where_there_is_one(self) -> None:
        world = self.world("bad", settings=STRICT)
        world.apply(adapter("a"))
        world.put_manifest(adapter("a", 2), adapter("bad"))
        world.settle_without_retries()
        assert world.outcomes() == [Outcome.CONVERGED, Outcome.FAILED, Outcome.CONVERGED]
