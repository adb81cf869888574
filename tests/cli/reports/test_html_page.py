"""The HTML report as text; `test_html_page_in_a_browser.py` opens it."""

import base64
import hashlib
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from statistics import fmean

import pytest

from adapters_cli.evaluation.result import Answer, Comparison, EvaluationResult, Interval, MetricFacts
from adapters_cli.reports import pictures
from adapters_cli.reports.html_page import html_page
from tests.cli.evaluation_results import HOSTILE, example_result, outcome, result_of


class Page(HTMLParser):
    """The tags and the visible text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._hidden = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._hidden = tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text += data


@pytest.mark.slow
def test_page_of_a_thousand_items_has_those_that_lose_most_in_two_megabytes() -> None:
    result = example_result(items=1_000)
    lengths = [len(text) for item in result.items for text in (item.prompt, item.reference)]
    assert fmean(lengths) > 150
    page = html_page(result)

    assert len(page.encode()) < 2_000_000
    gains = [float(gain) for gain in re.findall(r' data-gain="(.*?)"', page)]
    assert len(gains) == 500
    assert gains == sorted(gains)
    assert "500 items of 1,000; result.json has all" in page


def test_style_and_script_are_the_only_ones_that_the_policy_allows() -> None:
    page = html_page(example_result(items=20))
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    policy = next(tags["content"] for tag, tags in Page(page).tags if tags.get("http-equiv"))
    assert policy is not None

    assert policy.startswith("default-src 'none'; ")
    for text in (style, script):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert re.findall(r"https?://(?!example\.com)", page) == []


def test_texts_and_names_are_never_markup_and_can_be_written_as_utf_8() -> None:
    result = example_result(
        items=30,
        skills={HOSTILE: 0.5},
        special=True,
        requirements=[outcome(HOSTILE, HOSTILE, HOSTILE, met=False)],
    )
    metric = MetricFacts(name="rouge1", title=HOSTILE)
    page = html_page(
        replace(
            result,
            engine=HOSTILE,
            dataset=replace(result.dataset, source=HOSTILE),
            metrics=[metric, *result.metrics[1:]],
        )
    )

    page.encode("utf-8")
    assert "\x00" not in page
    assert HOSTILE not in page
    tags = Page(page).tags
    assert [tag for tag, _ in tags if tag in ("script", "img", "iframe", "object")] == ["script"]
    assert not [attributes for _, attributes in tags if {"onerror", "style"} & attributes.keys()]


def test_verdict_says_what_failed_and_whether_to_believe_it() -> None:
    result = example_result(
        items=60,
        skills={"summary": 0.5},
        requirements=[outcome("summary", "rougeL >= 0.9", "0.4 is below 0.9", met=False)],
        errors=1,
    )
    text = Page(html_page(result)).text

    assert "Failed: the requirement is not met" in text
    assert "0.4 is below 0.9" in text
    assert "with fewer than 100 the interval is not reliable" in text
    assert "summary: 1 request failed, and has no score" in text
    assert re.search(r"summary is better than base in ROUGE-1 \(\+\d+\s%\)", text)


def without_scores(result: EvaluationResult) -> EvaluationResult:
    failed = {name: Answer(error="throttled") for name in ("base", "summary")}
    items = [replace(item, answers=failed, scores={}) for item in result.items]
    return replace(result, comparisons=[], items=items)


def with_endless_scale(result: EvaluationResult) -> EvaluationResult:
    metric = MetricFacts(name="rouge1", title="Length", higher_is_better=False, highest=float("inf"))
    return replace(result, metrics=[metric, *result.metrics[1:]])


def test_a_result_with_gaps_has_a_page() -> None:
    result = example_result(items=20)
    empty = replace(result, items=[], comparisons=[])
    for changed in (empty, without_scores(result), with_endless_scale(result)):
        text = Page(html_page(changed)).text
        assert "Metrics and gains" in text
        assert "nan" not in text.lower().split()


def test_a_result_without_texts_still_has_its_scores() -> None:
    result = example_result(items=20)
    items = [replace(item, prompt="", reference="", answers={}) for item in result.items]
    page = Page(html_page(replace(result, items=items)))

    classes = [str(attributes.get("class")).split()[0] for _, attributes in page.tags]
    assert (classes.count("scores"), classes.count("block")) == (20, 0)
    assert "without prompts" in page.text


ROUGE = MetricFacts(name="rougeL", title="ROUGE-L (F1)")
ERRORS = MetricFacts(name="errors", title="Errors", higher_is_better=False)
STARS = MetricFacts(name="stars", title="Stars", lowest=1, highest=5)


def comparison(metric: str, low: float, difference: float, high: float) -> Comparison:
    [made] = result_of([0.4] * 100, metric=metric).comparisons
    return replace(made, difference=difference, interval=Interval(low=low, high=high))


def test_the_steps_of_a_distribution_are_the_shares_of_the_items() -> None:
    drawn = pictures.distribution(ROUGE, [0.01 * n for n in range(8)], [0.99] * 4 + [0.5] * 4)
    assert drawn is not None
    steps = [float(step.split("H")[0]) for step in drawn.subject.removeprefix("M0 100V").split("V")[:-1]]
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
