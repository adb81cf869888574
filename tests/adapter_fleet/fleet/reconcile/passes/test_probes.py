"""The adapter that answers is the one that was declared: every swap is a failure that says who answers."""

from dataclasses import replace

import pytest

from adapter_fleet.fleet.state.components import Status
from adapter_fleet.fleet.state.failures import Cause
from adapter_fleet.fleet.state.fleet_settings import DriftAction, FailureLimit, FleetSettings
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.records import Order, OrderKind
from adapter_fleet.fleet.state.sagemaker_port import ModelFailedError, ServiceError, UnansweredError
from adapter_fleet.fleet.steps.executor import execute
from adapter_fleet.fleet.steps.probes import MAX_PROBE_SECONDS
from adapter_fleet.fleet.steps.task import StepOutcome, StepTask
from adapter_fleet.manifest.desired import DesiredAdapter, Probe, SmokeRequest
from adapter_fleet.serving.completions import Completion, PromptRequest
from tests.adapter_fleet.fake_service import BASE, answer_of
from tests.adapter_fleet.fleet_world import World, adapter, artifact, deployed

REPORTS = FleetSettings(
    request_rate=1000.0, drift=DriftAction.REPORT, probes_per_drift_run=None, failures=FailureLimit(share=1.0)
)
REPAIRS = replace(REPORTS, drift=DriftAction.REPAIR)
SMOKE = SmokeRequest.from_prompt("Hello")


def fleet(*adapters: DesiredAdapter, settings: FleetSettings = REPAIRS, copies: int = 1) -> World:
    """A fleet in service, on a base with some copies."""
    wanted = adapters or (adapter("a", probed=True), adapter("b", probed=True))
    return deployed(*wanted, settings=settings, copies=copies)


def failures(world: World, since: int = 0) -> dict[str, str]:
    return {event.name: event.cause or "" for event in world.log.events[since:] if event.what == "failed"}


class TestAfterAChange:
    def test_no_other_call_is_made_for_it(self) -> None:
        without, with_probe = fleet(adapter("a")), fleet(adapter("a", probed=True), copies=3)
        assert with_probe.service.calls - without.service.calls == {"InvokeEndpoint": 14}

    def test_update_that_the_container_ignores_is_taken_back(self) -> None:
        world = fleet(adapter("a", probed=True))
        _answers_instead(world, artifact("a", 2).uri, artifact("a", 1).uri)
        world.apply(adapter("a", 2, probed=True), retries=False)
        assert "its version v1.tar.gz answers in its place" in failures(world)["a"]
        world.settle()
        assert world.service.components["p-a"].uri == artifact("a", 1).uri
        assert [write.partition(" ")[0] for write in world.writes()] == [
            "CreateInferenceComponent",
            "UpdateInferenceComponent",
            "UpdateInferenceComponent",
        ]

    def test_it_is_not_retried_until_the_probe_or_the_artifact_changes(self) -> None:
        world = World(settings=REPAIRS)
        _answers_instead(world, artifact("a", 1).uri, BASE)
        wrong = adapter("a", probed=True)
        world.apply(wrong)
        asked = world.asked
        world.apply(wrong, digest="again")
        assert world.asked == asked
        mended = Probe(prompt="Who?", answer=answer_of(BASE, "Who?"))
        world.apply(replace(wrong, artifact=replace(wrong.artifact, probe=mended)))
        assert world.record("a").failure is None
        assert len(world.writes()) == 1

    def test_wrong_new_probe_of_a_version_in_service_fails_and_writes_nothing(self) -> None:
        good = adapter("a", probed=True)
        world = fleet(good, copies=3)
        writes = len(world.writes())
        typo = Probe(prompt="Who?", answer="nobody answers this")
        world.apply(replace(good, artifact=replace(good.artifact, probe=typo)))
        assert world.writes()[writes:] == []
        assert world.failure("a").cause is Cause.IDENTITY
        world.apply(good)
        assert world.record("a").failure is None
        assert world.writes()[writes:] == []

    def test_new_base_whose_answers_differ_fails_its_adapters_and_writes_nothing(self) -> None:
        world = fleet(copies=3)
        writes = len(world.writes())
        world.service.replace_base("another model", lost=False)
        world.service.faults.wrong_answers = 1.0
        world.apply(adapter("a", probed=True), adapter("b", probed=True), digest="again")
        assert failures(world).keys() == {"a", "b"}
        assert world.writes()[writes:] == []

    def test_version_that_is_rolled_back_to_is_asked_for_its_own_probe(self) -> None:
        world = fleet(adapter("a", probed=True))
        world.apply(adapter("a", 2, probed=True))
        first = world.record("a").versions[1]
        asked = world.asked
        world.carry_out(OrderKind.PIN, "a", artifact=first, replaces=artifact("a", 2))
        assert world.serving()["a"] == artifact("a", 1).uri
        assert failures(world) == {}
        check = world.probed("a")
        assert first.probe is not None
        assert check.probe == first.probe.digest
        assert check.is_complete
        assert world.asked == asked + 1

    def test_one_lost_answer_is_no_failure(self) -> None:
        world = World(settings=REPAIRS)
        world.service.faults.unanswered = 1
        world.apply(adapter("a", probed=True))
        assert failures(world) == {}
        assert world.asked == 2

    @pytest.mark.parametrize("error", [UnansweredError, ModelFailedError])
    @pytest.mark.parametrize("answered", [0, 3])
    def test_step_that_waits_for_a_silent_container_ends_in_time(
        self, answered: int, error: type[ServiceError], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world = World(settings=REPAIRS)
        world.service.copies = 3
        answer, left, took = world.service.complete, answered, []

        def silent(component: str, endpoint: str, prompt: PromptRequest) -> Completion:
            nonlocal left
            if left:
                left -= 1
                return answer(component, endpoint, prompt)
            world.clock.sleep(63.0)
            raise error("no answer in time")

        def timed(task: StepTask) -> StepOutcome:
            began = world.clock.now()
            result = execute(task)
            took.append(world.clock.now() - began)
            return result

        world.service.complete = silent  # type: ignore[method-assign]
        monkeypatch.setattr("adapter_fleet.fleet.reconcile.step_taking.execute", timed)
        world.deploy(adapter("a", probed=True))
        world.run_for(30.0)
        assert 63.0 <= max(took) < MAX_PROBE_SECONDS


def _answers_instead(world: World, declared: str, other: str | None) -> None:
    """Let every copy answer with another artifact wherever this one was loaded."""

    def swap() -> None:
        for component in world.service.components.values():
            if component.uri == declared:
                component.serves = other

    world.service.on("InvokeEndpoint", swap)


NAMES = [f"t{number:02}" for number in range(30)]
LOST = None
SWAPS: dict[str, tuple[int, str | None, str]] = {
    # copies that are wrong of three, what they answer with, and what the failure says
    "t00": (3, BASE, "the base model answers in its place"),
    "t01": (3, artifact("t01", 1).uri, "its version v1.tar.gz answers in its place"),
    "t02": (3, artifact("t03", 2).uri, "adapter 't03' answers in its place"),
    "t04": (1, BASE, "not every copy of the base model has it: the base model answers"),
    "t05": (1, LOST, "not every copy of the base model has it: a copy of the base model does not have"),
    "t06": (1, artifact("t06", 1).uri, "not every copy of the base model has it: its version v1.tar.gz"),
    "t07": (2, artifact("t08", 2).uri, "not every copy of the base model has it: adapter 't08'"),
    "t09": (2, BASE, "not every copy of the base model has it: the base model answers"),
    "t10": (3, "s3://bucket/stranger.tar.gz", "another model answers in its place"),
    "t11": (3, LOST, "a copy of the base model does not have the adapter"),
}


class TestAfterARestore:
    def restored(self) -> World:
        """A fleet whose second version failed its smoke request, so that the first one serves again."""
        world = fleet(adapter("a", smoke=SMOKE, probed=True))
        world.service.faults.silent.add(artifact("a", 2).uri)
        world.apply(adapter("a", 2, smoke=SMOKE, probed=True))
        assert world.serving()["a"] == artifact("a", 1).uri
        return world

    def test_restored_version_is_asked_for_its_own_probe(self) -> None:
        world = self.restored()
        assert world.probed("a").is_complete
        assert world.probed("a").artifact.same_as(artifact("a", 1))
        assert world.failure("a").artifact.same_as(artifact("a", 2))

    def test_drift_check_finds_a_swap_of_it_and_sends_it_again(self) -> None:
        world = self.restored()
        writes = len(world.writes())
        world.service.components["p-a"].serves = BASE
        before = len(world.log.events)
        world.drift()
        assert "could not be restored: the probe: the base model answers" in failures(world, before)["a"]
        assert world.writes()[writes:] == ["UpdateInferenceComponent p-a"]
        assert world.serving()["a"] == artifact("a", 1).uri


class TestOrderToRetryWhatServes:
    """Somebody swapped the weights of a copy, and the fleet has not noticed."""

    @pytest.mark.parametrize("serves", [BASE, None])
    @pytest.mark.parametrize("settings", [REPORTS, REPAIRS], ids=["reports", "repairs"])
    def test_each_order_sends_it_again(self, settings: FleetSettings, serves: str | None) -> None:
        world = fleet(settings=settings)
        for _ in range(2):
            world.service.components["p-a"].serves = serves
            world.carry_out(OrderKind.RETRY, "a")
            assert (world.serving()["a"], world.record("a").failure) == (artifact("a").uri, None)

    def test_failure_of_another_version_hinders_it_not(self) -> None:
        world = fleet()
        world.service.faults.broken[artifact("a", 2).uri] = "no such tensor"
        world.apply(adapter("a", 2, probed=True), adapter("b", probed=True))
        world.service.components["p-a"].serves = BASE
        world.carry_out(OrderKind.RETRY, "a")
        assert world.serving()["a"] == artifact("a", 1).uri

    def test_copies_are_checked_all_the_same(self) -> None:
        world = fleet(adapter("a", probed=True))
        world.service.copies = 3
        world.carry_out(OrderKind.RETRY, "a")
        assert world.fleet().unchecked_copies == 0

    def test_without_a_copy_it_leaves_the_fleet_converged(self) -> None:
        world = fleet()
        world.service.copies = 0
        world.carry_out(OrderKind.RETRY, "a")
        assert (world.record("a").recheck, world.newest().pending) == (None, 0)

    @pytest.mark.parametrize("first", ["drift", "scaling"])
    def test_pass_that_comes_first_takes_nothing_of_it_away(self, first: str) -> None:
        world = fleet(settings=REPORTS)
        world.service.components["p-a"].serves = BASE
        world.service.edit("p-b", "s3://bucket/other.tar.gz")
        world.registry.orders.add(
            [Order(kind=OrderKind.RETRY, component=f"p-{name}", at=0.0) for name in "ab"]
        )
        world.trigger(first)
        world.trigger("order")
        assert [world.serving()[name] for name in "ab"] == [artifact("a").uri, artifact("b").uri]


class TestDriftRuns:
    @pytest.mark.slow
    @pytest.mark.parametrize("settings", [REPORTS, REPAIRS], ids=["reports", "repairs"])
    def test_ten_planted_swaps_fail_by_name_within_one_run(self, settings: FleetSettings) -> None:
        """No describe and no listing shows them. A report writes nothing; a repair sends archives again."""
        world = fleet(*(adapter(name, probed=True) for name in NAMES), settings=settings, copies=3)
        world.apply(*(adapter(name, 2, probed=True) for name in NAMES))
        for name, (copies, serves, _) in SWAPS.items():
            world.service.components[f"p-{name}"].on_copies = dict.fromkeys(range(copies), serves)
        events, writes = len(world.log.events), len(world.writes())
        world.drift()
        found = failures(world, events)
        assert found.keys() == SWAPS.keys()
        for name, (_, _, reason) in SWAPS.items():
            assert reason in found[name]
        assert "should begin with" in found["t00"]
        assert "got" in found["t00"]
        repairs = settings is REPAIRS
        sent = [f"UpdateInferenceComponent p-{name}" for name in SWAPS] if repairs else []
        assert sorted(world.writes()[writes:]) == sent
        failed = {name for name in NAMES if world.record(name).failure is not None}
        assert failed == (set() if repairs else set(SWAPS))

    def test_swap_is_not_hidden_by_a_container_that_refuses_the_archive(self) -> None:
        """Neither is the adapter deleted for it."""
        world = fleet(adapter("a", probed=True), settings=REPAIRS)
        writes = len(world.writes())
        world.service.components["p-a"].serves = BASE
        world.service.faults.update_refused = True
        for _ in range(2):
            world.drift()
            assert world.failure("a").cause is Cause.IDENTITY
        world.apply(adapter("a", probed=True), digest="again")
        assert world.writes()[writes:] == ["UpdateInferenceComponent p-a"]
        world.service.components["p-a"].serves = artifact("a").uri
        world.drift()
        assert world.record("a").failure is None

    def test_new_copies_that_lack_what_was_sent_again_in_vain_are_sent_it_in_one_run(self) -> None:
        world = fleet(adapter("a", probed=True))
        _answers_instead(world, artifact("a").uri, BASE)
        world.drift()
        _answers_instead(world, artifact("a").uri, LOST)
        writes = []
        for _ in range(9):
            before = len(world.writes())
            world.drift()
            writes.append(len(world.writes()) - before)
        assert writes == [2, 0, 0, 0, 0, 0, 0, 0, 0]  # once for the probe, once for what that left to ask
        _answers_instead(world, artifact("a").uri, artifact("a").uri)
        world.drift()
        assert (world.record("a").failure, world.probed("a").lacked) == (None, False)

    def test_base_that_loses_it_once_it_was_sent_again_is_sent_it_once_more(self) -> None:
        world = fleet()
        world.service.components["p-a"].serves = BASE
        world.start_machine("drift")
        while not world.service.calls["UpdateInferenceComponent"]:
            world.run_newest(deadline=0.5)
        world.clock.time += 60.0
        world.service.replace_base(world.service.components["base"].uri, lost=True)
        world.settle()
        assert (world.serving()["a"], world.record("a").failure) == (artifact("a").uri, None)

    def test_base_that_answers_still_is_sent_it_once_and_the_adapter_heals(self) -> None:
        world = fleet(adapter("a", smoke=SMOKE, probed=True))
        there = world.service.components["p-a"]
        world.service.faults.silent.add(BASE)  # its answer to the smoke request is wrong, too
        world.service.on("", lambda: setattr(there, "serves", BASE))
        world.drift()
        assert (world.failure("a").cause, len(world.writes())) == (Cause.IDENTITY, 2)
        world.service.around, there.serves = lambda *_: None, there.uri
        world.drift()
        assert world.record("a").failure is None

    def test_other_failure_of_an_adapter_that_is_asked_stays(self) -> None:
        world = TestAfterARestore().restored()
        world.apply(adapter("a", smoke=SMOKE, probed=True))
        asked = world.asked
        world.drift()
        assert world.asked > asked
        assert world.failure("a").artifact.same_as(artifact("a", 2))

    def test_run_asks_as_many_as_the_settings_say_and_the_next_run_the_others(self) -> None:
        names = [f"a{number}" for number in range(9)]
        adapters = [adapter(name, probed=True) for name in names]
        for settings in (REPORTS, REPAIRS):
            world = fleet(*adapters, settings=replace(settings, probes_per_drift_run=3))
            began = world.clock.now()
            for _ in range(3):
                before = world.asked
                world.drift()
                asked = world.asked - before
                # A drift check asks three adapters four times each besides, to find new copies of the base.
                assert asked == 3 + 3 * 4
            assert all((world.probed(name).ended or 0.0) > began for name in names)

    def test_adapters_that_an_earlier_run_left_are_among_as_many_as_the_settings_say(self) -> None:
        adapters = [adapter(f"a{number}", probed=True) for number in range(9)]
        world = fleet(*adapters, settings=replace(REPORTS, probes_per_drift_run=3))
        world.service.faults.unanswered = 3 * 3
        world.drift()
        before = world.asked
        world.drift()
        assert world.asked - before == 3 + 3 * 4

    @pytest.mark.parametrize("settings", [REPORTS, REPAIRS])
    @pytest.mark.parametrize("updated", [False, True], ids=["no copy", "updated"])
    def test_nobody_is_asked_while_the_base_has_no_copy_or_is_updated(
        self, settings: FleetSettings, updated: bool
    ) -> None:
        world = fleet(settings=settings)
        before = world.asked
        if updated:
            world.service.replace_base("another model", lost=False)
            world.service.components["base"].status = Status.UPDATING
        else:
            world.service.copies = 0
        world.drift()
        assert world.asked == before
        assert failures(world) == {}
        assert world.newest().failed == 0

    @pytest.mark.slow
    def test_none_of_a_thousand_healthy_adapters_fails_though_one_answer_of_a_hundred_is_wrong(self) -> None:
        adapters = [adapter(f"a{number:04}", probed=True) for number in range(1000)]
        world = fleet(*adapters)
        before = world.asked
        world.service.faults.wrong_answers = 0.01
        world.drift()
        assert world.asked - before > 1000
        assert failures(world) == {}
        assert world.newest().failed == 0

    def test_adapters_that_a_report_has_no_time_for_are_left_as_they_are(self) -> None:
        world = fleet(*(adapter(name, probed=True) for name in NAMES), settings=REPORTS, copies=3)
        swapped = NAMES[::2]
        for name in swapped:
            world.service.components[f"p-{name}"].serves = BASE
        world.drift()
        world.service.on("InvokeEndpoint", lambda: world.clock.sleep(2.0))
        world.drift()
        checks = [world.probed(name) for name in NAMES if name not in swapped]
        assert all(check.is_complete for check in checks)
        assert len({check.ended for check in checks}) > 1
        assert {world.failure(name).cause for name in swapped} == {Cause.IDENTITY}


class TestWeakerCheck:
    def test_answer_like_the_base_s_is_no_failure(self) -> None:
        world = World(settings=REPAIRS)
        _answers_instead(world, artifact("a", 1).uri, BASE)
        world.apply(adapter("a", smoke=SMOKE))
        assert world.probed("a").like_base is True
        assert world.newest().outcome is Outcome.CONVERGED
        assert world.record("a").failure is None

    NAMES = ("a", "b", "c")

    def fleet(self, settings: FleetSettings = REPORTS, *, copies: int = 1) -> World:
        """A fleet of adapters that have a smoke request and no probe."""
        return fleet(*(adapter(name, smoke=SMOKE) for name in self.NAMES), settings=settings, copies=copies)

    @pytest.mark.parametrize("copies", [1, 3])
    @pytest.mark.parametrize(
        ("instead", "who"), [(BASE, "the base model"), (artifact("b").uri, "adapter 'b'")], ids=["base", "b"]
    )
    def test_drift_check_finds_who_answers_instead(self, copies: int, instead: str, who: str) -> None:
        world = self.fleet(copies=copies)
        world.service.components["p-a"].serves = instead
        world.drift()
        assert world.failure("a").cause is Cause.IDENTITY
        assert f"{who} answers in its place" in world.failure("a").reason
        assert failures(world).keys() == {"a"}
        assert world.log.metrics[-1]["misidentified"] == 1
        assert len(world.writes()) == 3  # nothing but the creations

    @pytest.mark.parametrize("ordered", [False, True], ids=["drift", "retry"])
    def test_it_is_sent_again_by_a_repair_and_by_a_retry(self, ordered: bool) -> None:
        world = self.fleet(REPORTS if ordered else REPAIRS)
        world.service.components["p-a"].serves = BASE
        if ordered:
            world.carry_out(OrderKind.RETRY, "a")
        else:
            world.drift()
        assert world.serving()["a"] == artifact("a").uri
        assert world.record("a").failure is None

    def test_it_is_sent_again_once_and_stays_a_failure_until_it_answers_itself(self) -> None:
        world = self.fleet(REPAIRS)
        world.service.around = lambda *_: setattr(world.service.components["p-a"], "serves", BASE)
        world.drift()
        world.drift()
        assert [write for write in world.writes() if "p-a" in write][1:] == ["UpdateInferenceComponent p-a"]
        assert world.failure("a").cause is Cause.IDENTITY
        world.service.around = lambda _operation, _when: None
        world.service.components["p-a"].serves = artifact("a").uri
        world.drift()
        assert world.record("a").failure is None

    def test_answer_that_nobody_else_gives_is_no_failure(self) -> None:
        world = self.fleet(copies=3)
        world.service.faults.wrong_answers = 0.5
        for _ in range(5):
            world.drift()
        assert failures(world) == {}

    def test_one_that_a_copy_has_lost_is_reported(self) -> None:
        world = self.fleet()
        world.service.components["p-c"].serves = None
        world.drift()
        assert world.record("c").drifted == "needs update: its base model lost it"
        assert world.log.metrics[-1]["drifted"] == 1

    def test_earlier_answer_is_void_after_the_base_model_changed(self) -> None:
        world = self.fleet(REPAIRS)
        before = world.probed("a").answer
        _answers_instead(world, artifact("a").uri, "the adapter on another base model")
        world.service.replace_base("model-2", lost=False)
        world.drift()
        assert world.probed("a").answer not in (None, before)
        assert failures(world) == {}

    def test_registry_of_an_earlier_release_gets_the_answer_first(self) -> None:
        world = self.fleet()
        for name in self.NAMES:
            old = replace(world.probed(name), answer=None)
            world.registry.overwrite(replace(world.record(name), probed=old))
        world.drift()
        assert all(world.probed(name).answer for name in self.NAMES)


def test_smoke_request_in_the_schema_of_lmi_is_the_same_request() -> None:
    """After an upgrade, the registry has what the earlier release sent."""
    body = {"inputs": "Hello", "parameters": {"max_new_tokens": 16, "temperature": 0}}
    world = fleet(adapter("a", smoke=SmokeRequest(body=body)))
    asked = world.asked
    world.apply(adapter("a", smoke=SMOKE))
    assert world.newest().changes == 0
    assert world.asked == asked
    assert len(world.writes()) == 1
