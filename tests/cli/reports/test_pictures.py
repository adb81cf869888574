"""The pictures of a report."""

import html
import math
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from adapters_cli.evaluation.result import Comparison, Interval, Latency, MetricFacts
from adapters_cli.reports import pictures

ROUGE = MetricFacts(name="rougeL", title="ROUGE-L (F1)")
ERRORS = MetricFacts(name="errors", title="Errors", higher_is_better=False)


def comparison(metric: str, low: float, difference: float, high: float) -> Comparison:
    return Comparison(
        subject="v2", metric=metric, items=100, baseline_mean=0.4, mean=0.4 + difference,
        difference=difference, interval=Interval(low=low, high=high), relative=None,
        relative_interval=None, p_value=0.001, p_adjusted=0.001, better=50, worse=50, equal=0,
    )  # fmt: skip


def place(svg: str) -> float:
    (circle,) = ET.fromstring(svg).iter("circle")
    return float(circle.attrib["cx"].rstrip("%"))


def test_the_alternative_text_of_a_distribution_has_its_figures() -> None:
    scores = [number / 20 for number in range(20)]
    svg = pictures.distribution(ROUGE, ("base", scores), ("v2", [value / 2 for value in scores]))

    root = ET.fromstring(svg)

    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"].startswith("Distribution of ROUGE-L (F1). base: mean 0.475, median")
    assert "v2: mean 0.237" in root.attrib["aria-label"]


def test_the_steps_of_a_distribution_are_the_shares_of_the_items() -> None:
    svg = pictures.distribution(ROUGE, ("base", [0.01 * n for n in range(8)]), ("v2", [0.99] * 4 + [0.5] * 4))
    outlines = [
        path.attrib["d"] for path in ET.fromstring(svg).iter("path") if "outline" in path.attrib["class"]
    ]

    # All of v2's bars: half of the items in the middle, and half at the end.
    steps = [float(part.split("H")[0]) for part in outlines[1].removeprefix("M0 100V").split("V")[:-1]]
    assert [index for index, height in enumerate(steps) if height < 100] == [12, 23]
    assert steps[12] == steps[23]


def test_scores_of_few_values_are_pairs_of_bars() -> None:
    svg = pictures.distribution(ROUGE, ("base", [0, 0, 1]), ("v2", [1, 1, 1]))
    bars = [bar.attrib for bar in ET.fromstring(svg).iter("rect") if "area" in bar.attrib["class"]]

    assert [float(bar["height"]) for bar in bars] == pytest.approx([66.67, 33.33, 0, 100], abs=0.01)


def test_a_yes_or_no_metric_always_has_both_values() -> None:
    svg = pictures.distribution(ROUGE, ("base", [0, 0]), ("v2", [0, 0]))

    assert [text.text for text in ET.fromstring(svg).iter("text")][:2] == ["0", "1"]


def test_equal_scores_inside_the_scale_stand_at_their_place() -> None:
    svg = pictures.distribution(ROUGE, ("base", [0.206897] * 5), ("v2", [0.206897] * 5))

    assert not list(ET.fromstring(svg).iter("rect"))
    assert [text.text for text in ET.fromstring(svg).iter("text")][:3] == ["0", "0.5", "1"]


def test_equal_scores_on_a_scale_without_an_end_have_a_picture() -> None:
    length = MetricFacts(name="length", title="Length", highest=math.inf)

    svg = pictures.distribution(length, ("base", [7.25] * 5), ("v2", [7.25] * 5))

    assert [text.text for text in ET.fromstring(svg).iter("text")][:3] == ["6.75", "7.25", "7.75"]


def test_better_is_right_also_where_less_is_better() -> None:
    gains = [comparison("rougeL", -0.2, -0.1, -0.05), comparison("errors", -0.2, -0.1, -0.05)]
    axis = pictures.gain_axis(gains, [ROUGE, ERRORS])

    worse = pictures.gain_strip(gains[0], ROUGE, axis, side="worse")
    better = pictures.gain_strip(gains[1], ERRORS, axis, side="better")

    assert place(worse) < axis.at(0) < place(better)
    assert '<g class="worse">' in worse


def test_a_gain_stands_where_its_axis_has_its_number_also_on_a_scale_from_minus_one() -> None:
    bert = MetricFacts(name="bert", title="BERTScore", lowest=-1)
    gains = [comparison("rougeL", 0.5, 0.5, 0.5), comparison("bert", 0.5, 0.5, 0.5)]
    axis = pictures.gain_axis(gains, [ROUGE, bert])

    places = [place(pictures.gain_strip(gain, metric, axis, side="better")) for gain, metric in
              zip(gains, [ROUGE, bert], strict=True)]  # fmt: skip

    assert places == pytest.approx([axis.at(0.5)] * 2, abs=0.01)
    assert "scale" not in pictures.gain_scale(axis)


def test_an_axis_of_scales_of_very_different_lengths_says_that_it_has_shares() -> None:
    judge = MetricFacts(name="judge", title="Judge", lowest=1, highest=5)
    gains = [comparison("rougeL", 0.5, 0.5, 0.5), comparison("judge", 2, 2, 2)]
    axis = pictures.gain_axis(gains, [ROUGE, judge])

    assert place(pictures.gain_strip(gains[1], judge, axis, side="better")) == pytest.approx(
        axis.at(0.5), abs=0.01
    )
    assert "shares of each metric's scale" in html.unescape(pictures.gain_scale(axis))


def test_the_axis_of_gains_holds_all_intervals_and_zero() -> None:
    axis = pictures.gain_axis([comparison("rougeL", 0.311, 0.35, 0.39)], [ROUGE])

    assert axis.low == 0
    assert 0.39 <= axis.high <= 0.5
    assert 3 <= len(axis.ticks) <= 8


def test_ticks_leave_each_other_room() -> None:
    gains = [comparison("rougeL", -0.3, -0.25, -0.2), comparison("rougeL", 0.4, 0.5, 0.59)]
    scale = pictures.gain_scale(pictures.gain_axis(gains, [ROUGE]))

    texts = list(ET.fromstring(scale).iter("text"))
    places = [float(text.attrib["x"].rstrip("%")) for text in texts]

    assert "0" in [text.text for text in texts]
    assert min(after - before for before, after in pairwise(places)) >= 20


@pytest.mark.parametrize(("low", "high"), [(0, 0), (-1e-9, 1e-9), (-3, 250), (0.9999, 1), (0, 1e9)])
def test_any_range_has_an_axis(low: float, high: float) -> None:
    axis = pictures.gain_axis([comparison("rougeL", low, low, high)], [ROUGE])

    assert axis.low <= low
    assert axis.high >= high
    assert axis.low < axis.high


def test_latencies_share_an_axis_from_zero() -> None:
    fast = Latency(subject="base", answers=9, errors=0, p50=0.1, p90=0.2, p99=0.4)
    slow = Latency(subject="v2", answers=9, errors=0, p50=0.3, p90=0.6, p99=0.9)
    none = Latency(subject="v3", answers=0, errors=9, p50=None, p90=None, p99=None)
    axis = pictures.latency_axis([fast, slow, none])

    assert axis is not None
    assert axis.low == 0
    assert axis.high >= 0.9
    label = ET.fromstring(pictures.latency_strip(slow, axis, kind="subject")).attrib["aria-label"]
    assert (
        label
        == "v2: median 300\N{NO-BREAK SPACE}ms, p90 600\N{NO-BREAK SPACE}ms, p99 900\N{NO-BREAK SPACE}ms"
    )
    ET.fromstring(pictures.latency_strip(none, axis, kind="subject"))
    assert pictures.latency_axis([none]) is None
