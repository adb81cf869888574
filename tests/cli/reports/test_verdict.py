"""What a result says, in words."""

from dataclasses import replace

from adapters_cli.evaluation.result import Comparison, Interval
from adapters_cli.reports import verdict
from tests.cli.reports.example_result import example_result, outcome

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

    assert verdict.headline(one) == "v2 is better than base in 5 of 5 metrics"
    assert verdict.headline(replace(one, comparisons=nothing)) == "No clear difference between v2 and base"
    assert verdict.headline(RESULT) == "2 adapters beside base, without a requirement"


def test_headline_names_both_sides_where_the_metrics_disagree() -> None:
    one = replace(RESULT, subjects=RESULT.subjects[:1])
    worse = [changed(found, -0.2, -0.3, -0.1, 0.001) for found in one.comparisons[:2]]

    mixed = replace(one, comparisons=[*worse, *one.comparisons[2:5]])

    assert verdict.headline(mixed) == "v2 is better than base in 3 of 5 metrics, and worse in 2"
    assert "v2 is better than base in METEOR" in verdict.sentence(mixed, one.subjects[0])
    assert f"; is worse in ROUGE-1 ({MINUS}0.200) and ROUGE-L ({MINUS}0.200)" in verdict.sentence(
        mixed, one.subjects[0]
    )


def test_a_difference_is_believed_only_if_interval_and_p_value_agree() -> None:
    comparison = RESULT.comparisons[0]

    assert verdict.believable(changed(comparison, 0.2, 0.1, 0.3, 0.01))
    assert verdict.believable(changed(comparison, -0.2, -0.3, -0.1, 0.01))
    assert not verdict.believable(changed(comparison, 0.2, 0.1, 0.3, 0.06))
    assert not verdict.believable(changed(comparison, 0.2, -0.1, 0.3, 0.01))


def test_less_is_better_where_the_metric_says_so() -> None:
    comparison, errors = RESULT.comparisons[0], replace(RESULT.metrics[0], higher_is_better=False)

    assert verdict.side(changed(comparison, -0.2, -0.3, -0.1, 0.01), errors) == "better"
    assert verdict.side(changed(comparison, 0.2, 0.1, 0.3, 0.01), errors) == "worse"
    assert verdict.side(changed(comparison, 0.2, 0.1, 0.3, 0.9), errors) == "unclear"


def test_a_warning_about_everything_is_said_once() -> None:
    few = [replace(found, warnings=("few items",)) for found in RESULT.comparisons]
    some = [*few[:1], *(replace(found, warnings=()) for found in few[1:])]

    assert verdict.warnings(replace(RESULT, comparisons=few)) == ["few items"]
    assert verdict.warnings(replace(RESULT, comparisons=some)) == ["v2 (ROUGE-1): few items"]
