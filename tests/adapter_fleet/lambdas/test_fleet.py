"""The entry points, as far as they do anything themselves."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

from adapter_fleet.aws.sagemaker_service import CLIENT_CONFIG, RUNTIME_CONFIG
from adapter_fleet.fleet.reconcile.session import PassInput, PassResult
from adapter_fleet.fleet.state.generations import Generation, Outcome
from adapter_fleet.fleet.steps.smoke_requests import ASK_SECONDS
from adapter_fleet.fleet.steps.task import CALL_SECONDS
from adapter_fleet.lambdas import fleet as handlers
from adapter_fleet.manifest.desired import SmokeRequest
from tests.adapter_fleet.fake_service import FakeClock
from tests.adapter_fleet.fleet_world import World, adapter, deployed


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock()
    monkeypatch.setattr(handlers, "Clock", lambda: clock)
    monkeypatch.setenv("STATE_MACHINE_ARN", "machine")
    return clock


class TestIsComplete:
    def ask(self, monkeypatch: pytest.MonkeyPatch, *looks: bool | Exception) -> dict[str, Any]:
        """Return the answer to a deployment of which each look shows this; the last one does for ever."""
        left = list(looks)

        class Looks:
            def of(self, _event: Mapping[str, Any]) -> dict[str, Any]:
                look = left.pop(0) if len(left) > 1 else left[0]
                if isinstance(look, Exception):
                    raise look
                return {"IsComplete": look}

        monkeypatch.setattr(handlers, "_completion", lambda _machine: Looks())
        return handlers.is_complete({}, None)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("looks", "done", "most_seconds"),
        [([True], True, 0.0), ([False, False, True], True, 5.0), ([False], False, 5.0)],
        ids=["at once", "meanwhile", "later"],
    )
    def test_deployment_learns_within_seconds_whether_the_fleet_is_done(
        self,
        clock: FakeClock,
        monkeypatch: pytest.MonkeyPatch,
        looks: list[bool],
        done: bool,
        most_seconds: float,
    ) -> None:
        started = clock.now()
        assert self.ask(monkeypatch, *looks) == {"IsComplete": done}
        assert clock.now() - started <= most_seconds

    @pytest.mark.parametrize(
        "error",
        [
            ClientError({"Error": {"Code": "ProvisionedThroughputExceededException"}}, "GetItem"),
            ConnectTimeoutError(endpoint_url="https://dynamodb"),
        ],
    )
    def test_registry_that_does_not_answer_does_not_fail_the_deployment(
        self, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        assert self.ask(monkeypatch, error, True) == {"IsComplete": True}
        assert self.ask(monkeypatch, error) == {"IsComplete": False}

    def test_deployment_that_failed_fails_at_once(
        self, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(RuntimeError, match="too many failed"):
            self.ask(monkeypatch, RuntimeError("too many failed"))


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "AccessDenied"}}, "GetObject"),
        ConnectTimeoutError(endpoint_url="https://s3"),
        TimeoutError("the registry takes no new generation"),
    ],
)
def test_rollback_does_not_fail_for_a_manifest_in_s3_that_cannot_be_looked_at(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    class Unsure:
        def on_event(self, _event: Mapping[str, Any]) -> dict[str, Any]:
            return {"PhysicalResourceId": "fleet-1", "Generation": 3}

        def catch_up(self, number: int) -> None:
            assert number == 3
            raise error

    monkeypatch.setattr(handlers, "_request_handler", lambda _machine: Unsure())
    assert handlers.on_event({}, None)["Generation"] == 3  # type: ignore[arg-type]


class Machines:
    """Step Functions, which starts an execution of a name once."""

    def __init__(self) -> None:
        self.started: list[tuple[str, str]] = []

    def start_execution(self, *, name: str, input: str, **further: str) -> None:
        assert further == {"stateMachineArn": "machine"}
        if name in [known for known, _ in self.started]:
            raise ClientError({"Error": {"Code": "ExecutionAlreadyExists"}}, "StartExecution")
        self.started.append((name, json.loads(input)["trigger"]))


class Rereads:
    """A handler that counts how often it is to look for a manifest."""

    def __init__(self) -> None:
        self.looks = 0

    def reread(self) -> None:
        self.looks += 1


def test_schedule_has_the_manifest_looked_at(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = Rereads()
    monkeypatch.setattr(handlers, "_request_handler", lambda _machine: handler)
    answer = handlers.manifest_object({"trigger": "schedule"}, None)  # type: ignore[arg-type]
    assert (answer, handler.looks) == ({"generation": None}, 1)


class Context:
    """What Lambda tells of an invocation."""

    aws_request_id = "request"

    def get_remaining_time_in_millis(self) -> int:
        return 900_000


class TestPass:
    @pytest.fixture
    def machines(self, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Machines:
        machines = Machines()
        monkeypatch.setenv("FLEET_UID", "fleet-1")
        for made in ("_registry", "_service", "_telemetry"):
            monkeypatch.setattr(handlers, made, lambda: None)
        monkeypatch.setattr(handlers, "_machines", lambda: machines)
        return machines

    def run(
        self,
        monkeypatch: pytest.MonkeyPatch,
        result: PassResult,
        execution: str = "execution-1",
        trigger: str = "deployment",
        **state: int,
    ) -> tuple[dict[str, Any], PassInput]:
        calls: list[PassInput] = []

        class Passes:
            def __init__(self, **_parts: Any) -> None:
                pass

            def run(self, call: PassInput) -> PassResult:
                calls.append(call)
                return result

        monkeypatch.setattr(handlers, "Reconciler", Passes)
        event = {
            "execution": execution,
            "started_at": "2026-11-25T10:00:00.000Z",
            "trigger": trigger,
            "state_machine": "machine",
            "state": state,
        }
        answer = handlers.run_pass(event, Context())  # type: ignore[arg-type]
        return answer, calls[0]

    def test_it_ends_before_the_time_of_its_function_is_up(
        self, machines: Machines, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
    ) -> None:
        _, call = self.run(monkeypatch, PassResult(done=True))
        assert call.deadline == clock.now() + 724
        assert call.owner == "execution-1/request"

    @pytest.mark.parametrize(
        ("trigger", "passes", "looks"), [("drift", 0, 1), ("order", 0, 1), ("order", 1, 0), ("object", 0, 0)]
    )
    def test_first_one_that_is_scheduled_or_ordered_looks_for_a_manifest_whose_event_was_lost(
        self, machines: Machines, monkeypatch: pytest.MonkeyPatch, trigger: str, passes: int, looks: int
    ) -> None:
        handler = Rereads()
        monkeypatch.setattr(handlers, "_request_handler", lambda _machine: handler)
        self.run(monkeypatch, PassResult(done=True), trigger=trigger, passes=passes)
        assert handler.looks == looks

    def test_what_it_hands_on_is_what_the_next_one_gets(
        self, machines: Machines, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        result = PassResult(done=False, wait_seconds=7, listed=3)
        answer, _ = self.run(monkeypatch, result, passes=4)
        assert answer == {
            "done": False,
            "wait_seconds": 7,
            "trigger": "deployment",
            "state": {"passes": 5, "listed": 3},
        }
        _, call = self.run(monkeypatch, result, **answer["state"])
        assert (call.passes, call.listed) == (5, 3)
        assert machines.started == []

    def test_after_very_many_passes_another_execution_goes_on(
        self, machines: Machines, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        last = handlers.MAX_PASSES - 1
        self.run(monkeypatch, PassResult(done=True), passes=last)
        assert machines.started == []
        answer, _ = self.run(monkeypatch, PassResult(done=False), passes=last)
        assert answer["done"]
        assert [trigger for _, trigger in machines.started] == ["continuing"]
        # The function may be called again for the same pass.
        self.run(monkeypatch, PassResult(done=False), passes=last)
        assert len(machines.started) == 1

    def test_executions_that_hand_over_to_each_other_never_come_back_to_a_name(
        self, machines: Machines, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name = "12-0123456789abcdef"
        for number in range(100):
            self.run(monkeypatch, PassResult(done=False), name, passes=handlers.MAX_PASSES - 1)
            assert len(machines.started) == number + 1
            name, _ = machines.started[-1]


@pytest.mark.parametrize("refused", [True, False])
def test_manifest_that_is_refused_as_it_comes_is_measured(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    world, rejected = World(), []
    world.deploy()
    taken = world.put_invalid_manifest() if refused else world.put_manifest()
    sequencers: list[str] = []

    class Taking:
        def manifest_changed(self, sequencer: str) -> Generation:
            sequencers.append(sequencer)
            return taken

    class Telling:
        def rejected(self, generation: Generation) -> None:
            rejected.append(generation.outcome)

    monkeypatch.setattr(handlers, "_request_handler", lambda _machine: Taking())
    monkeypatch.setattr(handlers, "_telemetry", Telling)
    event = {"id": "event-1", "detail": {"object": {"key": "live", "sequencer": "0A"}}}
    assert handlers.manifest_object(event, None) == {"generation": 2}  # type: ignore[arg-type]
    assert sequencers == ["0A"]
    assert rejected == ([Outcome.REFUSED] if refused else [])


def test_smoke_request_that_begins_just_before_the_deadline_ends_before_the_function_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = deployed(adapter("acme"))
    taken = iter([14.0, ASK_SECONDS])

    def ask(*_: object) -> str:
        world.clock.time += next(taken)
        return "no answer"

    monkeypatch.setattr(world.service, "ask", ask)
    world.deploy(adapter("acme", smoke=SmokeRequest(body={"inputs": "Hello"})))
    deadline = world.clock.now() + 1.0
    world.run_newest(deadline=1.0)
    assert list(taken) == []
    assert world.clock.now() < deadline + handlers.MARGIN_SECONDS


@pytest.mark.parametrize(
    ("config", "seconds"), [(CLIENT_CONFIG, CALL_SECONDS), (RUNTIME_CONFIG, ASK_SECONDS)]
)
def test_call_is_given_up_within_the_time_that_a_pass_reckons_with(config: Any, seconds: float) -> None:
    assert config.connect_timeout + config.read_timeout < seconds
    # A client that was made with it has added its mode.
    assert config.retries["total_max_attempts"] == 1
