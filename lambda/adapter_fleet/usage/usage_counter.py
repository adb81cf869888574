"""Counts the use of a fleet's adapters up to a time, and publishes it as metrics.

Each run goes on where the last one ended. The end is stored before anything is published, so a run that
EventBridge delivers twice counts once. Costs have an end of their own: a day whose costs cannot be read stops
no counting, and the next run tries it again.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from adapter_fleet.common.clock import Clock
from adapter_fleet.usage.counting_settings import ADAPTER, FLEET, CountingSettings
from adapter_fleet.usage.fleet_members import FleetMembers
from adapter_fleet.usage.price_list import PriceList
from adapter_fleet.usage.usage_table import (
    DAY,
    HOUR,
    CountedTokens,
    Table,
    TokenPattern,
    Usage,
    by_key,
    share_cost,
)
from adapter_fleet.usage.working_set import PERIOD, SHORT_SECONDS, WorkingSet

LATE_SECONDS = 300.0
"""How late metrics and lines of logs may come and still be counted."""

_MOST_SECONDS = DAY
"""How far a run goes back, at most, if none has run for long."""

Requests = Sequence[tuple[str, float, float]]
"""Component, begin of a minute, and how many."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Values of metrics with the same dimensions, at a time in seconds since 1970."""

    at: float
    dimensions: Mapping[str, str]
    values: Mapping[str, float]


class UsageSource(Protocol):
    """Reads what adapters were used for; `aws.usage_reader` implements it."""

    def requests(
        self, components: Iterable[str], start: float, end: float, *, period: int
    ) -> Iterator[tuple[str, float, float]]:
        """Yield the requests of components: name, begin of a period, and how many."""

    def tokens(self, base: str, start: float, end: float, tokens: TokenPattern) -> Iterator[CountedTokens]:
        """Yield the tokens that the base's containers tell."""

    def table(
        self, components: Iterable[str], base: str, start: float, end: float, tokens: TokenPattern
    ) -> Table:
        """Return the use of components by day."""

    def costs(self, endpoint: str, prices: PriceList, start: float, end: float) -> dict[str, float]:
        """Return what the endpoint's instances cost by day."""


class UsageCursor(Protocol):
    """Stores up to when something is counted; `aws.usage_cursor` implements it."""

    def read(self) -> float | None:
        """Return the time; None before the first run."""

    def advance(self, before: float | None, after: float) -> bool:
        """Set the time; return False if it is not `before`, as another run has set it."""


class UsageSink(Protocol):
    """Publishes metrics; `aws.usage_telemetry` implements it."""

    def publish(self, sample: Sample) -> None:
        """Publish values."""


class UsageCounter:
    """Counts the use of one fleet's adapters.

    cursor, days:
        Up to when requests and tokens are counted, and up to which midnight costs are.
    """

    def __init__(
        self,
        *,
        uid: str,
        source: UsageSource,
        cursor: UsageCursor,
        days: UsageCursor,
        sink: UsageSink,
        clock: Clock,
        settings: CountingSettings,
    ) -> None:
        self._uid = uid
        self._source, self._cursor, self._sink, self._clock = source, cursor, sink, clock
        self._days, self._settings = days, settings

    def run(self, members: FleetMembers, at: float) -> float | None:
        """Count what was used up to some minutes before a time; return the end of what is counted.

        None if there is nothing to count yet, or another run has counted it.
        """
        end = (at - LATE_SECONDS) // PERIOD * PERIOD
        counted = self._count(members, end)
        if self._settings.prices is not None:
            self._count_costs(members, self._settings.prices, end // DAY * DAY)
        return counted

    def _count(self, members: FleetMembers, end: float) -> float | None:
        before = self._cursor.read()
        begin = max(end - SHORT_SECONDS if before is None else before, end - _MOST_SECONDS)
        if end <= begin:
            return None
        recent = end - SHORT_SECONDS
        requests = list(self._source.requests(members.names, min(begin, recent), end, period=PERIOD))
        samples = [
            *self._used(members, [one for one in requests if one[1] >= begin], begin, end),
            self._room(members, [one for one in requests if one[1] >= recent]),
        ]
        if not self._cursor.advance(before, end):
            return None
        for sample in samples:
            self._sink.publish(sample)
        return end

    def _used(self, members: FleetMembers, requests: Requests, begin: float, end: float) -> Iterator[Sample]:
        """Yield requests and tokens, hour by hour, so that each day has its own."""
        hours: dict[float, dict[str, Usage]] = defaultdict(lambda: defaultdict(Usage))
        for component, at, count in requests:
            hours[_hour(at)][component].requests += count
        base = members.target.base
        for counted in self._source.tokens(base, begin, end, self._settings.tokens):
            usage = hours[_hour(counted.at)][counted.component]
            usage.prompt_tokens += counted.prompt
            usage.completion_tokens += counted.completion
        for hour in sorted(hours):
            for dimensions, usage in self._grouped(members, hours[hour]):
                values = {"Requests": usage.requests}
                if usage.tokens:
                    values |= {
                        "PromptTokens": usage.prompt_tokens,
                        "CompletionTokens": usage.completion_tokens,
                    }
                yield Sample(at=max(hour, begin), dimensions=dimensions, values=values)

    def _count_costs(self, members: FleetMembers, prices: PriceList, midnight: float) -> None:
        """Publish the costs of the day that ended at a midnight, unless a run has. The first run does not."""
        before = self._days.read()
        if before is None:
            self._days.advance(None, midnight)
        elif before < midnight:
            samples = list(self._costs(members, prices, midnight))
            if self._days.advance(before, midnight):
                for sample in samples:
                    self._sink.publish(sample)

    def _costs(self, members: FleetMembers, prices: PriceList, midnight: float) -> Iterator[Sample]:
        """Yield the costs of a day, shared out by the use of the whole day."""
        target, start = members.target, midnight - DAY
        table = self._source.table(
            {*members.names, target.base}, target.base, start, midnight, self._settings.tokens
        )
        costs = self._source.costs(target.endpoint, prices, start, midnight)
        share_cost(table, costs)
        # CloudWatch shows values that are a day old two days later, and those of some hours much sooner.
        at = midnight - HOUR
        yield Sample(at=at, dimensions={FLEET: self._uid}, values={"EndpointCost": sum(costs.values())})
        for used in table.values():
            for dimensions, usage in self._grouped(members, used):
                yield Sample(at=at, dimensions=dimensions, values={"Cost": usage.cost or 0.0})

    def _grouped(
        self, members: FleetMembers, used: Mapping[str, Usage]
    ) -> Iterator[tuple[dict[str, str], Usage]]:
        """Yield the use of the fleet, of each value of a tag and of each adapter, with its dimensions."""
        own = {component: usage for component, usage in used.items() if component in members.names}
        of_fleet = {FLEET: self._uid}
        for usage in by_key(own, dict.fromkeys(own, "")).values():
            yield of_fleet, usage
        tags: list[str | None] = [*self._settings.by, *([None] if self._settings.per_adapter else [])]
        for tag in tags:
            for key, usage in by_key(own, members.keys(tag)).items():
                yield {**of_fleet, tag or ADAPTER: key}, usage

    def _room(self, members: FleetMembers, requests: Requests) -> Sample:
        """Return how many adapters were asked at a time, and what they have of the room for them."""
        settings, count = self._settings, len(members.declared)
        working = WorkingSet.of(requests)
        values: dict[str, float] = {"AdaptersAtATime": working.usual}
        slots, in_memory = settings.max_loras, settings.max_cpu_loras
        if slots is not None and in_memory is not None:
            values |= {
                "MaxLorasUse": 100 * working.use(slots, count),
                "MaxCpuLorasUse": 100 * working.use(in_memory, count),
            }
        return Sample(at=self._clock.now(), dimensions={FLEET: self._uid}, values=values)


def _hour(at: float) -> float:
    return at // HOUR * HOUR
