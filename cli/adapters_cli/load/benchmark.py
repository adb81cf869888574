"""Runs a benchmark: each load on the base and on adapters in turn."""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, cycle, islice

from adapter_fleet.common.clock import Clock
from adapters_cli.aws.worker_threads import WorkerThreads
from adapters_cli.load.benchmark_result import LOOKS, BenchmarkResult, Level, Series
from adapters_cli.load.latency_requirement import LatencyRequirement
from adapters_cli.load.measurement import Measurement, StreamingClient, StreamTimes

_PATIENCE = 5.0
"""Seconds that an interrupted load waits for the answers that still come."""

Send = Callable[[str, str], StreamTimes]
"""Sends a prompt to a component: (component, prompt)."""


class LoadGenerator:
    """Sends loads: clients that each send a request when the answer to their last one is there.

    `stop` ends the one that runs, from any thread.
    """

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


GRACE = 60.0
"""Seconds that answers may still come after the last bound. SageMaker gives a container as long to answer."""

_ROUNDS = 25
"""The most rounds of a level. The shorter a round, the more both of its sides meet the same machine."""
_FEW_ROUNDS = 5
"""As many rounds even if their blocks are short: of fewer, a ratio has hardly an interval."""
_REQUESTS_OF_A_CLIENT = 4
"""Requests of each client in a block. The fewer, the more of them are sent while other clients are done."""
_WARM_UP = 5
_LONGEST_WARM_UP = 100


class LoadError(Exception):
    """The endpoint does not answer, so that there is nothing to measure."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkPlan:
    """What a benchmark asks.

    base:
        The base component.
    adapters:
        Components. Each request picks one of them.
    concurrency:
        The clients of each level.
    requests:
        The most requests to base and adapters each, at each level.
    seconds:
        The most seconds of all levels together.
    warm_up:
        Requests before each level that do not count; None for twice the slots, and one for each client.
    max_loras:
        Adapters in GPU memory of a copy, if known.
    requirements:
        While one is undecided at a level, as many requests are sent again; a level is held against them up to
        `LOOKS` times.
    """

    base: str
    adapters: Sequence[str]
    concurrency: Sequence[int]
    prompts: Sequence[str]
    max_tokens: int
    requests: int
    seconds: float
    warm_up: int | None = None
    max_loras: int | None = None
    requirements: Sequence[LatencyRequirement] = ()


def rounds_of(clients: int, requests: int) -> int:
    """Return in how many rounds a level's requests are sent. Blocks are the shorter, the more there are."""
    fewest = min(_FEW_ROUNDS, requests // clients)
    return max(1, fewest, min(_ROUNDS, requests // (_REQUESTS_OF_A_CLIENT * clients)))


class Benchmark:
    """A run of a plan.

    `progress` gets a line for each part that begins.
    """

    def __init__(
        self,
        plan: BenchmarkPlan,
        client: StreamingClient,
        clock: Clock,
        progress: Callable[[str], None],
    ) -> None:
        self._plan, self._client, self._clock, self._progress = plan, client, clock, progress
        self.generator = LoadGenerator(self._ask, clock)
        self._prompt = 0  # number of the first prompt that nobody was asked yet
        self._end = 0.0
        self._levels_left = 0

    def _is_cut_off(self) -> bool:
        """Return True when answers that still come are left."""
        return self.generator.stop.is_set() or self._clock.now() >= self._end + GRACE

    def run(self, result: BenchmarkResult) -> None:
        """Fill a result. After Ctrl-C it has what was measured until then.

        Raises LoadError if the first request fails.
        """
        plan, began = self._plan, self._clock.now()
        self._end = began + plan.seconds
        error = self._client.settle(plan.base, plan.prompts[0], plan.max_tokens)
        if error is not None:
            raise LoadError(f"{plan.base} does not answer: {error.message or error.kind}")
        result.form = self._client.form.title
        levels = [Level(concurrency=clients, adapters=len(plan.adapters)) for clients in plan.concurrency]
        self._levels_left = len(levels)
        try:
            for level in levels:
                result.levels.append(level)
                self._measure_level(level)
        except KeyboardInterrupt:
            result.interrupted = True
            if result.levels:
                result.levels[-1].ended_by = "interrupt"
        result.seconds = self._clock.now() - began
        for level in result.levels:
            level.compare()

    def _ask(self, component: str, prompt: str) -> StreamTimes:
        return self._client.ask(component, prompt, self._plan.max_tokens, self._is_cut_off)

    def _measure_level(self, level: Level) -> None:
        plan = self._plan
        self._progress(level.title)
        source = random.Random(level.title)
        draws = (source.choice(plan.adapters) for _ in count())
        who = [
            (level.base, cycle([plan.base]), self._warm_up(level.concurrency, 1)),
            (level.subject, draws, self._warm_up(level.concurrency, level.adapters)),
        ]
        until = self._next_deadline()
        # As many clients as the load has: a connection that is opened later would count as latency.
        for _, components, requests in who:
            self._load(level.concurrency, components, requests, until, None, first=self._prompt)
        self._prompt += max(requests for _, _, requests in who)
        self._measure_rounds(level, who, until)
        for _ in range(LOOKS - 1):
            if not level.look(plan.requirements) or level.ended_by == "seconds":
                return
            self._progress(f"{level.title}: undecided, so as many requests again")
            self._measure_rounds(level, who, until)

    def _measure_rounds(
        self, level: Level, who: Sequence[tuple[Series, Iterator[str], int]], until: float
    ) -> None:
        plan, rounds = self._plan, rounds_of(level.concurrency, self._plan.requests)
        for number in range(rounds):
            requests = plan.requests * (number + 1) // rounds - plan.requests * number // rounds
            # In turn, and never at the same time: rows of the base beside rows of adapters take longer.
            order = who if len(level.rounds) % 2 == 0 else who[::-1]
            begun = [len(series.measurements) for series, _, _ in who]
            for place, (series, components, _) in enumerate(order):
                blocks = (rounds - number) * len(who) - place
                share = (until - self._clock.now()) / blocks
                end = self._clock.now() + share
                sent = self._load(level.concurrency, components, requests, end, series, first=self._prompt)
                if sent < requests:
                    level.ended_by = "seconds"
            self._prompt += requests
            blocks_of = [series.measurements[start:] for (series, *_), start in zip(who, begun, strict=True)]
            level.rounds.append((blocks_of[-1], blocks_of[0]))

    def _warm_up(self, clients: int, adapters: int) -> int:
        if self._plan.warm_up is not None:
            return self._plan.warm_up
        slots = min(adapters, self._plan.max_loras or adapters)
        return max(_WARM_UP, clients, min(_LONGEST_WARM_UP, 2 * slots))

    def _next_deadline(self) -> float:
        """Return when the next level has to end, so that each of the rest has as long."""
        now = self._clock.now()
        deadline = now + max(0.0, self._end - now) / max(1, self._levels_left)
        self._levels_left -= 1
        return deadline

    def _load(
        self,
        clients: int,
        components: Iterator[str],
        requests: int,
        until: float,
        series: Series | None,
        *,
        first: int = 0,
    ) -> int:
        """Send a load; return how many requests were sent.

        Its first request has the prompt of that number. So base and adapters have the same in each round.
        """
        measured: list[Measurement] = []
        if requests:
            try:
                self.generator.run(
                    clients,
                    components,
                    islice(cycle(self._plan.prompts), first % len(self._plan.prompts), None),
                    requests=requests,
                    until=until,
                    measured=measured.append,
                )
            finally:
                if series is not None and measured:
                    series.measurements += measured
                    began = min(each.times.sent for each in measured)
                    series.seconds += max(each.times.ended for each in measured) - began
        return len(measured)
