"""The adapter that answers is the one that was declared: every swap is a failure that says who answers."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from adapter_fleet.fleet.planning.decide import Step
from adapter_fleet.fleet.state.components import Status
from adapter_fleet.fleet.state.configuration import READ_RATE
from adapter_fleet.fleet.state.failures import Cause
from adapter_fleet.fleet.state.fleet_settings import DriftAction, FailureLimit, FleetSettings, UpdateMode
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.orders import OrderKind
from adapter_fleet.fleet.state.probe_check import requests_for
from adapter_fleet.fleet.state.sagemaker_port import ModelFailedError, ServiceError, UnansweredError
from adapter_fleet.fleet.steps.executor import execute
from adapter_fleet.fleet.steps.probes import MAX_PROBE_SECONDS
from adapter_fleet.fleet.steps.task import StepResult, StepTask
from adapter_fleet.manifest.desired import DesiredAdapter, Probe, SmokeRequest
from adapter_fleet.serving.completions import Completion, PromptRequest
from tests.adapter_fleet.fake_service import BASE, RunningClock, answer_of
from tests.adapter_fleet.fleet_world import Inline, World, adapter, artifact

REPORTS = FleetSettings(
    request_rate=1000.0,
    drift=DriftAction.REPORT,
    probes_per_drift_run=None,
    failures=FailureLimit(share=1.0),
)
REPAIRS = replace(REPORTS, drift=DriftAction.REPAIR)
SMOKE = SmokeRequest.from_prompt("Hello")


def fleet(*adapters: DesiredAdapter, settings: FleetSettings = REPAIRS, copies: int = 1) -> World:
    """A fleet in service, on a base with some copies."""
    world = World(settings=settings)
    world.service.copies = copies
    world.apply(*(adapters or (adapter("a", probed=True), adapter("b", probed=True))))
    return world


def drift(world: World) -> None:
    """Let a drift run check the fleet."""
    world.clock.time += 3600.0
    world.trigger("drift")


def failures(world: World, since: int = 0) -> dict[str, str]:
    """The causes of failures, by adapter."""
    return {event.name: event.cause or "" for event in world.log.events[since:] if event.what == "failed"}


def requests(world: World) -> int:
    return world.service.calls["InvokeEndpoint"]


class TestAfterAChange:
    @pytest.mark.parametrize(("copies", "expected"), [(1, 1), (3, 14)])
    def test_the_number_of_copies_decides_how_often_it_is_asked(self, copies: int, expected: int) -> None:
        world = fleet(adapter("a", probed=True), copies=copies)
        assert requests(world) == expected == requests_for(copies)

    def test_no_other_call_is_made_for_it(self) -> None:
        without, with_probe = fleet(adapter("a")), fleet(adapter("a", probed=True), copies=3)
        assert with_probe.service.calls - without.service.calls == {"InvokeEndpoint": 14}

    def test_update_that_the_container_ignores_is_taken_back(self) -> None:
        world = fleet(adapter("a", probed=True))
        _answers_instead(world, artifact("a", 2).uri, artifact("a", 1).uri)
        world.deploy(adapter("a", 2, probed=True))
        world.settle_without_retries()
        assert "its version v1.tar.gz answers in its place" in failures(world)["a"]
        world.settle()
        assert world.service.components["p-a"].uri == artifact("a", 1).uri
        assert [write.partition(" ")[0] for write in world.writes()] == [
            "CreateInferenceComponent",
            "UpdateInferenceComponent",
            "UpdateInferenceComponent",
        ]

    def test_adapter_of_another_tenant_is_named(self) -> None:
        world = fleet(adapter("a", probed=True))
        _answers_instead(world, artifact("b", 1).uri, artifact("a", 1).uri)
        world.deploy(adapter("a", probed=True), adapter("b", probed=True))
        world.settle_without_retries()
        assert "adapter 'a' answers in its place" in failures(world)["b"]
        assert world.record("b").failure is not None
        assert world.deletions() == []

    def test_failure_counts_for_the_failure_policy(self) -> None:
        world = World(settings=replace(REPAIRS, failures=FailureLimit(count=0)))
        _answers_instead(world, artifact("a", 1).uri, BASE)
        world.deploy(adapter("a", probed=True))
        world.settle_without_retries()
        assert world.newest().outcome is Outcome.FAILED
        assert "the base model answers in its place" in (world.newest().reason or "")

    def test_it_is_not_retried_until_the_probe_or_the_artifact_changes(self) -> None:
        world = World(settings=REPAIRS)
        _answers_instead(world, artifact("a", 1).uri, BASE)
        wrong = adapter("a", probed=True)
        world.apply(wrong)
        asked = requests(world)
        world.apply(wrong, digest="again")
        assert requests(world) == asked
        mended = Probe(prompt="Who?", answer=answer_of(BASE, "Who?"))
        world.apply(replace(wrong, artifact=replace(wrong.artifact, probe=mended)))
        assert world.record("a").failure is None
        assert len(world.writes()) == 1

    def test_answer_that_is_right_the_second_time_is_no_failure(self) -> None:
        """A copy may load the adapter a moment after SageMaker reports it in service."""
        world = World(settings=REPAIRS)
        late = {"answers": 1}

        def hook(operation: str, when: str) -> None:
            if operation == "InvokeEndpoint p-a" and when == "before":
                there = world.service.components["p-a"]
                there.serves = BASE if late["answers"] > 0 else there.uri
                late["answers"] -= 1

        world.service.around = hook
        world.apply(adapter("a", probed=True))
        assert failures(world) == {}
        assert requests(world) == 2

    def test_new_probe_of_the_same_artifact_is_asked_and_nothing_is_written(self) -> None:
        world = fleet(adapter("a"))
        writes = len(world.writes())
        world.apply(adapter("a", probed=True))
        assert (requests(world), len(world.writes())) == (1, writes)
        good = world.record("a").last_good
        assert good is not None
        assert good.probe is not None

    def test_wrong_new_probe_of_a_version_in_service_fails_and_writes_nothing(self) -> None:
        good = adapter("a", probed=True)
        world = fleet(good, copies=3)
        writes = len(world.writes())
        typo = Probe(prompt="Who?", answer="nobody answers this")
        world.apply(replace(good, artifact=replace(good.artifact, probe=typo)))
        assert world.writes()[writes:] == []
        failure = world.failure("a")
        assert failure.cause is Cause.IDENTITY
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
        asked = requests(world)
        world.order(OrderKind.PIN, "a", artifact=first, replaces=artifact("a", 2))
        world.settle()
        assert world.serving()["a"] == artifact("a", 1).uri
        assert failures(world) == {}
        check = world.record("a").probed
        assert check is not None
        assert first.probe is not None
        assert check.probe == first.probe.digest
        assert check.is_complete
        assert requests(world) == asked + 1

    def test_one_lost_answer_is_no_failure(self) -> None:
        world = World(settings=REPAIRS)
        world.service.faults.unanswered = 1
        world.apply(adapter("a", probed=True))
        assert failures(world) == {}
        assert requests(world) == 2

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

        def timed(task: StepTask) -> StepResult:
            began = world.clock.now()
            result = execute(task)
            took.append(world.clock.now() - began)
            return result

        world.service.complete = silent  # type: ignore[method-assign]
        monkeypatch.setattr("adapter_fleet.fleet.reconcile.fleet_pass.execute", timed)
        world.deploy(adapter("a", probed=True))
        world.run_for(30.0)
        assert 63.0 <= max(took) < MAX_PROBE_SECONDS

    def test_container_that_answers_with_errors_is_no_swap(self) -> None:
        world = World(settings=REPAIRS)

        def broken(*_: object) -> None:
            raise ModelFailedError("Received server error (503) from p-a: overloaded")

        world.service.complete = broken  # type: ignore[assignment, method-assign]
        world.deploy(adapter("a", probed=True))
        world.settle_without_retries()
        failure = world.failure("a")
        assert failure.cause is Cause.CAPACITY


def _answers_instead(world: World, declared: str, other: str) -> None:
    """Let every copy answer with another artifact wherever this one was loaded."""

    def swap(operation: str, when: str) -> None:
        if operation.startswith("InvokeEndpoint") and when == "before":
            for component in world.service.components.values():
                if component.uri == declared:
                    component.serves = other

    world.service.around = swap


NAMES = [f"t{number:02}" for number in range(30)]
PREDECESSOR, LOST = "predecessor", None
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


def plant(world: World) -> None:
    """Plant ten swaps that no describe and no listing shows."""
    for name, (copies, serves, _) in SWAPS.items():
        world.service.components[f"p-{name}"].on_copies = dict.fromkeys(range(copies), serves)


@pytest.fixture(params=[REPORTS, REPAIRS], ids=["reports", "repairs"])
def planted(request: pytest.FixtureRequest) -> World:
    world = fleet(*(adapter(name, probed=True) for name in NAMES), settings=request.param, copies=3)
    world.apply(*(adapter(name, 2, probed=True) for name in NAMES))
    plant(world)
    return world


class SlowProbes(Inline):
    """Runs each call at once but probes, which take a moment.

    writes_meanwhile:
        How many writes began while a probe was under way.
    """

    def __init__(self) -> None:
        self._under_way: list[Future[Any]] = []
        self.writes_meanwhile = 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        task = fn.args[0] if isinstance(fn, partial) and fn.args else None
        if not isinstance(task, StepTask):
            return super().submit(fn, *args, **kwargs)
        if task.decision.step is not Step.PROBE:
            busy = any(not future.done() for future in self._under_way)
            self.writes_meanwhile += busy and task.decision.step.writes
            return super().submit(fn, *args, **kwargs)
        future: Future[Any] = Future()
        self._under_way.append(future)
        threading.Timer(0.1, lambda: future.set_result(fn())).start()
        return future


class TestOtherWork:
    def test_probe_under_way_stops_no_write_of_a_service_that_takes_one_at_a_time(self) -> None:
        world = World(settings=REPAIRS)
        world.service.faults.one_write_at_a_time = True
        executor = SlowProbes()
        world.reconciler = replace(world.reconciler, executor=executor)
        world.apply(*(adapter(name, probed=True) for name in NAMES[:4]))
        assert executor.writes_meanwhile > 0
        assert world.newest().outcome is Outcome.CONVERGED


class TestAfterARestore:
    def restored(self) -> World:
        """A fleet whose second version failed its smoke request, so that the first one serves again."""
        world = fleet(adapter("a", smoke=SMOKE, probed=True))
        world.service.faults.silent.add(artifact("a", 2).uri)
        world.apply(adapter("a", 2, smoke=SMOKE, probed=True))
        assert world.serving()["a"] == artifact("a", 1).uri
        return world

    def test_restored_version_is_asked_for_its_own_probe(self) -> None:
        record = self.restored().record("a")
        assert record.probed is not None
        assert record.probed.is_complete
        assert record.probed.artifact.same_as(artifact("a", 1))
        assert record.failure is not None
        assert record.failure.artifact.same_as(artifact("a", 2))

    def test_drift_run_finds_a_swap_of_it_and_sends_it_again(self) -> None:
        world = self.restored()
        writes = len(world.writes())
        world.service.components["p-a"].serves = BASE
        before = len(world.log.events)
        drift(world)
        assert "could not be restored: the probe: the base model answers" in failures(world, before)["a"]
        assert world.writes()[writes:] == ["UpdateInferenceComponent p-a"]
        assert world.serving()["a"] == artifact("a", 1).uri

    def test_version_that_is_wanted_again_waits_longer_after_each_lost_answer(self) -> None:
        world = self.restored()
        typo = Probe(prompt="Who else?", answer=answer_of(artifact("a").uri, "Who else?"))
        world.service.faults.unanswered = 1000
        asked = requests(world)
        world.deploy(
            DesiredAdapter(
                name="a", component="p-a", artifact=replace(artifact("a"), probe=typo), smoke=SMOKE
            )
        )
        world.run_for(600.0)
        failure = world.failure("a")
        assert failure.artifact.same_as(artifact("a", 1))
        assert failure.attempts > 1
        assert requests(world) - asked < 50


class TestDriftRuns:
    def test_ten_planted_swaps_fail_by_name_within_one_run(self, planted: World) -> None:
        before = len(planted.log.events)
        drift(planted)
        found = failures(planted, before)
        assert found.keys() == SWAPS.keys()
        for name, (_, _, reason) in SWAPS.items():
            assert reason in found[name]
        assert "should begin with" in found["t00"]
        assert "got" in found["t00"]
        assert planted.deletions() == []

    def test_report_writes_nothing_and_repair_sends_the_archive_again(self, planted: World) -> None:
        writes = len(planted.writes())
        drift(planted)
        repairs = planted.settings.drift is DriftAction.REPAIR
        written = planted.writes()[writes:]
        assert sorted(written) == (
            [f"UpdateInferenceComponent p-{name}" for name in SWAPS] if repairs else []
        )
        failed = {name for name in NAMES if planted.record(name).failure is not None}
        assert failed == (set() if repairs else set(SWAPS))

    def test_report_names_an_adapter_that_the_sample_finds_lost(self) -> None:
        """The sample marks a single lost adapter to be asked, which a report does not do."""
        names = ("a", "b", "c")
        world = fleet(*(adapter(name, probed=True) for name in names), settings=REPORTS)
        world.service.components["p-a"].serves = None
        drift(world)
        assert "does not have the adapter" in failures(world)["a"]

    def test_adapter_that_a_report_named_as_lost_is_sent_again_by_the_next_deployment(self) -> None:
        names = ("a", "b", "c")
        world = fleet(*(adapter(name, probed=True) for name in names), settings=REPORTS)
        world.service.components["p-a"].serves = None
        drift(world)
        assert world.record("a").failure is not None
        world.apply(*(adapter(name, probed=True) for name in names))
        assert world.service.components["p-a"].serves == artifact("a", 1).uri
        assert world.record("a").failure is None

    def test_swap_that_a_new_archive_does_not_mend_is_sent_once(self) -> None:
        world = fleet(adapter("a", probed=True))
        _answers_instead(world, artifact("a", 1).uri, BASE)
        writes = len(world.writes())
        for _ in range(3):
            drift(world)
        assert world.writes()[writes:] == ["UpdateInferenceComponent p-a"]
        failure = world.failure("a")
        assert failure.cause is Cause.IDENTITY

    @pytest.mark.parametrize("mode", [UpdateMode.IN_PLACE, UpdateMode.REPLACE])
    def test_swap_is_not_hidden_by_a_container_that_refuses_the_archive(self, mode: UpdateMode) -> None:
        world = fleet(adapter("a", probed=True), settings=replace(REPAIRS, update_mode=mode))
        writes = len(world.writes())
        world.service.components["p-a"].serves = BASE
        world.service.faults.update_refused = True
        for _ in range(2):
            drift(world)
            failure = world.failure("a")
            assert failure.cause is Cause.IDENTITY
        assert world.writes()[writes:] == ["UpdateInferenceComponent p-a"]
        world.service.components["p-a"].serves = artifact("a").uri
        drift(world)
        assert world.record("a").failure is None

    def test_other_failure_of_an_adapter_that_is_asked_stays(self) -> None:
        world = TestAfterARestore().restored()
        world.apply(adapter("a", smoke=SMOKE, probed=True))
        asked = requests(world)
        drift(world)
        assert requests(world) > asked
        failure = world.failure("a")
        assert failure.artifact.same_as(artifact("a", 2))

    def test_adapter_that_failed_and_was_deleted_by_hand_is_created_again(self) -> None:
        """A listing may still show what is gone: then the probe fails first."""
        world = fleet(adapter("a", probed=True), settings=REPORTS)
        world.service.components["p-a"].serves = BASE
        drift(world)
        assert "a" in failures(world)
        del world.service.components["p-a"]
        world.apply(adapter("a", probed=True))
        assert world.service.serving() == {"p-a": artifact("a", 1).uri}
        assert world.record("a").failure is None

    @pytest.mark.parametrize("mode", [UpdateMode.IN_PLACE, UpdateMode.REPLACE])
    def test_swap_is_never_a_reason_to_delete(self, mode: UpdateMode) -> None:
        world = fleet(adapter("a", probed=True), settings=replace(REPAIRS, update_mode=mode))
        world.service.components["p-a"].serves = BASE
        world.service.faults.update_refused = True
        drift(world)
        drift(world)
        world.apply(adapter("a", probed=True), digest="again")
        assert world.deletions() == []

    def test_run_asks_as_many_as_the_settings_say_and_the_next_run_the_others(self) -> None:
        names = [f"a{number}" for number in range(9)]
        adapters = [adapter(name, probed=True) for name in names]
        for settings in (REPORTS, REPAIRS):
            world = fleet(*adapters, settings=replace(settings, probes_per_drift_run=3))
            began = world.clock.now()
            for _ in range(3):
                before = requests(world)
                drift(world)
                asked = requests(world) - before
                # A drift run asks three adapters four times each besides, to find new copies of the base.
                assert asked == 3 + 3 * 4
            ended = [check.ended for name in names if (check := world.record(name).probed) is not None]
            assert all(end is not None and end > began for end in ended)
            assert len(ended) == len(names)

    def test_adapters_that_an_earlier_run_left_are_among_as_many_as_the_settings_say(self) -> None:
        adapters = [adapter(f"a{number}", probed=True) for number in range(9)]
        world = fleet(*adapters, settings=replace(REPORTS, probes_per_drift_run=3))
        world.service.faults.unanswered = 3 * 3
        drift(world)
        before = requests(world)
        drift(world)
        assert requests(world) - before == 3 + 3 * 4

    @pytest.mark.parametrize("settings", [REPORTS, REPAIRS])
    def test_nobody_is_asked_while_the_base_has_no_copy(self, settings: FleetSettings) -> None:
        world = fleet(settings=settings)
        before = requests(world)
        world.service.copies = 0
        drift(world)
        assert requests(world) == before
        assert failures(world) == {}
        assert world.newest().failed == 0

    @pytest.mark.parametrize("settings", [REPORTS, REPAIRS])
    def test_nobody_is_asked_while_the_base_is_updated(self, settings: FleetSettings) -> None:
        world = fleet(settings=settings)
        before = requests(world)
        world.service.replace_base("another model", lost=False)
        world.service.components["base"].status = Status.UPDATING
        drift(world)
        assert requests(world) == before
        assert failures(world) == {}

    def test_every_request_counts_for_the_rate(self) -> None:
        world = fleet(*(adapter(name, probed=True) for name in NAMES), copies=3)
        began, before = world.clock.now() + 3600.0, requests(world)
        drift(world)
        sent = requests(world) - before
        # The last step may begin before its requests are counted. The sample of three is not counted.
        assert world.clock.now() - began > (sent - 5 * requests_for(3)) / READ_RATE

    def test_throttle_in_the_middle_of_a_series_slows_the_fleet_down(self) -> None:
        world = fleet(settings=REPORTS, copies=3)
        answers = Counter[str]()

        def throttle(operation: str, when: str) -> None:
            answers[operation] += when == "before"
            if operation == "InvokeEndpoint p-a" and answers[operation] == requests_for(3) + 7:
                world.service.faults.throttled = 1

        world.service.around = throttle
        drift(world)
        assert world.log.metrics[-1]["throttles"] == 1
        check = world.record("a").probed
        assert check is not None
        assert check.is_complete

    def test_none_of_a_thousand_healthy_adapters_fails_though_one_answer_of_a_hundred_is_wrong(self) -> None:
        adapters = [adapter(f"a{number:04}", probed=True) for number in range(1000)]
        world = fleet(*adapters)
        before = requests(world)
        world.service.faults.wrong_answers = 0.01
        drift(world)
        assert requests(world) - before > 1000
        assert failures(world) == {}
        assert world.newest().failed == 0

    def test_adapters_that_a_report_has_no_time_for_are_left_as_they_are(self) -> None:
        world = fleet(*(adapter(name, probed=True) for name in NAMES), settings=REPORTS, copies=3)
        slow = world.service.around

        def hook(operation: str, when: str) -> None:
            slow(operation, when)
            if operation.startswith("InvokeEndpoint") and when == "before":
                world.clock.sleep(2.0)

        world.service.around = hook
        drift(world)
        checks = [world.record(name).probed for name in NAMES]
        assert all(check is not None and check.is_complete for check in checks)
        assert len({check.ended for check in checks if check is not None}) > 1


class TestWeakerCheck:
    def test_answer_that_differs_from_the_base_s_is_noted(self) -> None:
        world = fleet(adapter("a", smoke=SMOKE))
        check = world.record("a").probed
        assert check is not None
        assert check.like_base is False
        assert requests(world) == 3

    def test_answer_like_the_base_s_is_no_failure(self) -> None:
        world = World(settings=REPAIRS)
        _answers_instead(world, artifact("a", 1).uri, BASE)
        world.apply(adapter("a", smoke=SMOKE))
        check = world.record("a").probed
        assert check is not None
        assert check.like_base is True
        assert world.newest().outcome is Outcome.CONVERGED
        assert world.record("a").failure is None

    def test_version_that_serves_again_is_compared_again(self) -> None:
        world = fleet(adapter("a", smoke=SMOKE))
        world.service.faults.silent.add(artifact("a", 2).uri)
        world.apply(adapter("a", 2, smoke=SMOKE))
        assert world.record("a").serving == artifact("a", 1)
        check = world.record("a").probed
        assert check is not None
        assert (check.artifact, check.like_base) == (artifact("a", 1), False)

    def test_probe_is_stronger_and_the_base_is_not_asked(self) -> None:
        world = fleet(adapter("a", smoke=SMOKE, probed=True))
        assert requests(world) == 2
        assert world.service.prompts == {pair for pair in world.service.prompts if pair[0] == "p-a"}


class TestAfterAnUpgrade:
    def test_smoke_request_in_the_schema_of_lmi_is_the_same_request(self) -> None:
        body = {"inputs": "Hello", "parameters": {"max_new_tokens": 16, "temperature": 0}}
        stored = SmokeRequest(body=body)
        world = fleet(adapter("a", smoke=stored))
        asked = requests(world)
        generation = world.deploy(adapter("a", smoke=SMOKE))
        world.settle()
        found = world.registry.generation(generation.number)
        assert found is not None
        assert found.changes == 0
        assert requests(world) == asked
        assert len(world.writes()) == 1


def test_probe_is_sent_while_no_other_request_is_under_way() -> None:
    """SageMaker picks the copy with the fewest requests: others would keep the probe from theirs."""
    settings = replace(REPAIRS, request_rate=500)
    world = World(clock=RunningClock(), seconds=0.05, settings=settings)
    world.service.copies = 3
    asking: set[str] = set()
    most = {"at once": 0}
    lock = threading.Lock()

    def slowly(call: Callable[..., Any]) -> Callable[..., Any]:
        def slow(component: str, *arguments: Any) -> Any:
            with lock:
                asking.add(component)
                most["at once"] = max(most["at once"], len(asking))
            time.sleep(0.002)
            with lock:
                asking.discard(component)
                return call(component, *arguments)

        return slow

    world.service.complete = slowly(world.service.complete)  # type: ignore[method-assign]
    with ThreadPoolExecutor(8) as threads:
        world.reconciler = replace(world.reconciler, executor=threads)
        world.apply(*(adapter(f"a{number}", probed=True) for number in range(2)))
    assert (most["at once"], failures(world)) == (1, {})
    assert requests(world) == 2 * 14
