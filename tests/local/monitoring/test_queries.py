"""GetMetricData: statistics, expressions, searches and Metrics Insights."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from local_sagemaker.monitoring.expressions import Expressions, Search
from local_sagemaker.monitoring.metrics import Metric, Point, Points, Series, Span, read
from local_sagemaker.monitoring.queries import InsightsQuery, answers


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


def test_values_need_not_come_in_the_order_of_time(metrics: FakeMetrics) -> None:
    published = [{"Timestamp": moment, "Value": 3.0, "Count": 1.0} for moment in (7_200, 0)]
    series = read(metrics, [Metric("n", "m", {}, published)], Span(7_200, 7_260, 60), "Sum", "")
    assert series.values == {7_200: 3}


def test_second_query_of_metrics_insights_is_refused(metrics: FakeMetrics) -> None:
    queries = [
        {"Id": name, "Expression": f'SELECT SUM({name}) FROM SCHEMA("n", Component)'}  # noqa: S608 - no SQL
        for name in ("Errors", "Calls")
    ]
    assert answers(metrics, queries[:1], 0, 120)["Errors"]
    with pytest.raises(ValueError, match="only one Metrics Insights query"):
        answers(metrics, queries, 0, 120)


METRIC = Metric("AWS/SageMaker", "ModelLatency", {"InferenceComponentName": "prod-tickets-summary"}, [])
SCHEMA = "{AWS/SageMaker,InferenceComponentName}"

Evaluate = Callable[[str], dict[str, dict[float, float]]]


@pytest.fixture
def evaluate() -> Evaluate:
    metrics = FakeMetrics()
    metrics.put("Calls", {0: 4, 60: 8}, InferenceComponentName="a")
    metrics.put("Calls", {0: 1}, InferenceComponentName="b")
    metrics.put("Calls", {0: 50}, EndpointName="e", VariantName="v")
    series = {"m1": Series("one", {0: 4, 60: 8}), "m2": Series("two", {0: 2, 120: 5})}
    expressions = Expressions(metrics, Span(0, 180, 60), series)

    def evaluate(text: str) -> dict[str, dict[float, float]]:
        value = expressions.value(text)
        return {one.label: one.values for one in ([value] if isinstance(value, Series) else value)}

    return evaluate


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("m1 / 4", {0: 1, 60: 2}),
        ("100 * m2 / m1", {0: 50}),
        ("m1 / (m1 - 4)", {60: 2}),
        ("FILL(m2, 0)", {0: 2, 60: 0, 120: 5}),
        ("FILL(m2, REPEAT)", {0: 2, 60: 2, 120: 5}),
        ("RUNNING_SUM(m2)", {0: 2, 120: 7}),
        ("MAX([m1, m2])", {0: 4, 60: 8, 120: 5}),
    ],
)
def test_metric_math(evaluate: Evaluate, text: str, values: dict[float, float]) -> None:
    assert list(evaluate(text).values()) == [values]


def test_number_goes_with_each_series(evaluate: Evaluate) -> None:
    assert evaluate("[m1, m2] * 2") == {"one": {0: 8, 60: 16}, "two": {0: 4, 120: 10}}


def test_arithmetic_of_a_search_that_finds_nothing_has_no_series(evaluate: Evaluate) -> None:
    nothing = "SEARCH('{n,InferenceComponentName} MetricName=\"None\"', 'Sum', 60)"
    assert evaluate(f"{nothing} / m1") == evaluate(f"100 * {nothing}") == {}


def test_search_finds_each_metric_with_exactly_its_dimensions(evaluate: Evaluate) -> None:
    found = evaluate("SEARCH('{n,InferenceComponentName} MetricName=\"Calls\"', 'Sum', 60)")
    assert found == {"a": {0: 4, 60: 8}, "b": {0: 1}}
    assert evaluate("SUM(SEARCH('{n,InferenceComponentName} MetricName=\"Calls\"', 'Sum', 60))") == {
        "SUM": {0: 5, 60: 8}
    }


def test_sort_takes_the_largest_first(evaluate: Evaluate) -> None:
    assert list(evaluate("SORT([m1, m2], SUM, DESC, 1)")) == ["one"]


@pytest.mark.parametrize(
    "text",
    [
        "m1 +",
        "m3",
        "1 + 2",
        "FILL(m1, LINEAR)",
        "RATE(m1)",
        "__import__('os')",
    ],
)
def test_what_is_no_expression_is_refused(evaluate: Evaluate, text: str) -> None:
    with pytest.raises(ValueError, match="not"):
        evaluate(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f'{SCHEMA} MetricName="ModelLatency"', True),
        ('{"AWS/SageMaker",InferenceComponentName} MetricName="OverheadLatency"', False),
        ('{AWS/SageMaker,EndpointName,VariantName} MetricName="ModelLatency"', False),
        (f'{SCHEMA} MetricName="ModelLatency" InferenceComponentName="prod-tickets-summary"', True),
        (f'{SCHEMA} InferenceComponentName="prod-tickets"', False),
    ],
)
def test_metric_is_found_by_its_terms(text: str, found: bool) -> None:
    assert Search.parse(text).takes(METRIC) is found


SPAN = Span(0, 120, 60)


@pytest.fixture
def errors() -> FakeMetrics:
    made = FakeMetrics()
    for index, name in enumerate(("a", "b", "c"), start=1):
        made.put("Errors", {10: index, 70: 10 * index}, InferenceComponentName=name)
    made.put("Errors", {10: 100}, EndpointName="e", VariantName="v")
    made.put("Other", {10: 7}, InferenceComponentName="a")
    return made


def answer(errors: FakeMetrics, text: str) -> dict[str, list[float]]:
    return {one.label: list(one.values.values()) for one in InsightsQuery.parse(text).answer(errors, SPAN)}


def test_schema_takes_metrics_with_exactly_its_dimensions(errors: FakeMetrics) -> None:
    assert answer(errors, 'SELECT SUM(Errors) FROM SCHEMA("n", InferenceComponentName)') == {
        "Errors": [6, 60]
    }


def test_groups_are_ordered_and_limited(errors: FakeMetrics) -> None:
    found = answer(
        errors,
        'SELECT MAX("Errors") FROM SCHEMA("n", InferenceComponentName) GROUP BY InferenceComponentName '
        "ORDER BY SUM() DESC LIMIT 2",
    )
    assert list(found.items()) == [("c", [3, 30]), ("b", [2, 20])]
    text = 'SELECT AVG(Errors) FROM SCHEMA("n", InferenceComponentName) GROUP BY InferenceComponentName'
    assert list(answer(errors, f"{text} ORDER BY MAX()")) == ["a", "b", "c"]


@pytest.mark.parametrize("text", ["SELECT Errors", 'SELECT SUM(x) FROM "n"', "SUM(m)"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        InsightsQuery.parse(text)


@pytest.mark.parametrize(
    ("unit", "values"), [("None", {0: 1, 60: 2}), ("Seconds", {}), (None, {0: 1, 60: 2})]
)
def test_values_of_another_unit_do_not_count(
    metrics: FakeMetrics, unit: str | None, values: dict[float, float]
) -> None:
    query = stat("Errors", "m", Component="a")
    query["MetricStat"]["Unit"] = unit
    assert answers(metrics, [query], 0, 120)["m"][0].values == values
