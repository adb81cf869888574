"""Counts the use of a fleet's adapters up to a time, and publishes it as metrics.

Each run goes on where the last one ended. The end is stored before anything is published, so a run that
EventBridge delivers twice counts once.
"""

import json
import math
import sys
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from adapter_fleet.aws.metric_reader import MetricReader
from adapter_fleet.common.clock import Clock
from adapter_fleet.common.naming import USAGE_PARTITION
from adapter_fleet.fleet.state.dynamodb_table import DynamoDbTable, key
from adapter_fleet.usage.counting_settings import ADAPTER, FLEET, SHORT_SECONDS, CountingSettings, UsageMetric
from adapter_fleet.usage.fleet_members import FleetMembers

PERIOD = 60
"""Seconds of the periods that are counted."""

LATE_SECONDS = 300.0
"""How late metrics may come and still be counted."""

_HOUR = 3600.0
_MOST_SECONDS = 24 * _HOUR
"""How far a run goes back, at most, if none has run for long."""

_UNITS: Mapping[str, str] = {
    UsageMetric.MAX_CPU_LORAS_USE: "Percent",
    UsageMetric.MAX_LORAS_USE: "Percent",
}

_MOST_CHARACTERS = 1024
"""The longest value of a dimension. A character beyond ASCII takes up to ten."""

Requests = Sequence[tuple[str, float, float]]
"""Component, begin of a minute, and how many."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Values of metrics with the same dimensions, at a time in seconds since 1970."""

    at: float
    dimensions: Mapping[str, str]
    values: Mapping[str, float]


class UsageCursor:
    """Up to when a fleet's use is counted, in the fleet's table."""

    def __init__(self, table: DynamoDbTable) -> None:
        self._table, self._key = table, key(USAGE_PARTITION, "counted")

    def read(self) -> float | None:
        """Return the time; None before the first run."""
        item = self._table.get(**self._key)
        return None if item is None else float(item["counted"])

    def advance(self, before: float | None, after: float) -> bool:
        """Set the time; return False if it is not `before`, as another run has set it."""
        values: dict[str, object] = {"after": after, "writer": uuid.uuid4().hex}
        if before is None:
            condition = "attribute_not_exists(counted)"
        else:
            condition = "counted = :before"
            values["before"] = before
        # A write whose answer was lost is sent again, and finds its own time.
        condition += " OR writer = :writer"
        change = "SET counted = :after, writer = :writer"
        return self._table.update(self._key, change, condition=condition, **values) is not None


class UsageTelemetry:
    """Publishes metrics by lines in the embedded metric format, which Lambda sends to CloudWatch."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    def publish(self, sample: Sample) -> None:
        """Write the line of a sample."""
        directive = {
            "Namespace": self._namespace,
            "Dimensions": [list(sample.dimensions)],
            "Metrics": [{"Name": name, "Unit": _UNITS.get(name, "Count")} for name in sample.values],
        }
        line = {
            "_aws": {"Timestamp": round(sample.at * 1000), "CloudWatchMetrics": [directive]},
            # CloudWatch takes values of dimensions in ASCII only, and none of spaces alone.
            **{name: _ascii(value) for name, value in sample.dimensions.items()},
            **sample.values,
        }
        sys.stdout.write(json.dumps(line) + "\n")


class UsageCounter:
    """Counts the use of one fleet's adapters."""

    def __init__(
        self,
        *,
        uid: str,
        source: MetricReader,
        cursor: UsageCursor,
        telemetry: UsageTelemetry,
        clock: Clock,
        settings: CountingSettings,
    ) -> None:
        self._uid = uid
        self._source, self._cursor, self._telemetry, self._clock = source, cursor, telemetry, clock
        self._settings = settings

    def run(self, members: FleetMembers, at: float) -> float | None:
        """Count what was used up to some minutes before a time; return the end of what is counted.

        None if there is nothing to count yet, or another run has counted it.
        """
        end = (at - LATE_SECONDS) // PERIOD * PERIOD
        before = self._cursor.read()
        begin = max(end - SHORT_SECONDS if before is None else before, end - _MOST_SECONDS)
        if end <= begin:
            return None
        recent = end - SHORT_SECONDS
        requests = list(self._source.requests(members.names, min(begin, recent), end, period=PERIOD))
        samples = [
            *self._used(members, [one for one in requests if one[1] >= begin], begin),
            self._room(members, [one for one in requests if one[1] >= recent]),
        ]
        if not self._cursor.advance(before, end):
            return None
        for sample in samples:
            self._telemetry.publish(sample)
        return end

    def _used(self, members: FleetMembers, requests: Requests, begin: float) -> Iterator[Sample]:
        """Yield the requests of the fleet, of each value of a tag and of each adapter.

        They are summed hour by hour, so that each day has its own.
        """
        keys = {tag: members.keys(tag) for tag in self._settings.by}
        if self._settings.per_adapter:
            keys[ADAPTER] = members.keys(None)
        sums: dict[tuple[float, str, str], float] = defaultdict(float)
        for component, at, count in requests:
            hour = at // _HOUR * _HOUR
            sums[hour, FLEET, self._uid] += count
            for tag, key_of in keys.items():
                sums[hour, tag, key_of[component]] += count
        for (hour, name, value), count in sorted(sums.items()):
            dimensions = {FLEET: self._uid, name: value}
            yield Sample(at=max(hour, begin), dimensions=dimensions, values={UsageMetric.REQUESTS: count})

    def _room(self, members: FleetMembers, requests: Requests) -> Sample:
        """Return how many adapters were asked at a time, and what they have of the room for them.

        Above `max_loras`, a request waits for a copy from CPU memory; above `max_cpu_loras`, for a read from
        the disk. Both waits begin all at once: if adapters are asked in turn, the one that was evicted for
        the last request is the next to be asked. A limit with room for the whole fleet makes nobody wait.
        """
        usual = _usual_number(requests)
        values: dict[str, float] = {UsageMetric.ADAPTERS_AT_A_TIME: usual}
        for name, limit in (
            (UsageMetric.MAX_LORAS_USE, self._settings.max_loras),
            (UsageMetric.MAX_CPU_LORAS_USE, self._settings.max_cpu_loras),
        ):
            if limit is not None:
                values[name] = 0.0 if limit >= len(members.declared) else 100 * usual / limit
        return Sample(at=self._clock.now(), dimensions={FLEET: self._uid}, values=values)


def _usual_number(requests: Requests) -> int:
    """Return how many adapters were asked in a minute: what 95 % of those with a request do not exceed."""
    numbers = sorted(Counter(at for _, at, count in requests if count).values())
    return numbers[math.ceil(len(numbers) * 95 / 100) - 1] if numbers else 0


def _ascii(text: str) -> str:
    found = text.encode("ascii", "backslashreplace").decode()[:_MOST_CHARACTERS]
    return found if found.strip() else "-"
