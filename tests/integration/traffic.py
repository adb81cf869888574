"""A client that keeps calling the base and every adapter, and judges each answer it gets."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType

Ask = Callable[[str, str], str]
"""(component name, prompt) → the answer's text; raises when the call fails."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request and what became of it; `version` is the one whose known answer came back.

    prompt, answer:
        What a finding needs to be understood.
    """

    started: float
    ended: float
    version: str | None
    failure: str | None
    prompt: str
    answer: str | None

    @property
    def wrong(self) -> bool:
        """Whether an answer came that no version of this adapter gives."""
        return self.failure is None and self.version is None


@dataclass(frozen=True, kw_only=True)
class Record:
    """All calls to one component, in the order of their starts."""

    calls: Sequence[Call]

    @property
    def failed(self) -> list[Call]:
        """The calls that got no answer."""
        return [call for call in self.calls if call.failure is not None]

    @property
    def wrong(self) -> list[Call]:
        """The calls that got an answer of something else."""
        return [call for call in self.calls if call.wrong]

    @property
    def versions(self) -> list[str]:
        """The versions that answered, in the order in which they first did."""
        return list(dict.fromkeys(call.version for call in self.calls if call.version is not None))

    @property
    def gap(self) -> float:
        """Seconds from the last answer before the first failure to the first after the last one, or 0."""
        if not self.failed:
            return 0.0
        first, last = self.failed[0].started, self.failed[-1].started
        before = max((c.ended for c in self.calls if c.failure is None and c.started < first), default=first)
        after = min((c.ended for c in self.calls if c.failure is None and c.started > last), default=last)
        return after - before


class Traffic:
    """Calls every target at a steady rate from entering to leaving the context.

    `targets` are component names by label; `expected[label]` maps each version that may answer to its
    answers by prompt. Requests are started on a fixed schedule, whatever the answers take, by a few
    threads a target: a slow answer must not lower the rate, or a gap would hide itself.
    """

    _THREADS = 3
    _PATIENCE_SECONDS = 120.0

    def __init__(
        self,
        ask: Ask,
        *,
        targets: Mapping[str, str],
        expected: Mapping[str, Mapping[str, Mapping[str, str]]],
        rate: float,
    ) -> None:
        self._ask, self._targets, self._expected, self._rate = ask, targets, expected, rate
        self._calls: dict[str, list[Call]] = {label: [] for label in targets}
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._started = 0.0

    def __enter__(self) -> Traffic:
        self._started = time.monotonic()
        for at, label in enumerate(self._targets):
            ticks = itertools.count()
            for _ in range(self._THREADS):
                offset = at / len(self._targets) / self._rate
                thread = threading.Thread(target=self._call, args=(label, ticks, offset), daemon=True)
                thread.start()
                self._threads.append(thread)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for_calls(self, count: int) -> None:
        """Wait until as many further calls to each target have ended, however slow the machine is."""
        wanted = {label: len(calls) + count for label, calls in self._calls.items()}
        deadline = time.monotonic() + self._PATIENCE_SECONDS
        while any(len(self._calls[label]) < calls for label, calls in wanted.items()):
            assert time.monotonic() < deadline, f"{count} further calls to each target should have ended"
            time.sleep(0.02)

    def record(self, label: str) -> Record:
        """Return what became of the calls to one target, once the context is left."""
        return Record(calls=sorted(self._calls[label], key=lambda call: call.started))

    def _call(self, label: str, ticks: itertools.count[int], offset: float) -> None:
        versions = self._expected[label]
        prompts = list(next(iter(versions.values())))
        while True:
            tick = next(ticks)
            if self._stop.wait(max(0.0, self._started + offset + tick / self._rate - time.monotonic())):
                return
            prompt, started = prompts[tick % len(prompts)], time.monotonic()
            version = failure = answer = None
            try:
                answer = self._ask(self._targets[label], prompt)
            except Exception as error:  # whatever went wrong is the finding
                failure = f"{type(error).__name__}: {error}"
            else:
                version = next(
                    (name for name, answers in versions.items() if answers[prompt] == answer), None
                )
            self._calls[label].append(
                Call(
                    started=started,
                    ended=time.monotonic(),
                    version=version,
                    failure=failure,
                    prompt=prompt,
                    answer=answer,
                )
            )
