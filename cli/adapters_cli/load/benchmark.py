"""Runs a benchmark: a load on the base and on adapters in turn."""

import random
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import count, cycle, islice, repeat

from adapters_cli.aws.worker_threads import WorkerThreads
from adapters_cli.load.benchmark_plan import BenchmarkPlan
from adapters_cli.load.benchmark_result import BenchmarkResult
from adapters_cli.load.streaming_client import StreamingClient, StreamTimes
from adapters_cli.output.errors import CommandError


def send_load(
    send: Callable[[str, str], StreamTimes],
    now: Callable[[], float],
    requests: Iterable[tuple[str, str]],
    *,
    clients: int,
    until: float,
) -> list[StreamTimes]:
    """Send each (component, prompt), but none from the time `until` on, and wait for the answers.

    Each client sends a request when the answer to its last one is there. An error that `send` raises ends
    the load, and is raised.
    """
    left = iter(requests)
    found: list[StreamTimes] = []
    failures: list[BaseException] = []
    lock, stop = threading.Lock(), threading.Event()

    def take() -> tuple[str, str] | None:
        with lock:
            return next(left, None) if not stop.is_set() and now() < until else None

    def work() -> None:
        try:
            while (taken := take()) is not None:
                times = send(*taken)
                with lock:
                    found.append(times)
        except BaseException as failure:  # it is raised in the caller's thread
            failures.append(failure)
            stop.set()

    WorkerThreads(work, clients).run(stop.set, 0)
    if failures:
        raise failures[0]
    return found


class Benchmark:
    """A run of a plan."""

    def __init__(self, plan: BenchmarkPlan, client: StreamingClient, now: Callable[[], float]) -> None:
        self._plan, self._client, self._now = plan, client, now
        self._prompt = 0  # number of the first prompt that nobody was asked yet

    def run(self) -> BenchmarkResult:
        """Send the requests. Raises CommandError if the first one fails."""
        plan = self._plan
        end = self._now() + plan.seconds
        error = self._client.settle(plan.base, plan.prompts[0], plan.max_tokens)
        if error is not None:
            raise CommandError(f"{plan.base} does not answer: {error.message or error.kind}")
        result = BenchmarkResult(plan=plan, fixed_length=self._client.fixed_length)
        source = random.Random(plan.concurrency)
        sides = [
            (result.base, repeat(plan.base)),
            (result.adapters, (source.choice(plan.adapters) for _ in count())),
        ]
        # As many clients as the load has: a connection that is opened later would count as latency.
        for _, components in sides:
            self._load(components, plan.warm_up, end)
        self._prompt += plan.warm_up
        for number in range(plan.rounds):
            requests = plan.requests * (number + 1) // plan.rounds - plan.requests * number // plan.rounds
            # In turn, and never at the same time: rows of the base beside rows of adapters take longer.
            order = sides if number % 2 == 0 else sides[::-1]
            for place, (side, components) in enumerate(order):
                blocks = (plan.rounds - number) * len(sides) - place
                now = self._now()
                side.blocks.append(self._load(components, requests, now + (end - now) / blocks))
            self._prompt += requests
        return result

    def _load(self, components: Iterator[str], requests: int, until: float) -> list[StreamTimes]:
        """Send a load. It begins with the same prompt for base and adapters."""
        prompts = islice(cycle(self._plan.prompts), self._prompt % len(self._plan.prompts), None)
        asked = islice(zip(components, prompts, strict=False), requests)
        return send_load(self._ask, self._now, asked, clients=self._plan.concurrency, until=until)

    def _ask(self, component: str, prompt: str) -> StreamTimes:
        return self._client.ask(component, prompt, self._plan.max_tokens)
