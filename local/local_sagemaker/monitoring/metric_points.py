"""The values of a metric, which stay small however many there are.

To ministack's CloudWatch, `Points` is a list of points: dictionaries with Timestamp, Value, Unit, Dimensions,
and Count, which is how often the value came. Here they are three numbers each. Equal values of one second
share a point, or of less where time is scaled; after a quarter those of one minute do, and after an hour
those of five minutes. After some hours points are dropped. [V GetMetricStatistics] CloudWatch too keeps
values of less than a minute for 3 hours only, and then minutes.
"""

import math
from array import array
from collections.abc import Iterator, Mapping
from typing import Any

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
    """The points of one metric, in the order of time."""

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
