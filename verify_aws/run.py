"""One run: the endpoint, the experiments, and the removal of everything, however it ends."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from verify_aws.account import Account, StoppedError
from verify_aws.budget import TEARDOWN_MINUTES
from verify_aws.experiment import Experiment
from verify_aws.removal import Removal, Resource
from verify_aws.stage import Stage
from verify_aws.transcript import Transcript

_SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if hasattr(signal, name)  # no SIGHUP on Windows
)


def note(text: str) -> None:
    """Tell the person at the terminal, if there still is one: its end is no reason to remove nothing."""
    with suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)


@contextmanager
def interruptible(account: Account) -> Iterator[None]:
    """Let signals end the run in good order, and never the removal."""

    def stop(number: int, _: FrameType | None) -> None:
        name = signal.Signals(number).name
        note(f"{name}: everything is being removed; that takes minutes, and another signal does not end it")
        account.stop(f"interrupted by {name}")

    # What is ignored stays so, such as SIGHUP under nohup.
    heeded = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Run:
    """The experiments on one endpoint."""

    def __init__(self, account: Account, stage: Stage, transcript: Transcript) -> None:
        self._account = account
        self._stage = stage
        self._transcript = transcript

    def carry_out(self, experiments: Sequence[Experiment]) -> list[Resource]:
        """Run experiments, remove everything, and return what could not be removed.

        An interruption and any other exception end the experiments, never the removal.
        """
        with interruptible(self._account):
            try:
                self._experiments(experiments)
            except StoppedError as stopped:
                self._end(f"stopped: {stopped}")
            except Exception as error:
                self._end(f"the endpoint could not be made: {error}")
            finally:
                left = self._remove()
        return left

    def _experiments(self, experiments: Sequence[Experiment]) -> None:
        note(f"run {self._stage.run}: the endpoint is being made")
        self._stage.raise_()
        for number, experiment in enumerate(experiments, start=1):
            note(f"{number}/{len(experiments)} {experiment.name}: {experiment.question}")
            self._one(experiment)

    def _one(self, experiment: Experiment) -> None:
        began = time.monotonic()
        try:
            answer = experiment.run(self._stage)
        except StoppedError:
            raise
        except Exception as error:
            note(f"  no answer: {error}")
            self._transcript.experiment(experiment.name, seconds=time.monotonic() - began, error=error)
        else:
            self._transcript.experiment(experiment.name, seconds=time.monotonic() - began, answer=answer)

    def _end(self, why: str) -> None:
        note(why)
        self._transcript.note(why)

    def _remove(self) -> list[Resource]:
        note("everything is being removed")
        left = remove(self._account, self._stage.run, self._stage.components)
        self._transcript.note("left: " + (", ".join(map(str, left)) or "nothing"))
        return left


def remove(account: Account, run: str, known: Collection[str] = ()) -> list[Resource]:
    """Remove everything of a run, and say what could not be removed and why."""
    removal = Removal(account)
    with account.removing():
        left = removal.remove(run, known, seconds=TEARDOWN_MINUTES * 60)
    for resource in left:
        note(f"LEFT: {resource}: {removal.refusals.get(str(resource), 'it is still being deleted')}")
    for what, refusal in removal.refusals.items():
        if what.startswith("list of"):
            note(f"LOOK YOURSELF: the {what} was refused: {refusal}")
    if left:
        note("this costs money until it is gone: run `python -m verify_aws --clean-up`")
    return left
