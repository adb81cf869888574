"""Reads metrics of one account and region: statistics of points in periods."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from local_sagemaker.monitoring.metric_points import Point, Points


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
