"""How a run ends, and that it removes what it made in any case."""

from __future__ import annotations

import io
import os
import signal
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from verify_aws import run
from verify_aws.account import Account, StoppedError
from verify_aws.experiment import Experiment
from verify_aws.redaction import Redactor
from verify_aws.removal import Resource
from verify_aws.run import Run
from verify_aws.stage import Stage
from verify_aws.transcript import Answer, Record, Transcript


class FakeAccount:
    def __init__(self) -> None:
        self.stopped: list[str] = []

    def stop(self, reason: str) -> None:
        self.stopped.append(reason)

    def check(self) -> None:
        if self.stopped:
            raise StoppedError(self.stopped[0])


class FakeStage:
    run = "0f1e2d3c"

    def __init__(self, failure: Exception | None = None) -> None:
        self.components = {"one"}
        self._failure = failure

    def raise_(self) -> None:
        if self._failure is not None:
            raise self._failure


class World:
    """A run with a fake account, whose removal is recorded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.account, self.path = FakeAccount(), folder / "transcript.jsonl"
        self.removed: list[tuple[str, set[str]]] = []
        self.left: list[Resource] = []
        monkeypatch.setattr(run, "remove", self._remove)

    def _remove(self, account: object, run: str, known: set[str]) -> list[Resource]:
        self.removed.append((run, known))
        return self.left

    def carry_out(self, *steps: Any, failure: Exception | None = None) -> list[Resource]:
        transcript = Transcript(self.path, Redactor(run="0f1e2d3c"), {})
        experiments = [
            Experiment(name=f"number-{index}", question="?", fact="", run=step, follows={})
            for index, step in enumerate(steps)
        ]
        account, stage = cast(Account, self.account), cast(Stage, FakeStage(failure))
        return Run(account, stage, transcript).carry_out(experiments)

    @property
    def errors(self) -> dict[str, str | None]:
        return {name: one.error for name, one in Record.read(self.path).outcomes.items()}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    return World(monkeypatch, tmp_path)


def answering(_: Stage) -> Answer:
    return Answer(fields={})


def failing(_: Stage) -> Answer:
    raise RuntimeError("no such thing")


def test_experiment_that_fails_is_recorded_and_the_others_go_on(world: World) -> None:
    assert world.carry_out(answering, failing, answering) == []
    assert world.errors == {
        "number-0": None,
        "number-1": "RuntimeError: no such thing",
        "number-2": None,
    }
    assert world.removed == [("0f1e2d3c", {"one"})]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_the_experiments_and_removes_everything(world: World, number: signal.Signals) -> None:
    def interrupted(_: Stage) -> Answer:
        os.kill(os.getpid(), number)
        world.account.check()
        raise AssertionError("it went on")

    before = signal.getsignal(number)
    world.carry_out(interrupted, answering)
    assert world.account.stopped == [f"interrupted by {number.name}"]
    assert world.errors == {}
    assert world.removed == [("0f1e2d3c", {"one"})]
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("failure", [RuntimeError("no quota"), StoppedError("the time limit was reached")])
def test_endpoint_that_is_not_made_is_removed(world: World, failure: Exception) -> None:
    world.carry_out(answering, failure=failure)
    assert world.errors == {}
    assert str(failure) in world.path.read_text()
    assert len(world.removed) == 1


def test_ignored_signal_stays_ignored(world: World) -> None:
    def hung_up(_: Stage) -> Answer:
        os.kill(os.getpid(), signal.SIGHUP)
        return Answer(fields={})

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        world.carry_out(hung_up)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert world.account.stopped == []


def test_terminal_that_is_gone_does_not_keep_the_removal_from_its_work(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(sys, "stderr", Gone())
    world.carry_out(answering)
    assert world.errors == {"number-0": None}
    assert len(world.removed) == 1


def test_what_is_left_is_returned_and_recorded(world: World) -> None:
    world.left = [Resource("endpoint", "verify-aws-0f1e2d3c")]
    assert world.carry_out(answering) == world.left
    assert "left: endpoint verify-aws-RUN" in world.path.read_text()
