"""CloudWatch's metrics are read by their dimensions, expressions included, and do not slow each other down.

Faults of ministack: GetMetricData answers expressions (metric math, SEARCH, Metrics Insights) with
InternalError, in the ascending order of time whatever ScanBy says. GetMetricStatistics takes any times and
units, and the metrics of all dimensions where a request has none. PutMetricData takes what CloudWatch
refuses. Every request to CloudWatch reads every point of every metric, to drop old ones.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ministack.services import cloudwatch

from local_sagemaker.ministack_patches.internals import expect_names
from local_sagemaker.monitoring.metrics import KEPT_SECONDS, Metric, Point, Points, Series, Span, read
from local_sagemaker.monitoring.queries import answers

# How often old points are looked for, and how old those are that somebody published.
_COMPACT_SECONDS = 60.0
_KEPT_SECONDS = 14 * 24 * 3_600


class StoredMetrics:
    """Implements `Metrics` with ministack's points of the current request's account and region."""

    def find(self, namespace: str, name: str, dimensions: Mapping[str, str]) -> Metric | None:
        """The metric with exactly these dimensions, None if there is none."""
        points = cloudwatch._metrics.get((namespace, name, cloudwatch._dims_key(dict(dimensions))))
        return None if points is None else Metric(namespace, name, dimensions, points)

    def all(self, namespace: str | None = None) -> Iterator[Metric]:
        """Every metric, or every one of a namespace."""
        for (space, name, _), points in cloudwatch._metrics.items():
            if points and (namespace is None or space == namespace):
                yield Metric(space, name, points[0].get("Dimensions", {}), points)

    def statistic(self, points: Sequence[Point], name: str) -> float | None:
        """A statistic of points by its name, None if they do not have it."""
        known = cloudwatch._calc_stats(points)
        if not known:
            return None
        value = cloudwatch._stat_value(known, name, list(points))
        return None if value is None else float(value)


def install() -> None:
    """Answer every query, and drop old points once a minute instead of at every request."""
    expect_names(cloudwatch, "_metrics", "_dims_key", "_calc_stats", "_stat_value", "_parse_ts", "_ts_iso")
    expect_names(cloudwatch, "_put_metric_data", "_get_metric_data", "_get_metric_statistics", "_cbor_ok")
    expect_names(cloudwatch, "_evict_old_metrics", "_cbor_metric_data_result", "_cbor_datapoint", "_json_ok")
    cloudwatch._evict_old_metrics = _compactor()
    cloudwatch._put_metric_data = _answering(cloudwatch._put_metric_data, _check_metric_data)
    cloudwatch._get_metric_data = _answering(cloudwatch._get_metric_data, _metric_data)
    cloudwatch._get_metric_statistics = _answering(cloudwatch._get_metric_statistics, _metric_statistics)


def _compactor() -> Callable[[], None]:
    """A function that drops old points, once a minute at most."""
    last = time.monotonic()

    def evict() -> None:
        nonlocal last
        if time.monotonic() - last < _COMPACT_SECONDS:
            return
        last, now = time.monotonic(), time.time()
        for key, points in list(cloudwatch._metrics._data.items()):
            if not isinstance(points, Points):
                points[:] = [point for point in points if point["Timestamp"] > now - _KEPT_SECONDS]
            if not points or (isinstance(points, Points) and points.latest < now - KEPT_SECONDS):
                del cloudwatch._metrics._data[key]

    return evict


class _RefusedError(Exception):
    """A request that CloudWatch refuses: the code and the message."""


def _answering(
    of_ministack: Callable[..., Any], content: Callable[[Mapping[str, Any], bool], dict[str, Any] | None]
) -> Callable[..., Any]:
    """An operation in the protocols that AWS's SDKs use: JSON and CBOR.

    `content` makes the answer, or raises _RefusedError; ministack does where it returns None.
    """

    def answer(
        params: Mapping[str, Any], request: Mapping[str, Any], is_cbor: bool, is_json: bool = False
    ) -> Any:
        try:
            found = content(request, is_cbor) if is_cbor or is_json else None
        except _RefusedError as refused:
            return cloudwatch._error(*refused.args, 400, use_json=is_json, use_cbor=is_cbor)
        if found is None:
            return of_ministack(params, request, is_cbor, is_json)
        return cloudwatch._cbor_ok(found) if is_cbor else cloudwatch._json_ok(found)

    return answer


def _check_metric_data(request: Mapping[str, Any], _: bool) -> None:
    """Refuse values as CloudWatch does. [T moto's tests]"""
    for number, datum in enumerate(request.get("MetricData") or (), 1):
        value, at = datum.get("Value"), f"MetricData.member.{number}."
        for other, kind in (("Values", "Value"), ("StatisticValues", "Combination")):
            if value is not None and datum.get(other) is not None:
                both = f"{at}Value and {at}{other} are mutually exclusive and you have specified both."
                raise _RefusedError(f"InvalidParameter{kind}", f"The parameters {both}")
        if datum.get("Counts") and len(datum["Counts"]) != len(datum.get("Values") or ()):
            both = f"{at}Values and {at}Counts must be of the same size."
            raise _RefusedError("InvalidParameterValue", f"The parameters {both}")
        if value is not None and math.isnan(float(value)):
            raise _RefusedError("InvalidParameterValue", f"The value NaN for parameter {at}Value is invalid.")


def _metric_data(request: Mapping[str, Any], is_cbor: bool) -> dict[str, Any]:
    """GetMetricData with expressions."""
    try:
        results = list(_results(request))
    except (ValueError, KeyError) as error:
        raise _RefusedError("ValidationError", str(error)) from error
    if is_cbor:
        results = [cloudwatch._cbor_metric_data_result(result) for result in results]
    return {"MetricDataResults": results, "Messages": []}


def _results(request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the results of GetMetricData: one for each series. [T moto's tests] Refusals, whole seconds."""
    queries = request.get("MetricDataQueries", [])
    start, end = _times(request)
    if int(start) == int(end):
        raise ValueError("The parameter StartTime must not equal parameter EndTime.")
    if start > end:
        raise ValueError("The parameter EndTime must be greater than StartTime.")
    found = answers(StoredMetrics(), queries, float(int(start)), end)
    ascending = request.get("ScanBy") == "TimestampAscending"
    statistics = {query["MetricStat"]["Stat"] for query in queries if "MetricStat" in query}
    for query in queries:
        if query.get("ReturnData", True):
            for series in found[query["Id"]]:
                if "MetricStat" in query and len(statistics) > 1:
                    series.label += f" {query['MetricStat']['Stat']}"
                yield _result(query, series, alone=len(found[query["Id"]]) == 1, ascending=ascending)


def _result(query: Mapping[str, Any], series: Series, *, alone: bool, ascending: bool) -> dict[str, Any]:
    moments = sorted(series.values, reverse=not ascending)
    label = query.get("Label")
    if not label or "${" in label:
        label = series.label
    elif not alone:
        label = f"{label} {series.label}"
    return {
        "Id": query["Id"],
        "Label": label,
        "Timestamps": [cloudwatch._ts_iso(moment) for moment in moments],
        "Values": [series.values[moment] for moment in moments],
        "StatusCode": "Complete",
    }


def _times(request: Mapping[str, Any]) -> tuple[float, float]:
    start, end = (cloudwatch._parse_ts(request.get(name)) for name in ("StartTime", "EndTime"))
    return start or 0.0, end or time.time()


def _metric_statistics(request: Mapping[str, Any], is_cbor: bool) -> dict[str, Any]:
    """GetMetricStatistics. [T moto's tests] What it refuses."""
    start, end = _times(request)
    if bool(request.get("Statistics")) == bool(request.get("ExtendedStatistics")):
        message = "Must specify either Statistics or ExtendedStatistics"
        raise _RefusedError("InvalidParameterCombination", message)
    if int(start) >= int(end):
        message = "The parameter StartTime must be less than the parameter EndTime."
        raise _RefusedError("InvalidParameterValue", message)
    period = float(request.get("Period") or 60)
    # [V API reference] The start is rounded down to a minute, or to a shorter period.
    span = Span(start // min(60, period) * min(60, period), end, period)
    points = list(_datapoints(request, span))
    if is_cbor:
        points = [cloudwatch._cbor_datapoint(point) for point in points]
    return {"Label": request["MetricName"], "Datapoints": points}


def _datapoints(request: Mapping[str, Any], span: Span) -> Iterator[dict[str, Any]]:
    metrics, unit = StoredMetrics(), request.get("Unit")
    dimensions = {one["Name"]: one["Value"] for one in request.get("Dimensions") or ()}
    metric = metrics.find(request["Namespace"], request["MetricName"], dimensions)
    if metric is None:
        return
    plain, extended = (request.get(name) or [] for name in ("Statistics", "ExtendedStatistics"))
    values = {name: read(metrics, [metric], span, name, "", unit=unit).values for name in (*plain, *extended)}
    for moment in sorted({moment for series in values.values() for moment in series}):
        point = {"Timestamp": cloudwatch._ts_iso(moment), "Unit": unit or metric.points[0]["Unit"]}
        there = {name: series[moment] for name, series in values.items() if moment in series}
        yield point | (there if plain else {"ExtendedStatistics": there})
