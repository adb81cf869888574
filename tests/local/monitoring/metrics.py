"""Metrics in memory, with the statistics that tests need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from local_sagemaker.monitoring.metric_points import Point, Points
from local_sagemaker.monitoring.metric_reader import Metric


class FakeMetrics:
    def __init__(self) -> None:
        self._metrics: list[Metric] = []

    def put(self, name: str, values: Mapping[float, float], namespace: str = "n", **dimensions: str) -> None:
        points = Points("None", dimensions)
        for moment, value in values.items():
            points.add(value, moment)
        self._metrics.append(Metric(namespace, name, dimensions, points))

    def find(self, namespace: str, name: str, dimensions: Mapping[str, str]) -> Metric | None:
        wanted = (namespace, name, dimensions)
        return next((metric for metric in self._metrics if metric[:3] == wanted), None)

    def all(self, namespace: str | None = None) -> Iterator[Metric]:
        return (metric for metric in self._metrics if namespace in (None, metric.namespace))

    def statistic(self, points: Sequence[Point], name: str) -> float | None:
        values = [point["Value"] for point in points for _ in range(int(point["Count"]))]
        if not values:
            return None
        count = len(values)
        known = {"Sum": sum(values), "Maximum": max(values), "Minimum": min(values), "SampleCount": count}
        return float(known.get(name, sum(values) / count))
