"""The HTML reports in Chromium. Without Chromium (variable CHROMIUM, or on PATH) these tests are skipped."""

from pathlib import Path

import pytest

from adapters_cli.reports.html_page import html_page
from tests.chromium import Browser, needs_chromium
from tests.cli.evaluation_results import HOSTILE, example_result, outcome

pytestmark = [pytest.mark.slow, *needs_chromium]

SHOWN = "[...document.querySelectorAll('#list .item:not([hidden])')]"
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


def open_report(browser: Browser, page: Path, *, width: int, dark: bool = False, script: bool = True) -> None:
    """Open a report and wait until its script has shown the items."""
    browser.open(page.resolve().as_uri(), width=width, dark=dark, script=script)
    if script:
        browser.wait_for("[...document.querySelectorAll('#count')].every((count) => count.textContent)")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of 200 items with texts that do harm, three adapters and five failed answers."""
    result = example_result(
        items=200,
        skills={"triage": 0.9, "customer_support_summary_v2": 0.4, "summary": 0.5},
        special=True,
        errors=5,
        requirements=[outcome("summary", "rougeL >= 0.9", "0.4 is below 0.9", met=False)],
    )
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(html_page(result), encoding="utf-8")
    return path


def choose(browser: Browser, control: str, value: str) -> None:
    """Choose an option of a control, as a person does."""
    box = f"document.getElementById('{control}')"
    browser.value(f"{box}.value = '{value}'")
    assert browser.value(f"{box}.value") == value
    browser.value(f"{box}.dispatchEvent(new Event('input', {{bubbles: true}}))")
    browser.value(f"{box}.dispatchEvent(new Event('change', {{bubbles: true}}))")


def gains(browser: Browser) -> list[float]:
    scored = f"{SHOWN}.filter((item) => item.dataset.kind !== 'error')"
    return [float(gain) for gain in browser.value(f"{scored}.map((item) => item.dataset.gain)") if gain]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [320, 768, 1280])
def test_page_fits_can_be_read_asks_no_host_and_runs_no_text(
    browser: Browser, report: Path, width: int, dark: bool
) -> None:
    open_report(browser, report, width=width, dark=dark)
    choose(browser, "order", "place")

    assert browser.value(OVERFLOW) <= 0
    assert browser.value(LOW_CONTRAST) == []
    assert browser.value(f"{SHOWN}[0].querySelector('.text').textContent") == HOSTILE
    assert browser.value("window.hacked") is None
    assert browser.value("document.querySelectorAll('img').length") == 0
    assert browser.problems == []
    assert [url for url in browser.requests if not url.startswith("data:")] == [report.resolve().as_uri()]


def test_items_are_sorted_from_either_end_or_by_their_place_and_errors_are_shown_alone(
    browser: Browser, report: Path
) -> None:
    open_report(browser, report, width=1280)
    worst = gains(browser)
    first_is_failed = browser.value(f"{SHOWN}[0].textContent.includes('ModelError')")
    choose(browser, "order", "-gain")
    best = gains(browser)
    choose(browser, "order", "place")
    places = browser.value(f"{SHOWN}.map((item) => Number(item.dataset.place))")

    assert first_is_failed
    assert worst == sorted(worst)
    assert best == sorted(best, reverse=True)
    assert places == list(range(200))
    choose(browser, "show", "error")
    assert browser.value(COUNT) == "5 of 200 items"
    assert browser.value(f"{SHOWN}.length") == 5


def test_search_narrows_the_items_says_how_many_and_marks_words_that_the_reference_lacks(
    browser: Browser, report: Path
) -> None:
    open_report(browser, report, width=1280)
    browser.value("document.getElementById('search').focus()")
    browser.call("Input.insertText", text="arabic")
    browser.wait_for(f"{COUNT}.startsWith('1 of')")

    assert browser.value(f"[...{SHOWN}[0].querySelectorAll('.subject ins')].at(-1).textContent") == "الحاسوب"

    browser.value("document.getElementById('search').select()")
    browser.call("Input.insertText", text="osaka receipt")
    browser.wait_for(f"!{COUNT}.startsWith('1 of') && !{COUNT}.startsWith('200')")

    texts = browser.value(f"{SHOWN}.map((item) => item.textContent.toLowerCase())")
    assert 0 < len(texts) < 25
    assert all("osaka" in text and "receipt" in text for text in texts)

    browser.call("Input.insertText", text=" nothing-has-this")
    browser.wait_for(f"{COUNT} === '0 of 200 items'")


@pytest.mark.parametrize(("medium", "items"), [("screen", ".item"), ("print", ".item[open]")])
def test_all_figures_are_there_without_javascript_and_on_paper(
    browser: Browser, report: Path, medium: str, items: str
) -> None:
    open_report(browser, report, width=794, script=medium == "print")
    browser.call("Emulation.setEmulatedMedia", media=medium)
    shown = "[...document.querySelectorAll('{}')].filter((part) => part.checkVisibility()).length"

    assert browser.value(shown.format("#metrics table")) == 3
    assert browser.value(shown.format("#distributions svg")) == 15
    # On paper are the worst items alone.
    assert browser.value(shown.format(items)) == (200 if medium == "screen" else 10)
    assert browser.value(shown.format("select, input")) == 0
    assert browser.value(OVERFLOW) <= 0
