"""The HTML report as text; `test_html_page_in_a_browser.py` opens it."""

import base64
import hashlib
import json
import re
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources
from statistics import fmean

import pytest

from adapters_cli.evaluation.differences import differences
from adapters_cli.evaluation.result import Answer, EvaluationResult, MetricFacts
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


def unpacked(page: str) -> dict[str, object]:
    (data,) = re.findall(r'<script type="text/plain" id="data">(.*?)</script>', page)
    loaded: dict[str, object] = json.loads(zlib.decompress(base64.b64decode(data)))
    return loaded


def test_page_opens_on_the_first_adapter_that_missed_the_bar() -> None:
    result = example_result(
        items=40,
        skills={"triage": 0.9, "summary": 0.5, "shout": 0.4},
        requirements=[
            outcome(name, "rougeL >= 0.6", "so", met=name == "triage")
            for name in ("triage", "summary", "shout")
        ],
    )
    options = [attributes for tag, attributes in Page(html_page(result)).tags if tag == "option"]
    assert [option["value"] for option in options if "selected" in option][:1] == ["1"]


def test_a_thousand_items_with_five_metrics_take_less_than_a_megabyte() -> None:
    result = example_result(items=1_000)
    lengths = [len(text) for item in result.items for text in (item.prompt, item.reference)]
    assert fmean(lengths) > 150

    assert len(html_page(result).encode()) < 1_000_000


def test_the_same_result_gives_the_same_page() -> None:
    assert html_page(example_result(items=60)) == html_page(example_result(items=60))


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


def test_texts_of_items_are_never_markup() -> None:
    page = html_page(example_result(items=30, special=True))

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
    assert [tag for tag, _ in Page(page).tags if tag == "script"] == ["script", "script"]


def test_every_text_can_be_written_as_utf_8() -> None:
    page = html_page(example_result(items=30, special=True))

    page.encode("utf-8")
    assert "\x00" not in page


def test_marks_cut_the_answer_where_it_differs() -> None:
    result = example_result(items=30, special=True)
    items = unpacked(html_page(result))["items"]
    assert isinstance(items, list)
    for identity, _, reference, answers in items:
        text, _, _, _, _, _, _, marks, _, _ = answers[1]
        added, here = [], 0
        encoded = text.encode("utf-16-le")
        for place, length in enumerate(marks):
            if place % 3 != 1:
                part = encoded[2 * here : 2 * (here + length)].decode("utf-16-le")
                here += length
                if place % 3 == 2 and part:
                    added.append(part)
        expected = [piece.text for piece in differences(reference, text) if piece.kind == "added"]
        assert added == expected, identity
        assert 2 * here == len(encoded)


def test_verdict_says_what_failed_and_whether_to_believe_it() -> None:
    result = example_result(
        items=60,
        skills={"summary": 0.5},
        requirements=[outcome("summary", "rougeL >= 0.9", "0.4 is below 0.9", met=False)],
        warning="60 items are few",
        errors=1,
    )
    text = Page(html_page(result)).text

    assert "Failed: the requirement is not met" in text
    assert "0.4 is below 0.9" in text
    assert "60 items are few" in text
    assert "summary: 1 request failed, and has no score" in text
    assert re.search(r"summary is better than base in ROUGE-1 \(\+\d+\s%\)", text)


def test_provenance_has_what_one_needs_to_do_it_again() -> None:
    result = example_result(items=20)
    text = Page(html_page(result)).text

    for fact in (result.dataset.digest, "at most 128 tokens, temperature 0", "vllm 0.24.0 (CPU)", "2.4.6"):
        assert fact in text
    for metric in result.metrics:
        assert metric.title in text


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

    assert "<nav" not in page
    assert "a <del>red</del><ins>blue</ins> car" in page
    assert ">a red car<" in page
    assert 'not in <span class="against">the answer of base</span>' in page
    assert "gone" in page


def test_style_and_script_are_part_of_the_package() -> None:
    for name in ("page.css", "page.js"):
        assert resources.files("adapters_cli.reports").joinpath(name).is_file()
