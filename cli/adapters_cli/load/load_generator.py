"""Sends a load: clients that each send a request when the answer to their last one is there."""

import threading
from collections.abc import Callable, Iterator
from itertools import islice

from adapter_fleet.common.clock import Clock
from adapters_cli.aws.worker_threads import WorkerThreads
from adapters_cli.load.measurement import Measurement, StreamTimes

_PATIENCE = 5.0
"""Seconds that an interrupted load waits for the answers that still come."""

Send = Callable[[str, str], StreamTimes]
"""Sends a prompt to a component: (component, prompt)."""


class LoadGenerator:
    """Sends loads. `stop` ends the one that runs, from any thread."""

    def __init__(self, send: Send, clock: Clock) -> None:
        self._send, self._clock = send, clock
        self.stop = threading.Event()

    def run(
        self,
        clients: int,
        components: Iterator[str],
        prompts: Iterator[str],
        *,
        requests: int,
        until: float,
        measured: Callable[[Measurement], None],
    ) -> None:
        """Send so many requests, but none from a time of the clock on. `measured` gets each measurement.

        Waits for the answers that still come. Ctrl-C ends it early.
        """
        left = islice(zip(components, prompts, strict=False), requests)
        failures: list[BaseException] = []
        lock = threading.Lock()

        def take() -> tuple[str, str] | None:
            with lock:
                return next(left, None) if self._clock.now() < until else None

        def work() -> None:
            try:
                while not self.stop.is_set() and (taken := take()) is not None:
                    component, prompt = taken
                    times = self._send(component, prompt)
                    with lock:
                        measured(Measurement(component=component, times=times))
            except BaseException as failure:  # it is raised in the caller's thread
                failures.append(failure)
                self.stop.set()

        WorkerThreads(work, min(clients, requests)).run(self.stop.set, _PATIENCE)
        if failures:
            raise failures[0]
