"""Loads on a clock that moves only when somebody waits or works."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from itertools import cycle

import pytest

from adapter_fleet.common.clock import Clock
from adapters_cli.load.load_generator import (
    Bounds,
    ClosedLoop,
    LoadGenerator,
    Loop,
    OpenLoop,
)
from adapters_cli.load.measurement import Measurement, RequestError, StreamTimes
from tests.adapter_fleet.fake_service import FakeClock


class FakeEndpoint:
    """Answers after so many seconds of the clock, by the number of the request."""

    def __init__(self, clock: FakeClock, seconds: Callable[[int], float]) -> None:
        self._clock, self._seconds = clock, seconds
        self.asked: list[tuple[str, str]] = []

    def send(self, component: str, prompt: str) -> StreamTimes:
        sent = self._clock.now()
        self._clock.sleep(self._seconds(len(self.asked)))
        self.asked.append((component, prompt))
        return StreamTimes(sent=sent, ended=self._clock.now(), first=self._clock.now(), output_tokens=1)


def load(
    loop: Loop,
    seconds: Callable[[int], float],
    *,
    requests: int = 1_000,
    until: float = 1e9,
    cut: float = 1e9,
) -> list[Measurement]:
    clock = FakeClock(start=0.0)
    found: list[Measurement] = []
    generator = LoadGenerator(FakeEndpoint(clock, seconds).send, clock)
    run(generator, loop, requests, found.append, until=until, cut=cut)
    return found


def run(
    generator: LoadGenerator,
    loop: Loop,
    requests: int,
    measured: Callable[[Measurement], None],
    *,
    until: float = 1e12,
    cut: float = 1e12,
) -> None:
    bounds = Bounds(requests=requests, until=until, cut_off=cut)
    generator.run(loop, cycle(["base"]), cycle(["a", "b"]), bounds, seed=1, measured=measured)


def test_closed_loop_sends_when_the_last_answer_is_there() -> None:
    found = load(ClosedLoop(clients=1), lambda number: 0.5, requests=4)
    assert [each.intended for each in found] == [0, 0.5, 1.0, 1.5]
    assert [each.latency for each in found] == [0.5] * 4
    # Time bounds a load, and what was sent is still answered.
    found = load(ClosedLoop(clients=1), lambda number: 0.4, until=1.0)
    assert [each.intended for each in found] == pytest.approx([0, 0.4, 0.8])
    assert found[-1].times.ended == pytest.approx(1.2)


def test_open_loop_arrives_at_its_rate_whatever_the_answers_take() -> None:
    gaps = OpenLoop(rate=10).gaps(random.Random(1))
    assert gaps is not None
    found = load(OpenLoop(rate=10, connections=1), lambda number: 0.001, requests=2_000)
    assert found[-1].intended == pytest.approx(200, rel=0.1)
    first = [next(gaps) for _ in range(3)]
    assert [each.intended for each in found[:3]] == pytest.approx([first[0], first[0] + first[1], sum(first)])


def test_open_loop_counts_the_wait_of_requests_behind_a_slow_one() -> None:
    """No coordinated omission: a stall of 10 s is seen by all that should have been sent meanwhile."""
    found = load(OpenLoop(rate=10, connections=1), lambda number: 10 if number == 50 else 0.001, requests=200)
    waited = [each for each in found if each.latency > 0.5]
    assert len(waited) == pytest.approx(95, abs=30)
    assert max(each.latency for each in waited[1:]) == pytest.approx(10, abs=1)
    # The time from sending alone would show one slow request.
    assert sum(each.times.ended - each.times.sent > 0.5 for each in found) == 1


def test_what_arrived_in_time_and_cannot_be_sent_before_the_end_is_an_error() -> None:
    found = load(OpenLoop(rate=10, connections=1), lambda number: 1.0, until=2.0, cut=5.0)
    assert len(found) == pytest.approx(20, abs=8)
    late = [each for each in found if each.times.error is not None]
    assert [each.times.error for each in late] == [
        RequestError(kind="not sent", message="it still waited for a connection at the end")
    ] * len(late)
    assert len(found) - len(late) == pytest.approx(5, abs=1)


def test_clients_are_as_many_as_said() -> None:
    at_once, most, lock, together = 0, 0, threading.Lock(), threading.Barrier(4, timeout=10)

    def send(component: str, prompt: str) -> StreamTimes:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        together.wait()
        with lock:
            at_once -= 1
        return StreamTimes(sent=0, ended=1)

    found: list[Measurement] = []
    run(LoadGenerator(send, Clock()), ClosedLoop(clients=4), 40, found.append)
    assert (len(found), most) == (40, 4)


def test_failure_of_a_client_ends_the_load_and_is_raised() -> None:
    def send(component: str, prompt: str) -> StreamTimes:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        run(LoadGenerator(send, FakeClock()), ClosedLoop(clients=2), 10, lambda each: None)


def test_stop_ends_a_load_that_waits_for_an_arrival() -> None:
    clock = FakeClock(start=0.0)
    generator = LoadGenerator(FakeEndpoint(clock, lambda number: 0.1).send, clock)
    found: list[Measurement] = []

    def measured(each: Measurement) -> None:
        found.append(each)
        if len(found) == 3:
            generator.stop.set()

    run(generator, OpenLoop(rate=1, connections=1), 1_000, measured)
    assert len(found) == 3
