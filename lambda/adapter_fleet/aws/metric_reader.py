"""CloudWatch's metrics of components."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from adapter_fleet.fleet.state.sagemaker_port import Requests, UnansweredError

Series = tuple[str, str, str]
"""A component, the name of a metric, and a statistic."""

_MOST_SERIES = 500
"""The most queries of one call."""
_PERIOD = 60
_COUNTED = ("Invocations", "Invocation4XXErrors", "Invocation5XXErrors", "ModelLatency")


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
        """Count the requests to components in the minutes from one moment, each its own, to another."""
        minutes: dict[Series, dict[float, float]] = {
            (component, metric, "Sum"): {} for component in since for metric in _COUNTED
        }
        unknown: dict[str, str] = {}
        start = min(since.values())
        for series, at, value in self.values([*minutes], start, until, period=_PERIOD, unknown=unknown):
            if since[series[0]] <= at <= until - _PERIOD:
                minutes[series][at] = value
        found = {name: _requests(*(minutes[name, metric, "Sum"] for metric in _COUNTED)) for name in since}
        return found | {name: Requests(unknown=why) for name, why in unknown.items()}

    def values(
        self,
        series: Sequence[Series],
        start: float,
        end: float,
        *,
        period: int,
        unknown: dict[str, str] | None = None,
    ) -> Iterator[tuple[Series, float, float]]:
        """Yield values between two times in seconds since 1970: their series, the begin of their period.

        A series that CloudWatch does not have in full looks like one without requests. Why that is so goes to
        `unknown`, by component; without it, UnansweredError comes after the last value.
        """
        for first in range(0, len(series), _MOST_SERIES):
            part = series[first : first + _MOST_SERIES]
            statuses: dict[Series, str | None] = dict.fromkeys(part, "no result")
            pages = self._client.get_paginator("get_metric_data").paginate(
                MetricDataQueries=[_query(index, each, period) for index, each in enumerate(part)],
                StartTime=datetime.fromtimestamp(start, UTC),
                EndTime=datetime.fromtimestamp(end, UTC),
            )
            for result in (result for page in pages for result in page["MetricDataResults"]):
                each = part[int(result["Id"][1:])]
                # [V MetricDataResult] A page with a part of a series is followed by one with the rest.
                statuses[each] = result.get("StatusCode")
                for at, value in zip(result["Timestamps"], result["Values"], strict=True):
                    yield each, at.timestamp(), value
            for (component, metric, _), status in statuses.items():
                if status != "Complete":
                    why = f"CloudWatch does not have {metric} of {component} in full: {status}"
                    if unknown is None:
                        raise UnansweredError(why)
                    unknown[component] = why


def _requests(counts: Mapping[float, float], *others: Mapping[float, float]) -> Requests:
    """Return the requests of some minutes. Where one metric comes later than another, neither counts."""
    refused, failed, latency = others
    timed = counts.keys() & latency.keys()
    served = sum(counts[at] for at in timed)
    return Requests(
        count=sum(counts.values()),
        errors=sum(refused.get(at, 0.0) + failed.get(at, 0.0) for at in counts),
        mean_latency=sum(latency[at] for at in timed) / served if served else None,
    )


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
