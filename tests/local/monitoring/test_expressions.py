from __future__ import annotations

from collections.abc import Callable

import pytest

from local_sagemaker.monitoring.expressions import Expressions, Search
from local_sagemaker.monitoring.metric_reader import Metric, Series, Span
from tests.local.monitoring.metrics import FakeMetrics

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
        ("m1 - [m1]", {0: 0, 60: 0}),
        ("m1 / (m1 - 4)", {60: 2}),
        ("FILL(m2, 0)", {0: 2, 60: 0, 120: 5}),
        ("FILL(m2, REPEAT)", {0: 2, 60: 2, 120: 5}),
        ("MAX([m1, m2])", {0: 4, 60: 8, 120: 5}),
        ("m1 / (1024 * 2)", {0: 4 / 2048, 60: 8 / 2048}),
        ("-m1", {0: -4, 60: -8}),
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
        "m1 / (1 / 0)",
        "MAX(FILL(m1, 0))",
        "FILL(m1, LINEAR)",
        "SORT([m1, m2], FOO, DESC)",
        "SORT([m1, m2], SUM, DOWN)",
        "[m1, m2] + [m1, m2, m2]",
        "m1 * AVG",
        "m1 ** 2",
        "ANOMALY_DETECTION_BAND(m1)",
        "__import__('os')",
    ],
)
def test_what_is_no_expression_is_refused(evaluate: Evaluate, text: str) -> None:
    with pytest.raises(ValueError, match="not"):
        evaluate(text)


def test_period_of_a_search_is_a_number(evaluate: Evaluate) -> None:
    with pytest.raises(ValueError, match="the period of a search should be a number, got 'm1'"):
        evaluate("SEARCH('{N}', 'Sum', m1)")


def test_search_has_500_series_at_most() -> None:
    metrics = FakeMetrics()
    for number in range(501):
        metrics.put("Calls", {0: 1}, InferenceComponentName=f"c{number}")
    expressions = Expressions(metrics, Span(0, 60, 60), {})
    found = expressions.value("SEARCH('{n,InferenceComponentName}', 'Sum', 60)")
    assert isinstance(found, list)
    assert len(found) == 500


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


@pytest.mark.parametrize("term", ["NOT x", "Latency", "MetricName=part"])
def test_other_terms_are_refused(term: str) -> None:
    with pytest.raises(ValueError, match="not supported"):
        Search.parse(f"{SCHEMA} {term}")
