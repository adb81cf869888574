"""Loads on a clock that moves only when somebody waits or works."""

import threading
import time
from collections.abc import Callable

import pytest

from adapters_cli.load.benchmark import send_load
from adapters_cli.load.streaming_client import StreamTimes
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
    send: Callable[[str, str], StreamTimes],
    now: Callable[[], float],
    clients: int,
    requests: int,
    *,
    until: float = 1e12,
) -> list[StreamTimes]:
    return send_load(send, now, [("base", "a")] * requests, clients=clients, until=until)


def test_client_sends_when_the_last_answer_is_there() -> None:
    clock = FakeClock(start=0.0)
    found = run(FakeEndpoint(clock, 0.5).send, clock.now, 1, 4)
    assert [each.sent for each in found] == [0, 0.5, 1.0, 1.5]
    assert [each.latency for each in found] == [0.5] * 4
    # Time bounds a load, and what was sent is still answered.
    clock = FakeClock(start=0.0)
    found = run(FakeEndpoint(clock, 0.4).send, clock.now, 1, 1_000, until=1.0)
    assert [each.sent for each in found] == pytest.approx([0, 0.4, 0.8])
    assert found[-1].ended == pytest.approx(1.2)


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

    assert (len(run(send, time.perf_counter, 4, 40)), most) == (40, 4)


def test_failure_of_a_client_ends_the_load_and_is_raised() -> None:
    def send(component: str, prompt: str) -> StreamTimes:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        run(send, FakeClock().now, 2, 10)
