"""What a result says, in words and figures."""

from dataclasses import replace

import pytest

from adapters_cli.evaluation.result import Answer, Comparison, EvaluatedItem, Interval, MetricFacts
from adapters_cli.reports import figures, verdict
from adapters_cli.reports.item_ranking import gain, worst_first
from tests.cli.evaluation_results import example_result, outcome

MINUS = "\N{MINUS SIGN}"
RESULT = example_result(items=60, skills={"v2": 0.9, "v3": 0.8})
MET = outcome("v2", "rougeL >= 0.1", "0.6", met=True)
MISSED = outcome("v3", "rougeL >= 0.9", "0.5", met=False)


def changed(comparison: Comparison, difference: float, low: float, high: float, p: float) -> Comparison:
    return replace(
        comparison, difference=difference, interval=Interval(low=low, high=high), relative=None, p_adjusted=p
    )


def test_headline_counts_the_requirements() -> None:
    assert verdict.headline(replace(RESULT, requirements=[MET])) == "Passed: the requirement is met"
    assert verdict.headline(replace(RESULT, requirements=[MET, MET])) == "Passed: both requirements are met"
    assert verdict.headline(replace(RESULT, requirements=[MET] * 3)) == "Passed: all 3 requirements are met"
    assert verdict.headline(replace(RESULT, requirements=[MISSED])) == "Failed: the requirement is not met"
    assert verdict.headline(replace(RESULT, requirements=[MET, MISSED])) == (
        "Failed: 1 of 2 requirements is not met"
    )


def test_headline_without_requirements_says_what_was_found() -> None:
    one = replace(RESULT, subjects=RESULT.subjects[:1])
    nothing = [changed(found, 0.01, -0.1, 0.1, 0.9) for found in one.comparisons]
    worse = [changed(found, -0.2, -0.3, -0.1, 0.001) for found in one.comparisons[:2]]
    mixed = replace(one, comparisons=[*worse, *one.comparisons[2:5]])

    assert verdict.headline(one) == "v2 is better than base in 5 of 5 metrics"
    assert verdict.headline(replace(one, comparisons=nothing)) == "No clear difference between v2 and base"
    assert verdict.headline(RESULT) == "2 adapters beside base, without a requirement"
    assert verdict.headline(mixed) == "v2 is better than base in 3 of 5 metrics, and worse in 2"
    sentence = verdict.sentence(mixed, one.subjects[0])
    assert "v2 is better than base in METEOR" in sentence
    assert f"; is worse in ROUGE-1 ({MINUS}0.200) and ROUGE-L ({MINUS}0.200)" in sentence


@pytest.mark.parametrize(
    ("figures", "higher_is_better", "side"),
    [
        ((0.2, 0.1, 0.3, 0.01), True, "better"),
        ((-0.2, -0.3, -0.1, 0.01), True, "worse"),
        ((-0.2, -0.3, -0.1, 0.01), False, "better"),
        ((0.2, 0.1, 0.3, 0.01), False, "worse"),
        ((0.2, 0.1, 0.3, 0.06), True, "unclear"),
        ((0.2, -0.1, 0.3, 0.01), True, "unclear"),
    ],
)
def test_a_difference_is_believed_only_if_interval_and_p_value_agree(
    figures: tuple[float, float, float, float], higher_is_better: bool, side: str
) -> None:
    metric = replace(RESULT.metrics[0], higher_is_better=higher_is_better)
    assert verdict.side(changed(RESULT.comparisons[0], *figures), metric) == side


def test_a_warning_about_everything_is_said_once() -> None:
    few = [replace(found, warnings=("few items",)) for found in RESULT.comparisons]
    some = [*few[:1], *(replace(found, warnings=()) for found in few[1:])]

    assert verdict.warnings(replace(RESULT, comparisons=few)) == ["few items"]
    assert verdict.warnings(replace(RESULT, comparisons=some)) == ["v2 (ROUGE-1): few items"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.3126, "+0.313"),
        (-0.02, f"{MINUS}0.020"),
        (0, "0.000"),
        (-0.0001, "0.000"),
        (0.0001, "0.000"),
        (41.55, "+41.5"),
    ],
)
def test_a_gain_has_a_sign_unless_it_rounds_to_zero(value: float, text: str) -> None:
    assert figures.gain(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(1.234, "+123 %"), (0.0512, "+5.1 %"), (-0.5, f"{MINUS}50 %"), (0, "0.0 %"), (14.72, "+1,472 %")],
)
def test_a_relative_gain_is_in_per_cent(share: float, text: str) -> None:
    assert figures.percent(share).replace("\N{NO-BREAK SPACE}", " ") == text


@pytest.mark.parametrize(("seconds", "text"), [(0.34, "340 ms"), (2.314, "2.31 s"), (0.0004, "400 µs")])
def test_a_duration_has_the_unit_that_suits_it(seconds: float, text: str) -> None:
    assert figures.seconds(seconds).replace("\N{NO-BREAK SPACE}", " ") == text


def test_a_small_p_value_is_not_zero_and_an_interval_has_both_ends() -> None:
    assert figures.p_value(0.0001) == "< 0.001"
    assert figures.p_value(0.034) == "0.034"
    assert figures.gain_interval(Interval(low=-0.01, high=0.2)) == f"{MINUS}0.010 to +0.200"


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
