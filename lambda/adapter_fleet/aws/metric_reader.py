"""CloudWatch's metrics of components."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from adapter_fleet.fleet.state.sagemaker_port import Requests

Series = tuple[str, str, str]
"""A component, the name of a metric, and a statistic."""

_MOST_SERIES = 500
"""The most queries of one call."""
_PERIOD = 60
_COUNTED = (
    ("Invocations", "Sum"),
    ("Invocation4XXErrors", "Sum"),
    ("Invocation5XXErrors", "Sum"),
    ("ModelLatency", "Sum"),
)


class MetricReader:
    """Reads the metrics of an account and region, with a client of CloudWatch."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def requests(
        self, components: Iterable[str], start: float, end: float, *, period: int
    ) -> Iterator[tuple[str, float, float]]:
        """Yield the requests of components: name, begin of a period, and how many."""
        series = [(component, "Invocations", "Sum") for component in components]
        for (component, _, _), at, value in self.values(series, start, end, period=period):
            yield component, at, value

    def counted(self, since: Mapping[str, float], until: float) -> dict[str, Requests]:
        """Count the requests to components, each from a moment until another."""
        sums = {(component, *counted): 0.0 for component in since for counted in _COUNTED}
        for series, at, value in self.values([*sums], min(since.values()), until, period=_PERIOD):
            if at > since[series[0]] - _PERIOD:
                sums[series] += value
        return {name: _requests(*(sums[name, *counted] for counted in _COUNTED)) for name in since}

    def values(
        self, series: Sequence[Series], start: float, end: float, *, period: int
    ) -> Iterator[tuple[Series, float, float]]:
        """Yield values between two times in seconds since 1970: their series, the begin of their period."""
        for first in range(0, len(series), _MOST_SERIES):
            part = series[first : first + _MOST_SERIES]
            pages = self._client.get_paginator("get_metric_data").paginate(
                MetricDataQueries=[_query(index, each, period) for index, each in enumerate(part)],
                StartTime=datetime.fromtimestamp(start, UTC),
                EndTime=datetime.fromtimestamp(end, UTC),
            )
            for result in (result for page in pages for result in page["MetricDataResults"]):
                for at, value in zip(result["Timestamps"], result["Values"], strict=True):
                    yield part[int(result["Id"][1:])], at.timestamp(), value


def _requests(count: float, refused: float, failed: float, latency: float) -> Requests:
    return Requests(count=count, errors=refused + failed, mean_latency=latency / count if count else None)


def _query(index: int, series: Series, period: int) -> dict[str, Any]:
    component, metric, statistic = series
    return {
        "Id": f"m{index}",
        "MetricStat": {
            "Metric": {
                "Namespace": "AWS/SageMaker",
                "MetricName": metric,
                "Dimensions": [{"Name": "InferenceComponentName", "Value": component}],
            },
            "Period": period,
            "Stat": statistic,
        },
    }
