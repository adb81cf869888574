"""CloudWatch's metrics of components."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

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
