"""The site of the documents: one strict build, and Chromium on its pages.

`make qa SUITE=docs` opens a page of each kind in Chromium; `make nightly` opens all of them. Without Chromium
(variable CHROMIUM, or on PATH) the tests that need it are skipped.
"""

import re
import tomllib
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

import pytest

from docs.site.build import ROOT, build_site
from tests.chromium import Browser, needs_chromium
from tests.examples.consumer import NUMBERED
from tests.nightly import NIGHTLY

pytestmark = pytest.mark.documents

OF_EACH_KIND = (
    "index.html",
    "concepts.html",
    "comparison.html",
    "guides/promises.html",
    "reference/commands.html",
    "source/examples/tickets/train.py.html",
)
"""Long tables, wide code, deep headings, and files of the repository."""

WIDTHS = (1280, 390)
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# The dialog of the search is in a shadow root.
DIALOG = "[...document.querySelectorAll('div')].find((each) => each.shadowRoot)?.shadowRoot"

_LINK = re.compile(r"<a\b[^>]*?\shref=\"?([^\"\s>]*)", re.DOTALL)
_LOADED = re.compile(
    r"<(?:script|img|iframe|source|object|link)\b[^>]*?\s(?:src|data|href)=\"?([^\"\s>]*)", re.DOTALL
)
_ID = re.compile(r"\sid=\"?([^\"\s>]*)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_site(tmp_path_factory.mktemp("docs"))


@pytest.fixture(scope="module")
def texts(site: Path) -> dict[Path, str]:
    return {page: page.read_text("utf-8") for page in site.rglob("*.html")}


def pages_of(nav: list[Any]) -> Iterator[str]:
    for entry in nav:
        if isinstance(entry, str):
            yield entry
        else:
            for below in entry.values():
                yield from pages_of(below if isinstance(below, list) else [below])


def test_every_document_has_one_place_in_the_navigation() -> None:
    config = tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))
    documents = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]

    assert sorted(pages_of(config["project"]["nav"])) == sorted(documents)


def test_no_link_and_no_anchor_is_dead(texts: dict[Path, str]) -> None:
    ids = {page: set(map(unescape, _ID.findall(text))) for page, text in texts.items()}
    dead = []
    for page, text in texts.items():
        for address in map(unescape, {*_LINK.findall(text), *_LOADED.findall(text)}):
            if not address or re.match(r"[a-z]+:", address):
                continue
            path, fragment = urldefrag(address)
            target = page if not path else (page.parent / unquote(path)).resolve()
            if not target.is_file() or (fragment and unquote(fragment) not in ids.get(target, {fragment})):
                dead.append(f"{page.name}: {address}")

    assert dead == []
    assert len(ids) > 60


def test_every_example_is_downloaded_from_its_own_page_and_from_the_list(
    site: Path, texts: dict[Path, str]
) -> None:
    archives = {path.stem: path for path in (site / "downloads").glob("*.zip")}

    assert sorted(archives) == sorted(path.name for path in NUMBERED)
    for name, archive in archives.items():
        for page in (site / "source" / "examples" / name / "index.html", site / "how-to" / "examples.html"):
            linked = {(page.parent / address).resolve() for address in _LINK.findall(texts[page])}
            assert archive.resolve() in linked, page


def test_no_page_loads_anything_from_another_host(texts: dict[Path, str]) -> None:
    loaded = {address for text in texts.values() for address in _LOADED.findall(text)}

    assert sorted(address for address in loaded if re.match(r"(?:https?:)?//", address)) == []


def test_no_document_has_a_diagram_that_a_script_draws(texts: dict[Path, str]) -> None:
    """Such a script would come from another host, or weigh more than all pages together."""
    drawn = [path for path in (ROOT / "docs").rglob("*.md") if "```mermaid" in path.read_text("utf-8")]

    assert drawn == []
    assert [page for page, text in texts.items() if 'class="mermaid"' in text] == []


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("site")
class TestInChromium:
    pytestmark = needs_chromium

    def test_pages_fit_and_report_no_error(self, browser: Browser, site: Path) -> None:
        pages = sorted(site.rglob("*.html")) if NIGHTLY else [site / page for page in OF_EACH_KIND]
        for page in pages:
            browser.open(page.as_uri(), width=WIDTHS[0])
            # The page stays: only the window changes.
            for width in WIDTHS:
                browser.resize(width)
                assert browser.value(OVERFLOW) <= 0, f"{page} at {width}"
            assert browser.problems == [], page
            assert [url for url in browser.requests if not url.startswith(("file:", "data:"))] == [], page

    def test_search_finds_a_word_without_a_server(self, browser: Browser, site: Path) -> None:
        browser.open((site / "index.html").as_uri(), width=1280)
        browser.value("document.querySelector('.md-search__button').focus()")
        browser.press("Enter", text="\r", code=13)
        browser.wait_for(f"{DIALOG}?.activeElement?.localName === 'input'")
        browser.call("Input.insertText", text="orphans")
        browser.wait_for(f"{DIALOG}.querySelectorAll('a').length > 3")

        found = browser.value(f"[...{DIALOG}.querySelectorAll('a')].map((link) => link.href)")
        assert any("guides/fleets.html" in address for address in found)
        assert browser.problems == []
