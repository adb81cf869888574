"""A base model without a copy, as after a time without requests: nobody fails, and nobody wakes it."""

from dataclasses import replace
from functools import partial

import pytest

from adapter_fleet.fleet.state.components import Status
from adapter_fleet.fleet.state.fleet_settings import DriftAction, FailureLimit, FleetSettings
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.probe_check import requests_for
from adapter_fleet.manifest.desired import DesiredAdapter, SmokeRequest
from tests.adapter_fleet.fake_service import BASE
from tests.adapter_fleet.fleet_world import World, adapter, artifact, deployed

STRICT = FleetSettings(request_rate=1000.0, drift=DriftAction.REPAIR, failures=FailureLimit(count=0))
REPORTS = replace(STRICT, drift=DriftAction.REPORT)
SMOKE = SmokeRequest.from_prompt("Hello")


def asleep(*adapters: DesiredAdapter, settings: FleetSettings = STRICT) -> World:
    """A fleet that was deployed onto a base model without a copy."""
    world = World(settings=settings)
    world.service.copies = 0
    world.deploy(*adapters)
    world.run_for(120)
    return world


in_service = partial(deployed, settings=STRICT)


class TestDeployment:
    @pytest.mark.parametrize("smoke", [SMOKE, None])
    @pytest.mark.parametrize("probed", [True, False])
    def test_it_ends_well_and_nobody_is_asked(self, smoke: SmokeRequest | None, probed: bool) -> None:
        world = asleep(adapter("a", smoke=smoke, probed=probed))
        assert (world.newest().outcome, world.newest().failed) == (Outcome.CONVERGED, 0)
        assert world.asked == 0

    def test_adapters_that_wait_are_told_as_such_and_asked_once_there_is_a_copy(self) -> None:
        world = asleep(adapter("a", smoke=SMOKE, probed=True), adapter("b"))
        newest = world.newest()
        assert (newest.in_service, newest.pending) == (1, 1)
        assert newest.reason is not None
        assert "1 wait for a copy of the base model, which has none" in newest.reason
        assert world.log.metrics[-1]["asleep"] == 1
        assert world.log.metrics[-1]["copies"] == 0
        world.service.copies = 1
        world.settle()
        assert (world.newest().in_service, world.newest().pending) == (2, 0)
        assert world.record("a").last_good == world.record("a").serving

    @pytest.mark.parametrize("stuck", [True, False], ids=["it goes on", "it lacks room"])
    def test_creation_that_waits_for_a_copy_fails_nobody(self, stuck: bool) -> None:
        world = World(settings=STRICT)
        world.service.copies = 0
        if not stuck:
            world.service.faults.broken[artifact("a").uri] = "no capacity"
        world.deploy(adapter("a"))
        world.step()
        world.service.components["p-a"].stuck = stuck
        world.run_for(7200)
        assert (world.newest().outcome, world.newest().failed) == (Outcome.CONVERGED, 0)
        world.service.copies, world.service.components["p-a"].stuck = 1, False
        world.service.faults.broken.clear()
        world.settle()
        assert world.newest().in_service == 1


@pytest.mark.parametrize("settings", [STRICT, REPORTS], ids=["repair", "report"])
def test_last_good_version_that_answers_after_a_start_from_zero_is_asked_no_more(
    settings: FleetSettings,
) -> None:
    world = in_service(
        adapter("a", smoke=SMOKE, probed=True), settings=replace(settings, failures=FailureLimit(share=1.0))
    )
    world.service.faults.silent.add(artifact("a", 2).uri)
    world.apply(adapter("a", 2, smoke=SMOKE, probed=True))
    world.service.copies = 0
    world.drift()
    world.service.copies = 1
    world.service.components["p-a"].serves = None
    world.drift()
    lost = world.record("a").recheck is not None
    assert lost or settings.drift is DriftAction.REPAIR, "a report does not send it again"
    world.service.components["p-a"].serves = artifact("a").uri
    world.drift()
    assert world.serving() == {"a": artifact("a").uri}
    assert world.record("a").recheck is None


@pytest.mark.parametrize("settings", [STRICT, REPORTS], ids=["repair", "report"])
def test_adapters_wait_for_a_copy_where_the_last_one_ends_before_a_pass_asks(settings: FleetSettings) -> None:
    world = in_service(adapter("a", smoke=SMOKE), adapter("b"), settings=settings)
    world.service.copies = 0
    world.drift()
    world.service.copies = 1
    world.service.on("InvokeEndpoint", lambda: setattr(world.service, "copies", 0))
    world.start_machine("drift")
    world.step()
    assert world.newest().failed == 0
    assert world.log.metrics[-1]["asleep"] == 2
    world.service.around, world.service.copies = lambda _operation, _when: None, 1
    # The lease of the execution that sleeps is free.
    world.start_machine("scaling")
    world.step()
    assert world.newest().in_service == 2


class TestWake:
    def test_every_adapter_is_asked_again(self) -> None:
        world = in_service(adapter("a", smoke=SMOKE, probed=True), adapter("b", probed=True), adapter("c"))
        world.service.copies = 0
        world.drift()
        before = world.asked
        world.service.copies = 1
        world.drift()
        # Each adapter once, and its probe where it has one.
        assert world.asked - before == 3 + 2
        assert world.fleet().unchecked_copies == 0


class TestScaleOut:
    @pytest.mark.parametrize(("copies", "seconds"), [(1, 0.0), (3, 0.0), (11, 0.0), (3, 2.0)])
    def test_sample_has_as_many_requests_as_the_copies_need(self, copies: int, seconds: float) -> None:
        world = in_service(adapter("a"), adapter("b"), adapter("c"))
        world.service.on("InvokeEndpoint", lambda: world.clock.sleep(seconds))
        world.service.copies = copies
        before = world.asked
        world.drift()
        assert world.asked - before == 3 * max(4, requests_for(copies))

    def test_any_pass_looks_at_new_copies(self) -> None:
        world = in_service(adapter("a"), adapter("b"))
        world.service.copies = 3
        for name in ("a", "b"):
            world.service.components[f"p-{name}"].on_copies = {2: None}
        world.apply(adapter("a"), adapter("b"), adapter("c"))
        assert not world.service.components["p-a"].on_copies
        assert not world.service.components["p-b"].on_copies


class TestScalingAlarm:
    """An alarm of Application Auto Scaling starts passes, which wait for the copies."""

    def test_copies_that_were_replaced_between_two_looks_are_asked(self) -> None:
        world = in_service(adapter("a"), adapter("b"), settings=replace(STRICT, drift=None), copies=3)
        # Two of three ended unseen, and come back at this alarm.
        world.service.running = 1
        world.service.components["base"].status = Status.UPDATING
        world.start_machine("scaling")
        world.run_for(5)
        assert world.fleet().unchecked_copies == 2
        world.service.running, world.service.components["base"].status = None, Status.IN_SERVICE
        before = world.asked
        world.settle()
        assert world.asked - before == 2 * requests_for(3)
        assert world.fleet().unchecked_copies == 0

    def test_new_copy_counts_once_adapters_answer_as_themselves_on_it(self) -> None:
        names = ("a", "b", "c", "d")
        world = in_service(
            *(adapter(name, probed=True) for name in names), settings=replace(STRICT, drift=None)
        )
        world.service.copies = 3
        for name in names:
            world.service.components[f"p-{name}"].on_copies = {2: BASE}
        world.start_machine("scaling")
        world.step()
        assert world.fleet().unchecked_copies == 2
        assert world.log.metrics[-1]["unchecked"] == 2
        world.settle()
        assert world.fleet().unchecked_copies == 0
        assert [world.service.components[f"p-{name}"].on_copies for name in names] == [{}] * 4
        assert world.newest().failed == 0


class TestChangeByHandAtAScalingAlarm:
    """What a person changed stays, unless the policy is to repair it; what copies lost is sent again."""

    @pytest.mark.parametrize("drift", [None, DriftAction.REPORT, DriftAction.REPAIR])
    @pytest.mark.parametrize("by_hand", ["s3://bucket/hotfix.tar.gz", None], ids=["another version", "none"])
    def test_another_version_or_none(self, drift: DriftAction | None, by_hand: str | None) -> None:
        world = in_service(*map(adapter, ("a", "b", "c", "d")), settings=replace(STRICT, drift=drift))
        if by_hand is None:
            world.service.remove("p-a")
        else:
            world.service.edit("p-a", by_hand)
        # An alarm adds two copies, all of which lack an adapter.
        world.service.copies = 3
        world.service.components["p-b"].serves = None
        world.trigger("scaling")
        repaired = drift is DriftAction.REPAIR
        assert world.serving().get("a") == (artifact("a").uri if repaired else by_hand)
        assert (world.record("a").drifted is None) == repaired
        assert world.serving()["b"] == artifact("b").uri
        assert world.newest().failed == 0
