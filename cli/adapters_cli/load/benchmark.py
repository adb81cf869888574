"""Runs a benchmark: each load on the base and on adapters in turn, then each memory tier by itself."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from math import ceil
from statistics import median

from adapter_fleet.common.counts import counted
from adapters_cli.load.benchmark_result import INDISTINCT_TIERS, BenchmarkResult, Level, Series, TierTimes
from adapters_cli.load.load_generator import Bounds, Clock, ClosedLoop, LoadGenerator, Loop
from adapters_cli.load.measurement import Measurement, StreamingClient, StreamTimes
from adapters_cli.load.mix import Mix
from adapters_cli.load.statistics import separable_tiers, tier_shares

GRACE = 60.0
"""Seconds that answers may still come after the last bound. SageMaker gives a container as long to answer."""

_ROUNDS = 25
"""The most rounds of a level. The shorter a round, the more both of its sides meet the same machine."""
_FEW_ROUNDS = 5
"""As many rounds even if their blocks are short: of fewer, a ratio has hardly an interval."""
_REQUESTS_OF_A_CLIENT = 4
"""Requests of each client in a block. The fewer, the more of them are sent while other clients are done."""
_SECONDS_OF_A_BLOCK = 10
"""The least seconds of a block of an open loop, where the requests suffice. A queue needs time to grow."""
_ROUNDS_OF_AN_OPEN_LOOP = 2
"""The least: base, adapters, adapters, base. So a steady drift of the machine's speed cancels out."""
_TIER_ROUNDS = (5, 20)
"""The least and the most rounds of tiers: each begins with a whole circle that does not count."""
_REQUESTS_TO_ENTER_A_TIER = 4
"""Of each copy, the least requests that do not count: every copy should get one."""
_LEAST_FOR_TIERS = 20
_WARM_UP = 5
_LONGEST_WARM_UP = 100
_CLIENTS_OF_A_WARM_UP = 8


class LoadError(Exception):
    """The endpoint does not answer, so that there is nothing to measure."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkPlan:
    """What a benchmark asks.

    base:
        The base component; None to leave it out.
    adapters:
        Components, the most popular one first.
    counts:
        Numbers of adapters in the mix.
    requests:
        The most requests to base and adapters each, at each level.
    seconds:
        The most seconds of all levels and tiers together.
    warm_up:
        Requests before each level that do not count; None for twice the slots, and one for each client.
    cold:
        Requests to measure each memory tier with; 0 measures none.
    max_loras, max_cpu_loras:
        Adapters in GPU memory and in CPU memory of a copy, if known.
    """

    base: str | None
    adapters: Sequence[str]
    mix: Mix
    counts: Sequence[int]
    loops: Sequence[Loop]
    prompts: Sequence[str]
    output_tokens: int
    requests: int
    seconds: float
    warm_up: int | None = None
    cold: int = 0
    max_loras: int | None = None
    max_cpu_loras: int | None = None
    copies: int = 1
    seed: int = 0


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
        self._tokens = plan.output_tokens
        self._prompt = 0  # number of the first prompt that nobody was asked yet
        self._end = 0.0
        self._parts = 0

    @property
    def cut_off(self) -> bool:
        """True when answers that still come are left."""
        return self.generator.stop.is_set() or self._clock.now() >= self._end + GRACE

    def run(self, result: BenchmarkResult) -> None:
        """Fill a result. After Ctrl-C it has what was measured until then.

        Raises LoadError if the first request fails.
        """
        plan, began = self._plan, self._clock.now()
        self._end = began + plan.seconds
        first = plan.base or plan.adapters[0]
        error = self._client.settle(first, plan.prompts[0], plan.output_tokens)
        if error is not None:
            raise LoadError(f"{first} does not answer: {error.message or error.kind}")
        result.form = self._client.form.title
        levels = [Level(loop=loop, adapters=count) for count in plan.counts for loop in plan.loops]
        circles = self._circles(result) if plan.cold else []
        self._parts = len(levels) + (1 if circles else 0)
        try:
            for level in levels:
                result.levels.append(level)
                self._measure_level(level)
            if circles:
                result.tiers = circles
                self._measure_tiers(circles)
                result.not_measured += self._cut_short(circles)
                self._find_tier_hits(result)
        except KeyboardInterrupt:
            result.interrupted = True
            if result.levels and not result.tiers:
                result.levels[-1].ended_by = "interrupt"
        result.seconds = self._clock.now() - began
        for level in result.levels:
            level.compare(seed=plan.seed)
        for tier in result.tiers:
            tier.compare(seed=plan.seed)

    def _ask(self, component: str, prompt: str) -> StreamTimes:
        return self._client.ask(component, prompt, self._tokens)

    def _measure_level(self, level: Level) -> None:
        plan = self._plan
        self._progress(level.title)
        source = random.Random(f"{plan.seed} {level.title}")
        draws = plan.mix.draws(plan.adapters[: level.adapters], source)
        loop = level.loop
        who = [(level.subject, draws, self._warm_up(loop, level.adapters))]
        if plan.base is not None:
            level.base = Series()
            who.insert(0, (level.base, cycle([plan.base]), self._warm_up(loop, 1)))
        until = self._next_deadline()
        # As many clients as the load has: a connection that is opened later would count as latency.
        clients = loop.clients if isinstance(loop, ClosedLoop) else _CLIENTS_OF_A_WARM_UP
        for _, components, requests in who:
            self._load(ClosedLoop(clients=clients), components, requests, until, None, first=self._prompt)
        self._prompt += max(requests for _, _, requests in who)
        rounds = self._rounds(loop)
        for number in range(rounds):
            requests = plan.requests * (number + 1) // rounds - plan.requests * number // rounds
            # In turn, and never at the same time: rows of the base beside rows of adapters take longer.
            order = who if number % 2 == 0 else who[::-1]
            begun = [len(series.measurements) for series, _, _ in who]
            for place, (series, components, _) in enumerate(order):
                blocks = (rounds - number) * len(who) - place
                share = (until - self._clock.now()) / blocks
                end = self._clock.now() + share
                sent = self._load(loop, components, requests, end, series, first=self._prompt)
                if sent < requests:
                    level.ended_by = "seconds"
            self._prompt += requests
            blocks_of = [series.measurements[start:] for (series, *_), start in zip(who, begun, strict=True)]
            level.subject.relative += _relative(blocks_of[-1], blocks_of[0])
            if level.base is not None:
                level.rounds.append((blocks_of[-1], blocks_of[0]))

    def _rounds(self, loop: Loop) -> int:
        """Return how many rounds there are. The more there are, the shorter are their blocks."""
        requests = self._plan.requests
        if isinstance(loop, ClosedLoop):
            each, fewest = _REQUESTS_OF_A_CLIENT * loop.clients, min(_FEW_ROUNDS, requests // loop.clients)
        else:
            each = max(_REQUESTS_OF_A_CLIENT, ceil(_SECONDS_OF_A_BLOCK * loop.rate))
            fewest = min(_ROUNDS_OF_AN_OPEN_LOOP, requests)
        return max(1, fewest, min(_ROUNDS, requests // each))

    def _warm_up(self, loop: Loop, adapters: int) -> int:
        if self._plan.warm_up is not None:
            return self._plan.warm_up
        slots = min(adapters, self._plan.max_loras or adapters)
        clients = loop.clients if isinstance(loop, ClosedLoop) else 0
        return max(_WARM_UP, clients, min(_LONGEST_WARM_UP, 2 * slots))

    def _next_deadline(self) -> float:
        """Return when the next part has to end, so that each of the rest has as long."""
        now = self._clock.now()
        deadline = now + max(0.0, self._end - now) / max(1, self._parts)
        self._parts -= 1
        return deadline

    def _load(
        self,
        loop: Loop,
        components: Iterator[str],
        requests: int,
        until: float,
        series: Series | None,
        *,
        first: int = 0,
    ) -> int:
        """Send a load; return how many requests were sent.

        Its first request has the prompt of that number, which also decides the arrivals. So base and adapters
        have the same ones in each round.
        """
        measured: list[Measurement] = []
        if requests:
            try:
                self.generator.run(
                    loop,
                    components,
                    islice(cycle(self._plan.prompts), first % len(self._plan.prompts), None),
                    Bounds(requests=requests, until=until, cut_off=self._end + GRACE),
                    seed=random.Random(f"{self._plan.seed} {loop.text} {first}").getrandbits(32),
                    measured=measured.append,
                )
            finally:
                if series is not None and measured:
                    series.measurements += measured
                    began = min(each.intended for each in measured)
                    series.seconds += max(each.times.ended for each in measured) - began
        return len(measured)

    # --- memory tiers

    def _circles(self, result: BenchmarkResult) -> list[TierTimes]:
        """Return the tiers that can be measured, and note why others cannot.

        An engine drops the least recently used adapter. So of one more adapter than fit into a tier, asked in
        a circle, the next one has always just left it. With several copies, each gets some of the requests,
        and a circle is that much longer.
        """
        plan = self._plan
        found = [TierTimes(tier="gpu", circle=1)]
        spread = 1 if plan.copies == 1 else 2 * plan.copies
        cpu_slots = plan.max_cpu_loras or plan.max_loras
        for tier, slots, most in (("cpu", plan.max_loras, cpu_slots), ("disk", cpu_slots, None)):
            if slots is None:
                result.not_measured.append(f"tier {tier}: the slots are not known; give --gpu-slots")
                continue
            circle = (slots + 1) * spread
            if most is not None and circle > most:
                result.not_measured.append(
                    f"tier {tier}: CPU memory has no room for {counted(circle, 'adapter')}"
                )
            elif circle > len(plan.adapters):
                result.not_measured.append(
                    f"tier {tier}: {counted(circle, 'adapter')} would have to be asked in a circle, and there"
                    f" are {len(plan.adapters)}"
                )
            else:
                found.append(TierTimes(tier=tier, circle=circle))
        return found

    def _measure_tiers(self, tiers: Sequence[TierTimes]) -> None:
        """Measure the tiers in turn, several times, each time beside the base."""
        self._progress("memory tiers")
        plan, until, alone = self._plan, self._next_deadline(), ClosedLoop(clients=1)
        least, most = _TIER_ROUNDS
        rounds = max(least, min(most, plan.cold // max(tier.circle for tier in tiers)))
        for number in range(rounds):
            requests = plan.cold * (number + 1) // rounds - plan.cold * number // rounds
            base = Series()
            if plan.base is not None:
                self._load(alone, cycle([plan.base]), requests, until, base, first=self._prompt)
            for tier in tiers:
                circle = cycle(plan.adapters[: tier.circle])
                self._tokens = 1
                try:
                    self._load(
                        alone, circle, max(_REQUESTS_TO_ENTER_A_TIER * plan.copies, tier.circle), until, None
                    )
                finally:
                    self._tokens = plan.output_tokens
                begun = len(tier.series.measurements)
                self._load(alone, circle, requests, until, tier.series, first=self._prompt)
                block = tier.series.measurements[begun:]
                tier.series.relative += _relative(block, base.measurements)
                tier.rounds.append((block, base.measurements))
            self._prompt += requests

    def _cut_short(self, tiers: Sequence[TierTimes]) -> Iterator[str]:
        for tier in tiers:
            asked = len(tier.series.measurements)
            if asked < self._plan.cold:
                requests = counted(self._plan.cold, "request")
                yield f"tier {tier.tier}: the time ended after {asked} of {requests}"

    def _find_tier_hits(self, result: BenchmarkResult) -> None:
        """Estimate the tiers of the requests that were sent one at a time, as those of each tier were."""
        if self._plan.base is None:
            result.not_measured.append("tiers of the loads: they are estimated beside the base alone")
            return
        measured = {each.tier: each.series.relative for each in result.tiers}
        by_tier = separable_tiers(
            {tier: values for tier, values in measured.items() if len(values) >= _LEAST_FOR_TIERS}
        )
        if len(by_tier) < 2:
            result.not_measured.append(INDISTINCT_TIERS)
            return
        for level in result.levels:
            observed = level.subject.relative
            if level.loop == ClosedLoop(clients=1) and len(observed) >= _LEAST_FOR_TIERS:
                level.tier_hits = tier_shares(observed, by_tier, seed=self._plan.seed)


def _relative(block: Sequence[Measurement], base: Sequence[Measurement]) -> list[float]:
    """Return the first-token times of a block as multiples of the base's median beside it.

    So a machine that becomes slower for a while does not look like another tier.
    """
    own, others = ([each.first_token for each in some if each.times.error is None] for some in (block, base))
    of_base = [each for each in others if each is not None]
    unit = median(of_base) if of_base else 0.0
    return [each / unit for each in own if each is not None] if unit else []
