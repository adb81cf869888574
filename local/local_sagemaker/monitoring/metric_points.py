"""The values of a metric as a list of points, which stays small however many values there are.

A point is what ministack's CloudWatch keeps: a dictionary with Timestamp, Value, Unit, Dimensions, and Count
if the value came more than once. Equal values of one second share a point, or of less where time is scaled.
Older points are merged: after some minutes equal values of one minute share one, after an hour all values of
a minute are one statistic set, and after some hours they are dropped. [V GetMetricStatistics] CloudWatch too
keeps values of less than a minute for 3 hours only, and then minutes.
"""

import itertools
import math
from collections.abc import Iterator
from typing import Any

Point = dict[str, Any]

# Latencies are rounded to steps of 2 %, so that they meet; percentiles are off by at most 1 %.
_STEP = math.log(1.02)
# How many of the latest points a new value is compared with.
_COMPARED = 40
_MINUTE = 60
_FINE_SECONDS = 300
_VALUE_SECONDS = 3_600
_KEPT_SECONDS = 3 * 3_600


def rounded(value: float) -> float:
    """A latency in steps of 2 %."""
    return math.exp(round(math.log(value) / _STEP) * _STEP) if value > 0 else 0.0


def add_value(
    points: list[Point],
    value: float,
    moment: float,
    unit: str,
    dimensions: dict[str, str],
    *,
    resolution: float = 1.0,
) -> None:
    """Add a value of a moment to a metric's points; values of one `resolution` in seconds may share one."""
    begin = math.floor(moment / resolution) * resolution
    for point in itertools.islice(reversed(points), _COMPARED):
        if point["Timestamp"] != begin:
            break
        if point["Value"] == value and "_stat" not in point:
            point["Count"] = point.get("Count", 1.0) + 1.0
            return
    points.append({"Timestamp": begin, "Value": value, "Unit": unit, "Dimensions": dimensions, "Count": 1.0})


def compacted(points: list[Point], now: float) -> list[Point]:
    """The points of a metric, the older ones merged or dropped."""
    old = next((i for i, point in enumerate(points) if point["Timestamp"] > now - _FINE_SECONDS), len(points))
    if not old:
        return points
    kept: list[Point] = []
    aged = (point for point in points[:old] if point["Timestamp"] > now - _KEPT_SECONDS)
    for minute, group in itertools.groupby(aged, lambda point: point["Timestamp"] // _MINUTE * _MINUTE):
        kept += _minute(list(group), minute, by_value=minute > now - _VALUE_SECONDS)
    return kept + points[old:]


def _minute(points: list[Point], minute: float, *, by_value: bool) -> Iterator[Point]:
    """Yield the points of one minute, merged."""
    if any("_stat" in point for point in points):
        # A set that somebody published stays as it is.
        yield from points
    elif by_value:
        merged: dict[float, Point] = {}
        for point in points:
            present = merged.setdefault(point["Value"], {**point, "Timestamp": minute, "Count": 0.0})
            present["Count"] += point.get("Count", 1.0)
        yield from merged.values()
    else:
        counts = [point.get("Count", 1.0) for point in points]
        values = [point["Value"] for point in points]
        total = sum(value * count for value, count in zip(values, counts, strict=True))
        statistics = {
            "SampleCount": sum(counts),
            "Sum": total,
            "Minimum": min(values),
            "Maximum": max(values),
        }
        yield {**points[0], "Timestamp": minute, "Value": total / sum(counts), "_stat": statistics}
