"""Pictures of the HTML reports, to be looked at; a maintainers' step:

python -m tests.cli.reports.screenshots build/screenshots
"""

import sys
import tempfile
from pathlib import Path

from adapters_cli.reports.html_page import comparison_page, html_page
from tests.cli.reports.chromium import chromium, find_chromium, open_report
from tests.cli.reports.example_result import example_result, outcome


def pages() -> dict[str, str]:
    """Return the pages by name."""
    passed = (
        outcome("summary", "rougeL >= base + 20%", "0.789 is at least 0.208 (base 0.173 + 20 %)", met=True),
        outcome("summary", "exact_match >= 0.2", "0.228 is at least 0.200", met=True),
    )
    failed = (
        outcome("triage", "rougeL >= base + 20%", "0.789 is at least 0.208 (base 0.173 + 20 %)", met=True),
        outcome("shuffled", "rougeL >= base + 20%", "0.089 is below 0.208 (base 0.173 + 20 %)", met=False),
        outcome("shuffled", "exact_match >= 0.9", "0.000 is below 0.900", met=False),
    )
    several = example_result(
        items=20, skills={"triage": 0.95, "summary": 0.8, "summary-with-a-long-name-v2": 0.6}
    )
    special = example_result(special=True, requirements=passed)
    return {
        "passed": html_page(example_result(requirements=passed)),
        "three": html_page(
            example_result(
                skills={"triage": 0.95, "summary-with-a-long-name-v2": 0.6, "shuffled": 0.04},
                requirements=failed,
                errors=12,
            )
        ),
        "special": html_page(special),
        "few": html_page(
            example_result(
                items=40,
                skills={"v2": 0.25},
                engine=None,
                warning="40 items are few: with 100 or more the intervals can be believed",
            )
        ),
        "compare": comparison_page(
            several.items[6:8],
            ["base", "triage", "summary", "summary-with-a-long-name-v2"],
            made_at="2026-11-26T17:20:04Z",
            endpoint="prod",
            engine="numpy",
        ),
    }


def main(folder: Path) -> None:
    """Write the pages and their pictures into a folder."""
    program = find_chromium()
    if program is None:
        sys.exit("found no Chromium: set CHROMIUM to its path")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile, chromium(program, Path(profile)) as browser:
        for name, text in pages().items():
            path = folder / f"{name}.html"
            path.write_text(text, encoding="utf-8")
            for width in (390, 1280):
                for dark in (False, True):
                    open_report(browser, path, width=width, dark=dark)
                    browser.screenshot(
                        folder / f"{name}-{width}-{'dark' if dark else 'light'}.png", whole=True
                    )
            browser.print_to_pdf(folder / f"{name}.pdf")
            open_report(browser, path, width=794)
            browser.call("Emulation.setEmulatedMedia", media="print")
            browser.screenshot(folder / f"{name}-paper.png", whole=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
