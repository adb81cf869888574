"""The HTML report as text; `test_html_page_in_a_browser.py` opens it."""

import base64
import hashlib
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from statistics import fmean

import pytest

from adapters_cli.evaluation.result import Answer, EvaluationResult, MetricFacts
from adapters_cli.output.errors import CommandError
from adapters_cli.reports.html_page import comparison_page, html_page
from tests.cli.reports.example_result import HOSTILE, example_result, outcome


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


def test_a_thousand_items_with_five_metrics_take_two_megabytes_at_most() -> None:
    result = example_result(items=1_000)
    lengths = [len(text) for item in result.items for text in (item.prompt, item.reference)]
    assert fmean(lengths) > 150

    assert len(html_page(result).encode()) < 2_000_000


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


def test_texts_of_items_are_never_markup_and_can_be_written_as_utf_8() -> None:
    page = html_page(example_result(items=30, special=True))

    page.encode("utf-8")
    assert "\x00" not in page
    assert HOSTILE not in page
    assert not [tag for tag, _ in Page(page).tags if tag in ("img", "iframe", "object")]
    assert not [
        attributes for _, attributes in Page(page).tags if "onerror" in attributes or "style" in attributes
    ]


def test_names_of_adapters_and_data_sets_are_never_markup() -> None:
    result = example_result(
        items=20, skills={HOSTILE: 0.5}, requirements=[outcome(HOSTILE, HOSTILE, HOSTILE, met=False)]
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

    assert HOSTILE not in page
    assert not [tag for tag, _ in Page(page).tags if tag == "img"]
    assert [tag for tag, _ in Page(page).tags if tag == "script"] == ["script"]


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


def emptied(result: EvaluationResult) -> EvaluationResult:
    return replace(result, items=[], comparisons=[], latency=[])


def without_scores(result: EvaluationResult) -> EvaluationResult:
    failed = {name: Answer(error="throttled") for name in ("base", "summary")}
    return replace(
        result, comparisons=[], items=[replace(item, answers=failed, scores={}) for item in result.items]
    )


def without_texts(result: EvaluationResult) -> EvaluationResult:
    return replace(
        result, items=[replace(item, prompt="", reference="", answers={}) for item in result.items]
    )


def with_endless_scale(result: EvaluationResult) -> EvaluationResult:
    metric = MetricFacts(name="rouge1", title="Length", higher_is_better=False, highest=float("inf"))
    return replace(result, metrics=[metric, *result.metrics[1:]])


def without_difference(result: EvaluationResult) -> EvaluationResult:
    items = [replace(item, scores={**item.scores, "summary": item.scores["base"]}) for item in result.items]
    return replace(result, items=items)


@pytest.mark.parametrize(
    "change", [emptied, without_scores, without_texts, with_endless_scale, without_difference]
)
def test_a_result_with_gaps_has_a_page(change: object) -> None:
    assert callable(change)
    text = Page(html_page(change(example_result(items=20)))).text

    assert "Metrics and gains" in text
    assert "nan" not in text.lower().split()


def test_a_result_without_texts_still_has_its_scores() -> None:
    page = Page(html_page(without_texts(example_result(items=20))))

    classes = [str(attributes.get("class")).split()[0] for _, attributes in page.tags]
    assert (classes.count("scores"), classes.count("block")) == (20, 0)
    assert "without prompts" in page.text


def test_comparison_marks_against_the_first_answer_where_there_is_no_reference() -> None:
    item = replace(
        example_result(items=1).items[0],
        reference="",
        answers={
            "base": Answer(text="a red car"),
            "v2": Answer(text="a blue car"),
            "v3": Answer(error="gone"),
        },
    )
    page = comparison_page([item], ["base", "v2", "v3"], made_at="now", endpoint="prod", engine=None)

    assert "a <del>red</del><ins>blue</ins> car" in page
    assert ">a red car<" in page
    assert "not in the answer of base" in page
    assert "gone" in page


def test_page_has_the_items_that_lose_most_and_says_how_many_there_are() -> None:
    result = example_result(items=600)
    page = Page(html_page(result))

    gains = [float(tags["data-gain"] or 0) for _, tags in page.tags if "data-gain" in tags]
    assert len(gains) == 500
    assert gains == sorted(gains)
    assert "500 items of 600; result.json has all" in page.text


def test_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(CommandError, match=r"'jinja2' should be installed .*\[evaluate\]"):
        html_page(example_result(items=2))
