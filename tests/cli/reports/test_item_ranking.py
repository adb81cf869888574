"""Which items are the worst ones."""

from dataclasses import replace

from adapters_cli.evaluation.result import Answer, EvaluatedItem, MetricFacts
from adapters_cli.reports.item_ranking import gain, worst_first
from tests.cli.reports.example_result import example_result

METRICS = (
    MetricFacts(name="exact", title="Exact match"),
    MetricFacts(name="stars", title="Stars", lowest=1, highest=5),
    MetricFacts(name="errors", title="Errors", higher_is_better=False),
)


def item(
    name: str, base: dict[str, float], mine: dict[str, float], error: str | None = None
) -> EvaluatedItem:
    answers = {"base": Answer(text="x"), "v2": Answer(text="y", error=error)}
    return EvaluatedItem(id=name, prompt="", reference="", answers=answers, scores={"base": base, "v2": mine})


def test_gain_is_the_mean_of_all_metrics_in_shares_of_their_scales() -> None:
    found = item("a", {"exact": 0, "stars": 2, "errors": 0.5}, {"exact": 1, "stars": 4, "errors": 0.25})

    assert gain(found, "v2", "base", METRICS) == (1 + 0.5 + 0.25) / 3
    assert gain(item("a", {"exact": 0}, {}), "v2", "base", METRICS) is None


def test_failed_answers_are_first_and_items_without_a_gain_last() -> None:
    items = [
        item("unscored", {}, {"exact": 1}),
        item("better", {"exact": 0}, {"exact": 1}),
        item("worse", {"exact": 1}, {"exact": 0}),
        item("failed", {"exact": 1}, {}, error="throttled"),
    ]
    result = replace(example_result(items=20, skills={"v2": 0.5}), items=items, metrics=METRICS)

    ordered = [found.id for found in worst_first(result, result.subjects)]

    assert ordered == ["failed", "worse", "better", "unscored"]
