"""The places of a report's pictures."""

import math
from dataclasses import replace

import pytest

from adapters_cli.evaluation.result import Comparison, Interval, MetricFacts
from adapters_cli.reports import pictures
from tests.cli.evaluation_results import result_of

ROUGE = MetricFacts(name="rougeL", title="ROUGE-L (F1)")
ERRORS = MetricFacts(name="errors", title="Errors", higher_is_better=False)
STARS = MetricFacts(name="stars", title="Stars", lowest=1, highest=5)


def comparison(metric: str, low: float, difference: float, high: float) -> Comparison:
    [made] = result_of([0.4] * 100, metric=metric).comparisons
    return replace(made, difference=difference, interval=Interval(low=low, high=high))


def heights(outline: str) -> list[float]:
    return [float(step.split("H")[0]) for step in outline.removeprefix("M0 100V").split("V")[:-1]]


def test_the_steps_of_a_distribution_are_the_shares_of_the_items() -> None:
    drawn = pictures.distribution(ROUGE, [0.01 * n for n in range(8)], [0.99] * 4 + [0.5] * 4)
    assert drawn is not None
    steps = heights(drawn.subject)
    assert [index for index, height in enumerate(steps) if height < 100] == [10, 19]
    assert steps[10] == steps[19]
    assert drawn.subject_mean == pytest.approx(74.5)
    assert drawn.axis.ticks == (0, 0.5, 1)


def test_equal_scores_on_a_scale_without_an_end_have_a_picture() -> None:
    length = MetricFacts(name="length", title="Length", highest=math.inf)
    drawn = pictures.distribution(length, [7.25] * 5, [7.25] * 5)
    assert drawn is not None
    assert drawn.axis.ticks == (6.75, 7.25, 7.75)


def test_better_is_right_also_where_less_is_better() -> None:
    gains = [comparison("rougeL", -0.2, -0.1, -0.05), comparison("errors", -0.2, -0.1, -0.05)]
    axis = pictures.gain_axis(gains, [ROUGE, ERRORS])
    assert pictures.gain_values(gains[0], ROUGE, axis) == [-0.2, -0.1, -0.05]
    assert pictures.gain_values(gains[1], ERRORS, axis) == [0.05, 0.1, 0.2]


def test_an_axis_of_scales_of_very_different_lengths_has_shares() -> None:
    gains = [comparison("rougeL", 0.5, 0.5, 0.5), comparison("stars", 2, 2, 2)]
    axis = pictures.gain_axis(gains, [ROUGE, STARS])
    assert axis.in_shares
    assert pictures.gain_values(gains[1], STARS, axis) == [0.5, 0.5, 0.5]


@pytest.mark.parametrize(("low", "high"), [(0, 0), (-1e-9, 1e-9), (-3, 250), (0.311, 0.39), (0, 1e9)])
def test_any_range_has_an_axis(low: float, high: float) -> None:
    axis = pictures.gain_axis([comparison("rougeL", low, low, high)], [ROUGE])
    assert axis.low <= min(low, 0)
    assert axis.high >= high
    assert axis.low < axis.high
