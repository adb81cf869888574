"""Metrics of one account and region: their values, and statistics of these in periods."""

import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

Point = dict[str, Any]

# Latencies are rounded to steps of 2 %, so that they meet; percentiles are off by at most 1 %.
_STEP = math.log(1.02)
# How many of the latest points a new value is compared with.
_COMPARED = 40
# From which age on values of how many seconds share points, the oldest first. Alarms of target tracking look
# back at ten minutes of 10 s each.
_LEVELS = ((3_600, 300), (900, 60))
KEPT_SECONDS = 3 * 3_600
# A series is compacted when it has so many points, and has doubled since the last time.
_FEWEST = 64


def rounded(value: float) -> float:
    """A latency in steps of 2 %."""
    return math.exp(round(math.log(value) / _STEP) * _STEP) if value > 0 else 0.0


class Points:
    """The points of one metric, in the order of time, which stay small however many there are.

    To ministack's CloudWatch, they are a list of points: dictionaries with Timestamp, Value, Unit,
    Dimensions, and Count, which is how often the value came. Here they are three numbers each. Equal values
    of one second share a point, or of less where time is scaled; after a quarter those of one minute do, and
    after an hour those of five minutes. After some hours points are dropped. [V GetMetricStatistics]
    CloudWatch too keeps values of less than a minute for 3 hours only, and then minutes.
    """

    __slots__ = ("_compact_at", "_counts", "_dimensions", "_moments", "_unit", "_values")

    def __init__(self, unit: str, dimensions: Mapping[str, str]):
        self._unit = unit
        self._dimensions = dict(dimensions)
        self._moments, self._values, self._counts = array("d"), array("d"), array("d")
        self._compact_at = _FEWEST

    def __len__(self) -> int:
        return len(self._moments)

    def __getitem__(self, index: int) -> Point:
        return {
            "Timestamp": self._moments[index],
            "Value": self._values[index],
            "Unit": self._unit,
            "Dimensions": self._dimensions,
            "Count": self._counts[index],
        }

    def __iter__(self) -> Iterator[Point]:
        return (self[index] for index in range(len(self)))

    def append(self, point: Mapping[str, Any]) -> None:
        """Add a point as ministack makes it."""
        self.add(float(point["Value"]), float(point["Timestamp"]), count=float(point.get("Count", 1.0)))

    def add(self, value: float, moment: float, *, resolution: float = 1.0, count: float = 1.0) -> None:
        """Add a value of a moment; equal values of one `resolution` in seconds share a point."""
        begin = math.floor(moment / resolution) * resolution
        moments, values = self._moments, self._values
        for index in range(len(moments) - 1, max(-1, len(moments) - 1 - _COMPARED), -1):
            if moments[index] != begin:
                break
            if values[index] == value:
                self._counts[index] += count
                return
        moments.append(begin)
        values.append(value)
        self._counts.append(count)
        if len(moments) >= self._compact_at:
            self.compact(moment)

    def compact(self, now: float) -> None:
        """Merge and drop what is old at a moment."""
        counts: dict[tuple[float, float], float] = {}
        for moment, value, count in zip(self._moments, self._values, self._counts, strict=True):
            age = now - moment
            if age < KEPT_SECONDS:
                seconds = next((seconds for oldest, seconds in _LEVELS if age > oldest), 0)
                key = (moment // seconds * seconds if seconds else moment), value
                counts[key] = counts.get(key, 0.0) + count
        self._moments = array("d", (moment for moment, _ in counts))
        self._values = array("d", (value for _, value in counts))
        self._counts = array("d", counts.values())
        self._compact_at = max(_FEWEST, 2 * len(counts))

    @property
    def latest(self) -> float:
        """The moment of the latest point."""
        return self._moments[-1] if self._moments else -math.inf


class Metric(NamedTuple):
    """One metric: its namespace, its name, its dimensions and its points."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]
    points: Sequence[Point] | Points


class Metrics(Protocol):
    """The metrics of one account and region."""

    def find(self, namespace: str, name: str, dimensions: Mapping[str, str]) -> Metric | None:
        """The metric with exactly these dimensions, None if there is none."""

    def all(self, namespace: str | None = None) -> Iterator[Metric]:
        """Every metric, or every one of a namespace."""

    def statistic(self, points: Sequence[Point], name: str) -> float | None:
        """A statistic of points by its name, None if they do not have it."""


@dataclass(frozen=True)
class Span:
    """A time from start to end, divided into periods of some seconds that begin at whole multiples."""

    start: float
    end: float
    period: float

    def begin(self, moment: float) -> float:
        """The begin of the period of a moment."""
        return moment // self.period * self.period

    @property
    def begins(self) -> list[float]:
        """The begins of all periods."""
        first = int(self.start // self.period)
        last = int(-(-self.end // self.period))
        return [index * self.period for index in range(first, last)]


@dataclass
class Series:
    """The values of a metric or an expression by the begin of their period."""

    label: str
    values: dict[float, float] = field(default_factory=dict)


def read(
    metrics: Metrics,
    found: Sequence[Metric],
    span: Span,
    statistic: str,
    label: str,
    *,
    unit: str | None = None,
) -> Series:
    """The statistic of one metric, or of several taken together, in each period of a span.

    [V MetricStat, PutMetricAlarm] With a unit, only values that were published with it count.
    """
    periods: dict[float, list[Point]] = {}
    for metric in found:
        ordered = isinstance(metric.points, Points)
        for point in reversed(metric.points):
            moment = point["Timestamp"]
            if ordered and moment < span.start - span.period:
                # Points are in the order of time; what somebody has published need not be.
                break
            if span.start <= moment < span.end and unit in (None, point.get("Unit")):
                periods.setdefault(span.begin(moment), []).append(point)
    series = Series(label)
    for begin in sorted(periods):
        value = metrics.statistic(periods[begin], statistic)
        if value is not None:
            series.values[begin] = value
    return series


def query_metric(stat: Mapping[str, Any]) -> tuple[str, str, dict[str, str], float, str]:
    """The namespace, name, dimensions, period and statistic of a query's MetricStat."""
    metric = stat["Metric"]
    dimensions = {item["Name"]: item.get("Value", "") for item in metric.get("Dimensions") or ()}
    return (
        metric.get("Namespace", ""),
        metric["MetricName"],
        dimensions,
        float(stat.get("Period") or 60),
        stat.get("Stat") or "Average",
    )
