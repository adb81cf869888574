from __future__ import annotations

from typing import Any

import pytest

from local_sagemaker.monitoring.metric_reader import Metric, Span, read
from local_sagemaker.monitoring.queries import answers
from tests.local.monitoring.metrics import FakeMetrics


def stat(name: str, query: str, **dimensions: str) -> dict[str, Any]:
    listed = [{"Name": key, "Value": value} for key, value in dimensions.items()]
    metric = {"Namespace": "n", "MetricName": name, "Dimensions": listed}
    return {"Id": query, "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}


@pytest.fixture
def metrics() -> FakeMetrics:
    made = FakeMetrics()
    made.put("Errors", {0: 1, 60: 2}, Component="a")
    made.put("Calls", {0: 10, 60: 10}, Component="a")
    return made


def test_expression_is_computed_after_what_it_refers_to(metrics: FakeMetrics) -> None:
    queries = [
        {"Id": "most", "Expression": "MAX([both])"},
        {"Id": "both", "Expression": "SUM([errors, calls])"},
        stat("Errors", "errors", Component="a"),
        stat("Calls", "calls", Component="a"),
    ]
    (series,) = answers(metrics, queries, 0, 120)["most"]
    assert series.values == {0: 11, 60: 12}


def test_word_in_a_search_is_no_reference(metrics: FakeMetrics) -> None:
    queries = [
        {"Id": "found", "Expression": "SEARCH('{n,Component} MetricName=\"Errors\"', 'Sum', 60)"},
        {"Id": "errors", "Expression": "SUM(found)"},
    ]
    (series,) = answers(metrics, queries, 0, 120)["errors"]
    assert series.values == {0: 1, 60: 2}


def test_periods_last_the_scaled_time(metrics: FakeMetrics) -> None:
    queries = [stat("Errors", "m", Component="a"), stat("Errors", "other", Component="b")]
    found = answers(metrics, queries, 0, 120, scale=2)
    assert [one.values for series in found.values() for one in series] == [{0: 3}, {}]


def test_values_need_not_come_in_the_order_of_time(metrics: FakeMetrics) -> None:
    published = [{"Timestamp": moment, "Value": 3.0, "Count": 1.0} for moment in (7_200, 0)]
    series = read(metrics, [Metric("n", "m", {}, published)], Span(7_200, 7_260, 60), "Sum", "")
    assert series.values == {7_200: 3}


def test_circle_is_refused(metrics: FakeMetrics) -> None:
    queries = [{"Id": "a", "Expression": "b"}, {"Id": "b", "Expression": "a"}]
    with pytest.raises(ValueError, match="circle"):
        answers(metrics, queries, 0, 120)


def test_second_query_of_metrics_insights_is_refused(metrics: FakeMetrics) -> None:
    queries = [
        {"Id": name, "Expression": f'SELECT SUM({name}) FROM SCHEMA("n", Component)'}  # noqa: S608 - no SQL
        for name in ("Errors", "Calls")
    ]
    assert answers(metrics, queries[:1], 0, 120)["Errors"]
    with pytest.raises(ValueError, match="only one Metrics Insights query"):
        answers(metrics, queries, 0, 120)
