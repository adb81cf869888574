"""Sends a load: a number of clients in a closed loop, or arrivals at a rate in an open loop."""

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from adapter_fleet.common.clock import Clock
from adapters_cli.aws.worker_threads import WorkerThreads
from adapters_cli.load.measurement import Measurement, RequestError, StreamTimes

_LONGEST_SLEEP = 0.2
_PATIENCE = 5.0
"""Seconds that an interrupted load waits for the answers that still come."""


@dataclass(frozen=True, kw_only=True)
class ClosedLoop:
    """Clients that each send a request when the answer to their last one is there."""

    clients: int

    @property
    def concurrency(self) -> int:
        """The most requests in progress."""
        return self.clients

    @property
    def text(self) -> str:
        """The loop in reports."""
        return f"{self.clients} at once"

    def gaps(self, source: random.Random) -> None:
        """Return nothing: requests are sent as soon as a client is free."""


@dataclass(frozen=True, kw_only=True)
class OpenLoop:
    """Requests that arrive at a rate, whatever became of those before: a Poisson process.

    rate:
        Requests a second.
    connections:
        The most requests in progress. A request that finds none free waits, and the wait counts.
    """

    rate: float
    connections: int = 64

    @property
    def concurrency(self) -> int:
        """The most requests in progress."""
        return self.connections

    @property
    def text(self) -> str:
        """The loop in reports."""
        return f"{self.rate:g} a second"

    def gaps(self, source: random.Random) -> Iterator[float]:
        """Yield the seconds between arrivals."""
        while True:
            yield source.expovariate(self.rate)


Loop = ClosedLoop | OpenLoop


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """When no further request is sent.

    until:
        A time of the clock. What arrived before it in an open loop is still sent.
    cut_off:
        When answers that still come are left, and when what waits is not sent any more. Both are errors.
    """

    requests: int
    until: float
    cut_off: float


Send = Callable[[str, str], StreamTimes]
"""Sends a prompt to a component: (component, prompt)."""


class LoadGenerator:
    """Sends loads. `stop` ends the one that runs, from any thread."""

    def __init__(self, send: Send, clock: Clock) -> None:
        self._send, self._clock = send, clock
        self.stop = threading.Event()

    def run(
        self,
        loop: Loop,
        components: Iterator[str],
        prompts: Iterator[str],
        bounds: Bounds,
        *,
        seed: int,
        measured: Callable[[Measurement], None],
    ) -> None:
        """Send requests until a bound is reached, and give each measurement to `measured`.

        Waits for the answers that still come. Ctrl-C ends it early.
        """
        requests = _Requests(loop, components, prompts, bounds, self._clock, random.Random(seed))
        failures: list[BaseException] = []
        lock = threading.Lock()

        def work() -> None:
            try:
                while not self.stop.is_set() and (request := requests.take()) is not None:
                    component, prompt, intended = request
                    if self._wait_until(intended):
                        late = self._clock.now() >= bounds.cut_off
                        times = self._unsent() if late else self._send(component, prompt)
                        with lock:
                            measured(Measurement(component=component, intended=intended, times=times))
            except BaseException as failure:  # it is raised in the caller's thread
                failures.append(failure)
                self.stop.set()

        count = min(loop.concurrency, bounds.requests)
        WorkerThreads(work, count).run(self.stop.set, _PATIENCE)
        if failures:
            raise failures[0]

    def _unsent(self) -> StreamTimes:
        now = self._clock.now()
        error = RequestError(kind="not sent", message="it still waited for a connection at the end")
        return StreamTimes(sent=now, ended=now, error=error)

    def _wait_until(self, moment: float) -> bool:
        """Wait for a moment; return False if the load is stopped meanwhile."""
        while not self.stop.is_set():
            left = moment - self._clock.now()
            if left <= 0:
                return True
            self._clock.sleep(min(left, _LONGEST_SLEEP))
        return False


class _Requests:
    """The requests of a load, each with its intended time. Threads take them in turn."""

    def __init__(
        self,
        loop: Loop,
        components: Iterator[str],
        prompts: Iterator[str],
        bounds: Bounds,
        clock: Clock,
        source: random.Random,
    ) -> None:
        self._components, self._prompts = components, prompts
        self._bounds, self._clock = bounds, clock
        self._gaps = loop.gaps(source)
        self._arrival = clock.now()
        self._taken = 0
        self._lock = threading.Lock()

    def take(self) -> tuple[str, str, float] | None:
        """Return the next component, prompt and intended time; None when a bound is reached."""
        with self._lock:
            # A late request of an open loop keeps its intended time.
            self._arrival = self._clock.now() if self._gaps is None else self._arrival + next(self._gaps)
            if self._taken >= self._bounds.requests or self._arrival >= self._bounds.until:
                return None
            self._taken += 1
            return next(self._components), next(self._prompts), self._arrival
