from __future__ import annotations

import pytest

from local_sagemaker.monitoring.insights import Query
from local_sagemaker.monitoring.metric_reader import Span
from tests.local.monitoring.metrics import FakeMetrics

SPAN = Span(0, 120, 60)


@pytest.fixture
def metrics() -> FakeMetrics:
    made = FakeMetrics()
    for index, name in enumerate(("a", "b", "c"), start=1):
        made.put("Errors", {10: index, 70: 10 * index}, InferenceComponentName=name)
    made.put("Errors", {10: 100}, EndpointName="e", VariantName="v")
    made.put("Other", {10: 7}, InferenceComponentName="a")
    return made


def answer(metrics: FakeMetrics, text: str) -> dict[str, list[float]]:
    return {one.label: list(one.values.values()) for one in Query.parse(text).answer(metrics, SPAN)}


def test_schema_takes_metrics_with_exactly_its_dimensions(metrics: FakeMetrics) -> None:
    assert answer(metrics, 'SELECT SUM(Errors) FROM SCHEMA("n", InferenceComponentName)') == {
        "Errors": [6, 60]
    }


def test_groups_are_ordered_and_limited(metrics: FakeMetrics) -> None:
    found = answer(
        metrics,
        'SELECT MAX("Errors") FROM SCHEMA("n", InferenceComponentName) GROUP BY InferenceComponentName '
        "ORDER BY SUM() DESC LIMIT 2",
    )
    assert list(found.items()) == [("c", [3, 30]), ("b", [2, 20])]
    text = 'SELECT AVG(Errors) FROM SCHEMA("n", InferenceComponentName) GROUP BY InferenceComponentName'
    assert list(answer(metrics, f"{text} ORDER BY MAX()")) == ["a", "b", "c"]


@pytest.mark.parametrize("text", ["SELECT Errors", 'SELECT SUM(x) FROM "n"', "SUM(m)"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        Query.parse(text)
