"""Another base model or smoke request changes every adapter that it concerns, and voids old failures."""

import itertools
from collections import defaultdict
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from adapter_fleet.fleet.planning.observe import base_trouble
from adapter_fleet.fleet.reconcile.base_check import BaseCheck
from adapter_fleet.fleet.reconcile.session import SCALING_TRIGGER
from adapter_fleet.fleet.state.components import ObservedBase, ObservedComponent, Status
from adapter_fleet.fleet.state.configuration import READ_RATE
from adapter_fleet.fleet.state.fleet_settings import DriftAction, FailureLimit, FleetSettings
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.records import OrderKind, Recheck
from adapter_fleet.fleet.state.sagemaker_port import RefusedError, UnansweredError
from adapter_fleet.manifest.desired import DesiredAdapter, SmokeRequest
from tests.adapter_fleet.fake_service import Crash, FakeClock
from tests.adapter_fleet.fleet_world import World, adapter, artifact, deployed, uris

STRICT = FleetSettings(request_rate=10, failures=FailureLimit(count=0), allow_base_replacement=True)
LENIENT = replace(STRICT, failures=FailureLimit(share=1.0))
MANY = [adapter(f"a{number:02}") for number in range(12)]
SMOKE = SmokeRequest(body={"inputs": "x"})
REASON = "size mismatch for lora_A"


def fleet(settings: FleetSettings = STRICT, *adapters: DesiredAdapter) -> World:
    """A fleet in service whose base model the registry knows."""
    world = World(settings=settings)
    for digest in ("zero", "one"):
        world.apply(*(adapters or MANY), digest=digest)
    return world


def answering(world: World) -> int:
    return sum(uri is not None for uri in world.serving().values())


def test_rollback_serves_the_adapters_that_failed_on_the_other_base() -> None:
    world = fleet()
    world.service.add_base("endpoint", "base-2")

    def fail_on_the_other(_operation: str, _when: str) -> None:
        fails = world.target.base == "base-2"
        world.service.faults.broken = {want.artifact.uri: REASON for want in MANY} if fails else {}

    world.service.around = fail_on_the_other
    world.target = replace(world.target, base="base-2")
    world.apply(*MANY, digest="two", previous="one")
    world.target = replace(world.target, base="base")
    assert world.deploy(*MANY, digest="one", previous="two").undo
    world.settle()
    assert (world.newest().outcome, world.newest().failed) == (Outcome.CONVERGED, 0)
    assert answering(world) == 12
    assert {there.base for there in world.service.components.values()} == {None, "base"}


class TestUpdatedBaseModel:
    def test_every_adapter_counts_as_changed(self) -> None:
        world = fleet()
        world.service.replace_base("model-2", lost=True)
        world.service.faults.broken = {want.artifact.uri: REASON for want in MANY}
        world.apply(*MANY, digest="two", previous="one")
        newest = world.newest()
        assert newest.outcome is Outcome.FAILED
        assert (newest.changes, newest.failures) == (12, 12)

    def test_container_that_refuses_the_body_of_the_probe_has_its_adapters(self) -> None:
        world = fleet()
        world.writes().clear()
        world.service.replace_base("model-2", lost=False)
        world.service.ask = (  # type: ignore[method-assign]
            lambda component, endpoint, smoke: "Received client error (400): field 'prompt' is required"
        )
        world.apply(*MANY, digest="two", previous="one")
        assert world.writes() == []
        assert world.newest().outcome is Outcome.CONVERGED
        assert all(record.recheck is None for record in world.registry.records.all().values())

    @pytest.mark.parametrize(
        "problem", ["Received client error (404)", "Received client error (400): no LoRA of that name"]
    )
    def test_adapter_that_the_container_does_not_know_is_sent_again(self, problem: str) -> None:
        world = fleet(STRICT, adapter("a"))
        world.writes().clear()
        world.service.replace_base("model-2", lost=True)

        def ask(component: str, endpoint: str, smoke: SmokeRequest) -> str | None:
            return problem if world.service.components[component].serves is None else None

        world.service.ask = ask  # type: ignore[method-assign]
        world.apply(adapter("a"), digest="two", previous="one")
        assert world.writes() == ["UpdateInferenceComponent p-a"]
        assert world.serving() == {"a": artifact("a").uri}


@pytest.mark.parametrize("answer", [None, UnansweredError("no answer in time")], ids=["exists", "no answer"])
def test_component_that_stale_reads_hid_from_its_base_check_is_asked_though_it_is_created_again(
    answer: Exception | None,
) -> None:
    """Its creation finds that it is there: nobody knows whether the base has it."""
    old = [adapter(f"o{number}") for number in range(3)]
    world = deployed(*old, seconds=0.5)
    world.clock.time += 1000.0
    world.apply(*old, adapter("young"))
    world.service.serving()
    world.service.replace_base("model-2", lost=True)
    if answer is not None:
        world.service.fail("CreateInferenceComponent p-young", answer, times=1)
    describe, faults = world.service.describe, world.service.faults

    def stale(component: str) -> ObservedComponent | None:
        faults.describe_lag = 5.0  # a describe of the base is never stale here
        try:
            return describe(component)
        finally:
            faults.describe_lag = 0.0

    world.service.describe, faults.listing_lag = stale, 3.0  # type: ignore[method-assign]
    world.trigger("order")
    assert world.serving() == uris("o0", "o1", "o2", "young")


def test_base_that_is_updated_while_a_pass_waits_for_copies_is_looked_at_by_the_next_one() -> None:
    world = fleet()
    world.start_machine(SCALING_TRIGGER)
    world.step()
    world.service.replace_base(world.service.components["base"].uri or "", lost=True)
    world.settle()
    world.apply(*MANY)
    assert answering(world) == 12


def test_adapter_whose_row_was_lost_is_asked_though_its_base_is_unchanged() -> None:
    world = fleet()
    world.service.components["p-a00"].serves = None
    del world.registry.items["records"]["p-a00"]
    world.apply(*MANY)
    assert answering(world) == 12
    assert world.writes()[-1] == "UpdateInferenceComponent p-a00"


def test_adapter_that_no_base_can_load_fails_though_its_failure_reason_stays_the_same() -> None:
    """Only a request shows that it does not serve."""
    world = fleet(LENIENT, adapter("a"))
    world.service.faults.broken[artifact("a").uri] = REASON
    for model, lost in (("model-2", True), ("model-3", False)):
        world.service.replace_base(model, lost=lost)
        world.writes().clear()
        world.apply(adapter("a"))
        assert world.writes() == ["UpdateInferenceComponent p-a"]
        assert world.newest().failed == 1
        assert world.failure("a").reason == REASON


class TestChangedSmokeRequest:
    def test_new_smoke_request_changes_its_adapter_only_and_is_sent_once(self) -> None:
        world = fleet(STRICT, adapter("a", smoke=SMOKE), adapter("b", smoke=SMOKE))
        assert world.service.calls["InvokeEndpoint"] == 2
        changed = [adapter("a", smoke=replace(SMOKE, expect="y")), adapter("b", smoke=SMOKE)]
        world.apply(*changed, digest="two", previous="one")
        assert world.newest().changes == 1
        assert world.service.calls["InvokeEndpoint"] == 3
        world.apply(*changed, digest="three", previous="two")
        assert world.service.calls["InvokeEndpoint"] == 3

    def test_failure_of_a_wrong_smoke_request_is_forgotten_once_the_request_is_corrected(self) -> None:
        wrong, right = replace(SMOKE, expect="typo"), replace(SMOKE, expect="ok")
        world = fleet(STRICT, adapter("a", smoke=right))
        world.service.ask = (  # type: ignore[method-assign]
            lambda component, endpoint, smoke: "it should match" if smoke.expect == "typo" else None
        )
        world.apply(adapter("a", 2, smoke=wrong), digest="two", previous="one")
        assert world.newest().outcome is Outcome.FAILED
        world.apply(adapter("a", smoke=right), digest="one", previous="two")
        world.apply(adapter("a", 2, smoke=right), digest="three", previous="one")
        assert world.newest().outcome is Outcome.CONVERGED
        assert world.serving() == {"a": artifact("a", 2).uri}
        assert world.record("a").failure is None


def test_base_that_cannot_be_described_halts_the_pass_and_fails_no_adapter() -> None:
    world = fleet()
    world.service.replace_base("model-2", lost=False)
    world.service.fail("DescribeInferenceComponent base", RefusedError("AccessDeniedException"))
    world.deploy(*MANY, digest="two", previous="one")
    world.step()
    assert world.newest().outcome is Outcome.OPEN
    assert "the base component cannot be described: AccessDenied" in str(world.newest().reason)
    world.service.around = lambda _operation, _when: None
    world.settle()
    assert world.newest().outcome is Outcome.CONVERGED


class TestBaseUpdateThatWasRolledBack:
    """The base has new copies of the same model, so that its version is unchanged."""

    def world(self, *, lost: bool, drift: DriftAction = DriftAction.REPAIR) -> World:
        world = fleet(replace(STRICT, drift=drift))
        world.service.replace_base("model-2", lost=lost)
        world.service.replace_base("model", lost=lost)
        world.service.calls.clear()
        world.writes().clear()
        return world

    def test_look_that_an_event_started_sends_lost_adapters_again(self) -> None:
        world = fleet(replace(STRICT, drift=DriftAction.REPORT))
        # A container that restarts changes nothing that SageMaker shows.
        for one in world.service.components.values():
            one.serves = None
        world.trigger("scaling")
        assert answering(world) == 0
        world.trigger("look")
        assert answering(world) == 12

    def test_component_that_somebody_deleted_is_not_asked_and_hides_no_lost_adapters(self) -> None:
        world = fleet(replace(STRICT, drift=DriftAction.REPORT))
        for one in world.service.components.values():
            one.serves = None
        world.service.remove("p-a00")
        asked: list[str] = []
        world.service.on("InvokeEndpoint p-a00", lambda: asked.append("p-a00"))
        world.trigger("drift")
        assert asked == []
        assert len(world.writes()) == 12  # those of the deployment
        assert world.log.metrics[-1]["drifted"] == 12

    @pytest.mark.parametrize("trigger", ["look", "drift"])
    def test_look_leaves_a_deployment_under_way_to_its_own_execution(self, trigger: str) -> None:
        world = fleet(replace(STRICT, drift=DriftAction.REPORT))
        world.deploy(*MANY, adapter("new"), digest="two", previous="one")
        runner = world.executions[-1].name
        world.run_newest(deadline=1.0)
        world.start_machine(trigger)
        world.run_newest(deadline=600.0)
        assert world.executions[-1].done
        assert world.fleet().runner == runner

    def test_all_are_sent_again_if_only_some_copies_have_them_though_the_pass_dies(self) -> None:
        world = fleet(replace(STRICT, drift=DriftAction.REPORT))
        world.writes().clear()
        turns = itertools.cycle([*["Received client error (404)"] * 3, None])
        world.service.ask = lambda *_: next(turns) if not world.writes() else None  # type: ignore[method-assign]
        world.service.fail("UpdateInferenceComponent", Crash(), when="after")
        world.carry_out(OrderKind.RETRY, "a05")
        assert len(set(world.writes())) == 12

    def test_the_next_run_asks_again_if_one_of_the_sample_could_not_be_asked(self) -> None:
        world = self.world(lost=False)
        world.service.components["p-a00"].serves = None
        world.service.fail("InvokeEndpoint p-a00", UnansweredError("the connection was closed"))
        world.apply(*MANY, adapter("new"), digest="two", previous="one")
        assert (world.newest().outcome, answering(world)) == (Outcome.CONVERGED, 12)
        assert world.log.troubles == ["p-a00 could not be asked: UnansweredError: the connection was closed"]
        world.service.around = lambda _operation, _when: None
        world.apply(*MANY, digest="three", previous="two")
        assert answering(world) == 12

    def test_adapter_whose_update_is_under_way_is_asked_once_it_is_in_service(self) -> None:
        world = fleet()
        world.service.seconds = 600.0
        world.deploy(adapter("a00", 2), *MANY[1:], digest="two", previous="one")
        world.run_newest(deadline=30.0)
        for model in ("model-2", "model"):
            world.service.replace_base(model, lost=False)
        world.deploy(adapter("a00", 2), *MANY[1:], adapter("new"), digest="three", previous="two")
        world.run_newest(deadline=30.0)
        assert world.record("a00").recheck is Recheck.ASK
        assert {world.record(one.name).recheck for one in MANY[1:]} == {None}


def test_base_that_is_found_updated_later_changes_no_generation_that_has_ended() -> None:
    world = fleet()
    world.service.replace_base("model-2", lost=False)
    world.trigger("drift")
    assert (world.newest().outcome, world.newest().rebased) == (Outcome.CONVERGED, False)


def test_adapters_that_a_base_on_other_instances_lost_are_sent_again() -> None:
    """Version and last-modified time of the base may be unchanged; the deployment says where it is hosted."""
    world = World(settings=STRICT)
    world.target = replace(world.target, hosting="1 x ml.g5.12xlarge")
    world.apply(*MANY)
    for component in world.service.components.values():
        component.serves = None
    world.target = replace(world.target, hosting="1 x ml.g5.24xlarge")
    world.apply(*MANY)
    assert answering(world) == 12


def test_requests_to_many_new_copies_keep_to_the_rate_of_reads() -> None:
    world = fleet(replace(STRICT, drift=DriftAction.REPAIR))
    world.service.copies = 12
    sent: dict[str, list[float]] = defaultdict(list)

    def note(operation: str, when: str) -> None:
        if operation.startswith("InvokeEndpoint") and when == "before":
            sent[operation].append(world.clock.now())

    world.service.around = note
    world.trigger("drift")
    sample = [times for times in sent.values() if len(times) >= 12]
    assert len(sample) == 3
    for times in sample:
        gaps = [after - before for before, after in itertools.pairwise(times)]
        assert min(gaps) >= len(sample) / READ_RATE - 1e-6


@pytest.mark.parametrize("drift", DriftAction)
def test_lost_base_of_a_converged_fleet_is_reported_until_it_is_restored(drift: DriftAction) -> None:
    """The fleet loses it an hour after it converged; a drift check comes every ten minutes."""
    world = deployed(*MANY, settings=FleetSettings(request_rate=10, drift=drift))
    world.clock.time += 3600
    world.log.metrics.clear()
    for component in list(world.service.components):
        world.service.remove(component)
    for _ in range(6):
        world.start_machine("drift")
        world.run_for(1)
        world.clock.time += 600
    assert world.newest().outcome is Outcome.CONVERGED
    assert world.fleet().trouble == "the base component 'base' is not there"
    # The age grows from when the loss was found, and every adapter counts as drifted.
    ages = [metrics["age"] for metrics in world.log.metrics]
    assert ages[0] == 0
    assert ages == sorted(ages)
    ended = world.newest().ended
    assert ended is not None
    assert 2900 < ages[-1] < world.clock.now() - ended - 3600
    assert {metrics["drifted"] for metrics in world.log.metrics} == {len(MANY)}
    world.service.add_base()
    world.apply(*MANY)
    assert {"age": 0, "throttles": 0, "drifted": 0}.items() <= world.log.metrics[-1].items()
    assert (world.fleet().trouble, world.fleet().behind_since) == (None, None)
    assert len(world.serving()) == len(MANY)


@pytest.mark.parametrize("status", [None, *Status])
def test_adapters_are_created_on_a_base_in_service(status: Status | None) -> None:
    live = None if status is None else ObservedComponent(status=status, created=1.0, modified=1.0)
    serves = status in (Status.IN_SERVICE, Status.UPDATING)
    assert (base_trouble("base", live) is None) == serves


def test_drift_check_finds_the_few_adapters_that_were_loaded_before() -> None:
    """New copies during a pass have the adapters that load after them, and not the earlier ones."""
    world = fleet(replace(STRICT, drift=DriftAction.REPAIR))
    unchanged = {"a02", "a03"}
    manifest = [want if want.name in unchanged else adapter(want.name, 2) for want in MANY]
    world.service.on(
        "UpdateInferenceComponent", lambda: world.service.replace_base("model", lost=True), times=1
    )
    world.apply(*manifest, digest="two", previous="one")
    assert answering(world) == 10
    world.trigger("drift")
    assert answering(world) == 12


@pytest.mark.parametrize(
    ("state", "seconds"),
    [
        ({}, None),
        ({"trigger": SCALING_TRIGGER}, 30.0),
        ({"trigger": SCALING_TRIGGER, "passes": 2}, 30.0),
        ({"trigger": SCALING_TRIGGER, "passes": 3}, 120.0),
        ({"trigger": SCALING_TRIGGER, "passes": 3, "changed": 719.0}, 120.0),
        ({"trigger": SCALING_TRIGGER, "passes": 3, "changed": 720.0}, None),
        ({"trigger": SCALING_TRIGGER, "passes": 3, "updating": True}, 30.0),
        ({"trigger": SCALING_TRIGGER, "passes": 119, "updating": True}, None),
        ({"updating": True}, None),
        ({"updating": True, "unchecked": 1}, 30.0),
        ({"unchecked": 1}, None),
        ({"doubtful": True, "passes": 2}, 30.0),
        ({"doubtful": True, "passes": 3}, None),
        ({"trigger": SCALING_TRIGGER, "updating": True, "deleting": True}, None),
    ],
)
def test_base_is_looked_at_again_while_copies_may_come(state: dict[str, Any], seconds: float | None) -> None:
    clock = FakeClock()
    session: Any = SimpleNamespace(
        pass_input=SimpleNamespace(trigger=state.get("trigger", "drift"), passes=state.get("passes", 0)),
        fleet=SimpleNamespace(
            unchecked_copies=state.get("unchecked", 0),
            copies_changed=clock.now() - state.get("changed", 0.0),
            base_copies=1,
            checked_copies=1,
        ),
        update_fleet=lambda **_: None,
        deleting=state.get("deleting", False),
        clock=clock,
    )
    nothing: Any = None
    check = BaseCheck(session, nothing, nothing)
    status = Status.UPDATING if state.get("updating") else Status.IN_SERVICE
    live = ObservedComponent(status=status, created=1.0, modified=1.0)
    check.note_copies(ObservedBase(live=live, version="model"))
    check._doubtful = state.get("doubtful", False)
    assert check.next_look == seconds
