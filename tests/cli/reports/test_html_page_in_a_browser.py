"""The HTML reports in Chromium. Without Chromium (variable CHROMIUM, or on PATH) these tests are skipped."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters_cli.evaluation.result import Answer, MetricFacts
from adapters_cli.reports.html_page import comparison_page, html_page
from tests.cli.reports.chromium import Browser, chromium, find_chromium, open_report
from tests.cli.reports.example_result import HOSTILE, example_result, outcome

PROGRAM = find_chromium()

pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium: neither the variable CHROMIUM nor PATH has one"),
    pytest.mark.skipif(os.name == "nt", reason="Chromium is driven through inherited pipes"),
]

SHOWN = "[...document.querySelectorAll('#list .item')]"
COUNT = "document.getElementById('count').textContent"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"

LOW_CONTRAST = """(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = (colour) => {
    const [r, g, b] = rgb(colour).slice(0, 3).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (rgb(colour)[3] === 255) return colour;
    }
    return "white";
  };
  const found = new Set();
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility() || element.matches(":disabled, script, .skip")) continue;
    const style = getComputedStyle(element);
    const [one, two] = [luminance(element instanceof SVGElement ? style.fill : style.color),
      luminance(behind(element))];
    const contrast = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
    const name = `${element.localName}.${element.getAttribute("class")}`;
    if (contrast < 4.5) found.add(`${name}: ${contrast.toFixed(2)}`);
  }
  return [...found];
})()"""

UNREACHED = """(() => [...document.querySelectorAll("a[href], button, input, select")]
  .filter((control) => control.checkVisibility() && !control.disabled && !control.dataset.reached)
  .map((control) => control.id || control.outerHTML))()"""

REACHED = """(() => {
  const control = document.activeElement;
  if (control === document.body) return null;
  control.dataset.reached = "yes";
  const style = getComputedStyle(control);
  const box = control.getBoundingClientRect();
  return {
    first: control.className === "skip",
    outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    visible: box.width > 0 && box.right <= innerWidth + 1 && box.bottom > 0 && box.top < innerHeight,
    name: control.id || control.textContent,
  };
})()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert PROGRAM is not None
    with chromium(PROGRAM, tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of 200 items with texts that do harm, three adapters and five failed answers."""
    result = example_result(
        items=200,
        skills={"triage": 0.9, "customer_support_summary_v2": 0.4, "summary": 0.5},
        special=True,
        errors=5,
        requirements=[outcome("summary", "rougeL >= 0.9", "0.4 is below 0.9", met=False)],
        warning="only 200 items",
    )
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(html_page(result), encoding="utf-8")
    return path


def choose(browser: Browser, control: str, value: str) -> None:
    """Choose an option as the keyboard does: with the arrow keys, in the control that has the focus."""
    browser.value(f"document.getElementById('{control}').focus()")
    for _ in range(10):
        current, wanted = browser.value(
            f"(() => {{ const box = document.getElementById('{control}');"
            f" return [box.selectedIndex, [...box.options].findIndex((o) => o.value === '{value}')]; }})()"
        )
        if current == wanted:
            return
        key, code = ("ArrowDown", 40) if current < wanted else ("ArrowUp", 38)
        browser.press(key, code=code)
    raise AssertionError(f"{control} cannot be set to {value} by keyboard")


def want_less_motion(browser: Browser) -> None:
    feature = {"name": "prefers-reduced-motion", "value": "reduce"}
    browser.call("Emulation.setEmulatedMedia", features=[feature])


def ids(browser: Browser) -> list[str]:
    return list(browser.value(f"{SHOWN}.map((item) => item.querySelector('h3 bdi').textContent)"))


def gains(browser: Browser) -> list[float]:
    texts = browser.value(
        f"{SHOWN}.map((item) => item.querySelector('h3 .chip').textContent.split(' ').at(-1))"
    )
    return [float(text.replace("\N{MINUS SIGN}", "-")) for text in texts if text != "error"]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_page_fits_can_be_read_asks_no_host_and_runs_no_text(
    browser: Browser, report: Path, width: int, dark: bool
) -> None:
    open_report(browser, report, width=width, dark=dark)
    choose(browser, "order", "dataset")

    assert browser.value(OVERFLOW) <= 0
    assert browser.value(LOW_CONTRAST) == []
    assert browser.value(f"{SHOWN}.some((item) => item.textContent.includes('window.hacked=1'))")
    assert browser.value("window.hacked") is None
    assert browser.value("document.querySelectorAll('img').length") == 0
    assert browser.problems == []
    assert [url for url in browser.requests if not url.startswith("data:")] == [report.resolve().as_uri()]


@pytest.mark.parametrize("width", [320, 768, 1_000, 1_060, 1_920])
def test_page_fits_any_window(browser: Browser, report: Path, width: int) -> None:
    open_report(browser, report, width=width)

    assert browser.value(OVERFLOW) <= 0


def test_hostile_text_is_shown_as_it_is(browser: Browser, report: Path) -> None:
    open_report(browser, report, width=1280)
    browser.value("document.getElementById('search').focus()")
    browser.call("Input.insertText", text="window.hacked")
    browser.wait_for(f"{COUNT}.startsWith('1 to 1 of 1')")

    prompt = browser.value("document.querySelector('#list .asked .text').textContent")

    assert prompt == HOSTILE


@pytest.mark.parametrize("width", [390, 1280])
def test_tab_reaches_every_control_visibly(browser: Browser, report: Path, width: int) -> None:
    open_report(browser, report, width=width)
    want_less_motion(browser)

    stops: list[dict[str, Any]] = []
    for _ in range(80):
        browser.press("Tab", code=9)
        stop = browser.value(REACHED)
        if stop is None or (stops and stop["first"]):
            break
        stops.append(stop)

    assert stops[0]["first"]
    assert [stop for stop in stops if not stop["outlined"] or not stop["visible"]] == []
    assert browser.value(UNREACHED) == []


def test_skip_link_leads_to_the_verdict(browser: Browser, report: Path) -> None:
    open_report(browser, report, width=390)

    browser.press("Tab", code=9)
    browser.press("Enter", text="\r", code=13)

    assert browser.value("document.activeElement.id") == "main"


def test_items_are_sorted_from_either_end_and_by_a_metric(browser: Browser, report: Path) -> None:
    open_report(browser, report, width=1280)
    choose(browser, "subject", "2")
    worst = gains(browser)
    first_is_failed = browser.value(f"{SHOWN}[0].textContent.includes('ModelError')")

    choose(browser, "order", "best")
    best = gains(browser)
    choose(browser, "metric", "4")
    exact = gains(browser)
    names_metric = browser.value(f"{SHOWN}[0].textContent.includes('Exact match gain')")
    choose(browser, "metric", "1")
    choose(browser, "order", "highest")
    levels = browser.value(
        f"{SHOWN}.map((item) => Number(item.querySelectorAll('.scores tr')[2].children[2].textContent))"
    )

    assert first_is_failed
    assert names_metric
    assert len(levels) == 25
    assert levels == sorted(levels, reverse=True)
    assert worst == sorted(worst)
    assert best == sorted(best, reverse=True)
    assert best[0] > worst[-1]
    assert exact == sorted(exact, reverse=True)


def test_search_narrows_the_items_and_says_how_many(browser: Browser, report: Path) -> None:
    open_report(browser, report, width=1280)
    browser.value("document.getElementById('search').focus()")
    browser.call("Input.insertText", text="osaka receipt")
    browser.wait_for(f"{COUNT}.includes('found')")

    texts = browser.value(f"{SHOWN}.map((item) => item.textContent.toLowerCase())")

    assert 0 < len(texts) < 25
    assert all("osaka" in text and "receipt" in text for text in texts)
    assert browser.value("document.querySelectorAll('#list mark').length") > 0
    assert browser.value("document.getElementById('count').getAttribute('aria-live')") == "polite"

    browser.call("Input.insertText", text=" nothing-has-this")
    browser.wait_for(f"{COUNT} === '0 of 200 items'")
    assert "No item matches." in browser.value("document.getElementById('list').textContent")


def test_only_errors_or_changed_sides_are_shown(browser: Browser, report: Path) -> None:
    open_report(browser, report, width=1280)
    choose(browser, "subject", "2")

    choose(browser, "show", "errors")
    errors = browser.value(COUNT)
    choose(browser, "show", "sides")
    chips = browser.value(f"{SHOWN}.every((item) => item.textContent.includes('changed sides'))")

    assert errors == "1 to 5 of 5 items found, of 200"
    assert chips
    assert len(ids(browser)) > 0


def test_pages_turn_by_keyboard(browser: Browser, report: Path) -> None:
    open_report(browser, report, width=1280)
    first = ids(browser)
    browser.value("document.getElementById('next').focus()")
    browser.press("Enter", text="\r", code=13)

    assert browser.value(COUNT) == "26 to 50 of 200 items"
    assert not set(first) & set(ids(browser))

    browser.value("document.getElementById('previous').focus()")
    browser.press(" ", text=" ", code=32)
    assert ids(browser) == first
    assert browser.value("document.getElementById('previous').disabled")


def test_focus_stays_on_the_pager_at_either_end(browser: Browser, report: Path) -> None:
    open_report(browser, report, width=1280)
    browser.value("document.getElementById('next').focus()")
    for _ in range(7):
        browser.press("Enter", text="\r", code=13)
    assert browser.value(COUNT) == "176 to 200 of 200 items"
    assert browser.value("document.activeElement.id") == "previous"

    for _ in range(7):
        browser.press("Enter", text="\r", code=13)
    assert browser.value(COUNT) == "1 to 25 of 200 items"
    assert browser.value("document.activeElement.id") == "next"


def test_score_of_all_metrics_counts_each_in_shares_of_its_scale(browser: Browser, tmp_path: Path) -> None:
    result = example_result(items=2)
    metrics = [MetricFacts(name="rouge1", title="ROUGE-1"), MetricFacts(name="stars", title="%", highest=100)]
    items = [
        replace(item, scores=dict.fromkeys(item.answers, scores))
        for item, scores in zip(
            result.items, ({"rouge1": 0.9, "stars": 10.0}, {"rouge1": 0.1, "stars": 60.0}), strict=True
        )
    ]
    comparisons = [replace(result.comparisons[0], metric="rouge1")]
    page = tmp_path / "report.html"
    page.write_text(html_page(replace(result, metrics=metrics, items=items, comparisons=comparisons)))
    open_report(browser, page, width=1280)
    choose(browser, "order", "lowest")

    assert ids(browser) == [items[1].id, items[0].id]


@pytest.mark.parametrize(("width", "below"), [(390, True), (1280, False)])
def test_pictures_of_gains_always_have_their_ticks(
    browser: Browser, report: Path, width: int, below: bool
) -> None:
    """In the heading of their column, or below each one where the rows are stacked."""
    open_report(browser, report, width=width)
    ticks = "[...document.querySelectorAll('#metrics td.plot .tick')].filter((t) => t.checkVisibility())"

    assert browser.value(f"{ticks}.some((tick) => tick.textContent === '0')") is below
    assert browser.value(f"{ticks}.length > 0") is below
    head = "document.querySelector('#metrics thead').getBoundingClientRect().width > 1"
    assert browser.value(head) is not below


def test_differences_are_marked_against_the_reference_or_the_base(browser: Browser, report: Path) -> None:
    open_report(browser, report, width=1280)
    browser.value("document.getElementById('search').focus()")
    browser.call("Input.insertText", text="arabic")
    browser.wait_for(f"{COUNT}.startsWith('1 to 1 of 1')")
    marks = "[...document.querySelectorAll('#list .subject ins')].map((mark) => mark.textContent)"
    missing = "[...document.querySelectorAll('#list .subject del')].filter((d) => d.checkVisibility())"

    against_reference = browser.value(marks)
    hidden = browser.value(f"{missing}.length")
    browser.value("document.getElementById('missing').focus()")
    browser.press(" ", text=" ", code=32)
    shown = browser.value(f"{missing}.map((mark) => mark.textContent)")
    choose(browser, "against", "base")
    against_base = browser.value(marks)
    choose(browser, "against", "nothing")

    assert against_reference == ["الحاسوب"]
    assert hidden == 0
    assert shown == ["الهاتف"]
    assert "الحاسوب" in " ".join(against_base)
    assert len(" ".join(against_base)) > len("الحاسوب")
    assert browser.value(marks) == []


def test_a_long_answer_opens_and_closes(browser: Browser, report: Path) -> None:
    open_report(browser, report, width=390)
    browser.value("document.getElementById('search').focus()")
    browser.call("Input.insertText", text="very-long")
    browser.wait_for(f"{COUNT}.startsWith('1 to 1 of 1')")
    length = "document.querySelector('#list .base .text').textContent.length"
    closed = browser.value(length)

    browser.value("document.querySelector('#list .base button').focus()")
    browser.press("Enter", text="\r", code=13)

    assert closed < 1_000
    assert browser.value(length) > 5_000
    assert browser.value("document.activeElement.getAttribute('aria-expanded')") == "true"
    assert browser.value(OVERFLOW) <= 0


def test_choosing_an_adapter_changes_the_figures(browser: Browser, report: Path) -> None:
    open_report(browser, report, width=1280)
    headings = (
        "[...document.querySelectorAll('#metrics table')].filter((t) => t.checkVisibility())"
        ".map((table) => table.querySelectorAll('th')[2].textContent)"
    )
    before = browser.value(headings)
    choose(browser, "subject", "2")

    assert before == ["triage"]
    assert browser.value(headings) == ["summary"]
    assert browser.value("document.querySelectorAll('#list .subject h4 bdi')[0].textContent") == "summary"


def test_colours_can_be_chosen(browser: Browser, report: Path) -> None:
    open_report(browser, report, width=1280)
    background = "getComputedStyle(document.body).backgroundColor"
    light = browser.value(background)

    choose(browser, "theme", "dark")
    dark = browser.value(background)
    choose(browser, "theme", "light")

    assert light == browser.value(background) != dark


def test_without_javascript_all_but_the_browser_of_items_is_there(browser: Browser, report: Path) -> None:
    open_report(browser, report, width=390, script=False)
    shown = "[...document.querySelectorAll('{}')].filter((part) => part.checkVisibility()).length"

    assert browser.value(shown.format("#metrics table")) == 3
    assert browser.value(shown.format("#distributions svg.distribution")) == 15
    assert browser.value(shown.format(".worst .item")) == 60
    assert browser.value(shown.format("noscript p")) == 1
    assert browser.value(shown.format("select, input, button")) == 0
    assert browser.value(OVERFLOW) <= 0


def test_paper_has_all_figures_and_the_worst_items(browser: Browser, report: Path, tmp_path: Path) -> None:
    open_report(browser, report, width=794)
    browser.call("Emulation.setEmulatedMedia", media="print")
    shown = "[...document.querySelectorAll('{}')].filter((part) => part.checkVisibility()).length"

    assert browser.value(shown.format("#metrics table")) == 3
    assert browser.value(shown.format("#distributions svg.distribution")) == 15
    assert browser.value(shown.format(".worst .item")) == 20
    assert browser.value(shown.format("#browser, select, button")) == 0
    assert browser.value(OVERFLOW) <= 0
    browser.print_to_pdf(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


def test_nothing_glides_for_who_wants_less_motion(browser: Browser, report: Path) -> None:
    open_report(browser, report, width=1280)
    want_less_motion(browser)

    assert browser.value("getComputedStyle(document.documentElement).scrollBehavior") == "auto"


def test_a_result_without_texts_still_has_its_scores(browser: Browser, tmp_path: Path) -> None:
    result = example_result(items=30)
    bare = [
        replace(item, prompt="", reference="", answers={name: Answer() for name in item.answers})
        for item in result.items
    ]
    page = tmp_path / "bare.html"
    page.write_text(html_page(replace(result, items=bare)), "utf-8")
    open_report(browser, page, width=390)

    assert browser.value(f"{SHOWN}.length") == 25
    assert browser.value("document.querySelectorAll('#list .block').length") == 0
    assert browser.value("document.querySelectorAll('#list .scores').length") == 25
    assert "without prompts" in browser.value("document.getElementById('items').textContent")
    assert browser.problems == []


@pytest.mark.parametrize("width", [390, 1280])
def test_a_comparison_fits_and_marks_what_differs(browser: Browser, tmp_path: Path, width: int) -> None:
    result = example_result(items=3, skills={"triage": 0.9, "summary": 0.5}, special=True)
    names = ["base", "triage", "summary"]
    page = tmp_path / "comparison.html"
    page.write_text(
        comparison_page(result.items, names, made_at="2026-11-26", endpoint="prod", engine="numpy"), "utf-8"
    )
    open_report(browser, page, width=width)

    assert browser.value(OVERFLOW) <= 0
    assert browser.value(LOW_CONTRAST) == []
    assert browser.value("document.querySelectorAll('.item .block').length") == 3 * 5
    assert browser.value("document.querySelectorAll('.item ins').length") > 0
    assert browser.value("window.hacked") is None
    assert browser.problems == []
