"""Loads on a clock that moves only when somebody waits or works."""

import threading
from collections.abc import Callable
from itertools import cycle

import pytest

from adapter_fleet.common.clock import Clock
from adapters_cli.load.benchmark import LoadGenerator
from adapters_cli.load.measurement import Measurement, StreamTimes
from tests.adapter_fleet.fake_service import FakeClock


class FakeEndpoint:
    """Answers after so many seconds of the clock."""

    def __init__(self, clock: FakeClock, seconds: float) -> None:
        self._clock, self._seconds = clock, seconds

    def send(self, component: str, prompt: str) -> StreamTimes:
        sent = self._clock.now()
        self._clock.sleep(self._seconds)
        return StreamTimes(sent=sent, ended=self._clock.now(), first=self._clock.now(), output_tokens=1)


def run(
    generator: LoadGenerator,
    clients: int,
    requests: int,
    measured: Callable[[Measurement], None],
    *,
    until: float = 1e12,
) -> None:
    generator.run(
        clients, cycle(["base"]), cycle(["a", "b"]), requests=requests, until=until, measured=measured
    )


def test_client_sends_when_the_last_answer_is_there() -> None:
    clock = FakeClock(start=0.0)
    found: list[Measurement] = []
    run(LoadGenerator(FakeEndpoint(clock, 0.5).send, clock), 1, 4, found.append)
    assert [each.times.sent for each in found] == [0, 0.5, 1.0, 1.5]
    assert [each.latency for each in found] == [0.5] * 4
    # Time bounds a load, and what was sent is still answered.
    clock, found = FakeClock(start=0.0), []
    run(LoadGenerator(FakeEndpoint(clock, 0.4).send, clock), 1, 1_000, found.append, until=1.0)
    assert [each.times.sent for each in found] == pytest.approx([0, 0.4, 0.8])
    assert found[-1].times.ended == pytest.approx(1.2)


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
    run(LoadGenerator(send, Clock()), 4, 40, found.append)
    assert (len(found), most) == (40, 4)


def test_failure_of_a_client_ends_the_load_and_is_raised() -> None:
    def send(component: str, prompt: str) -> StreamTimes:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        run(LoadGenerator(send, FakeClock()), 2, 10, lambda each: None)


def test_stop_ends_a_load() -> None:
    clock = FakeClock(start=0.0)
    generator = LoadGenerator(FakeEndpoint(clock, 0.1).send, clock)
    found: list[Measurement] = []

    def measured(each: Measurement) -> None:
        found.append(each)
        if len(found) == 3:
            generator.stop.set()

    run(generator, 1, 1_000, measured)
    assert len(found) == 3
