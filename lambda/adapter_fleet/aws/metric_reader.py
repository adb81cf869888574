"""CloudWatch's metrics of components."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from adapter_fleet.fleet.state.sagemaker_port import Requests

NAMESPACE = "AWS/SageMaker"
COMPONENT = "InferenceComponentName"
"""The dimension of a component's metrics."""
MOST_SERIES = 500
"""The most series that a query of Metrics Insights answers with, and the most queries of one call."""


class MetricReader:
    """Reads the metrics of an account and region, with a client of CloudWatch."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def requests(
        self, components: Iterable[str], start: float, end: float, *, period: int
    ) -> Iterator[tuple[str, float, float]]:
        """Yield the requests of components: name, begin of a period, and how many."""
        names = list(components)
        for first in range(0, len(names), MOST_SERIES):
            part = names[first : first + MOST_SERIES]
            queries = [
                metric_query(index, NAMESPACE, "Invocations", {COMPONENT: name}, period, "Sum")
                for index, name in enumerate(part)
            ]
            for result in self.results(queries, start, end):
                name = part[int(result["Id"][1:])]
                for at, value in zip(result["Timestamps"], result["Values"], strict=True):
                    yield name, at.timestamp(), value

    def results(self, queries: Sequence[Mapping[str, Any]], start: float, end: float) -> Iterator[Any]:
        """Yield the results of queries between two times in seconds since 1970."""
        pages = self._client.get_paginator("get_metric_data").paginate(
            MetricDataQueries=list(queries),
            StartTime=datetime.fromtimestamp(start, UTC),
            EndTime=datetime.fromtimestamp(end, UTC),
        )
        for page in pages:
            yield from page["MetricDataResults"]

    def counted(self, since: Mapping[str, float], until: float) -> dict[str, Requests]:
        """Count the requests to components, each from a moment until another."""
        made = [(component, *series) for component in since for series in _SERIES]
        sums = dict.fromkeys(made, 0.0)
        for first in range(0, len(made), MOST_SERIES):
            part = made[first : first + MOST_SERIES]
            queries = [
                metric_query(index, NAMESPACE, metric, {COMPONENT: component}, _PERIOD, statistic)
                for index, (component, metric, statistic) in enumerate(part)
            ]
            for result in self.results(queries, min(since.values()), until):
                series = part[int(result["Id"][1:])]
                for at, value in zip(result["Timestamps"], result["Values"], strict=True):
                    if at.timestamp() > since[series[0]] - _PERIOD:
                        sums[series] += value
        return {
            component: _requests(*(sums[component, *series] for series in _SERIES)) for component in since
        }


_PERIOD = 60
_SERIES = (
    ("Invocations", "Sum"),
    ("Invocation4XXErrors", "Sum"),
    ("Invocation5XXErrors", "Sum"),
    ("ModelLatency", "Sum"),
)


def _requests(count: float, refused: float, failed: float, latency: float) -> Requests:
    return Requests(count=count, errors=refused + failed, mean_latency=latency / count if count else None)


def metric_query(
    index: int, namespace: str, metric: str, dimensions: Mapping[str, str], period: int, statistic: str
) -> dict[str, Any]:
    """Return the query of one metric. Its Id is `m` and the index."""
    return {
        "Id": f"m{index}",
        "MetricStat": {
            "Metric": {
                "Namespace": namespace,
                "MetricName": metric,
                "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
            },
            "Period": period,
            "Stat": statistic,
        },
    }
