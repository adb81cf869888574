"""The files of an evaluation: its result, and the reports on it."""

from pathlib import Path

from adapters_cli.evaluation.result import EvaluationResult
from adapters_cli.evaluation.result_file import RESULT_FILE, to_json
from adapters_cli.reports.html_page import html_page
from adapters_cli.reports.junit import junit
from adapters_cli.reports.markdown import markdown


def write_reports(result: EvaluationResult, folder: Path) -> None:
    """Write the result and its reports into a folder, which is created."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (
        (RESULT_FILE, to_json(result)),
        ("report.md", markdown(result)),
        ("report.html", html_page(result)),
        ("junit.xml", junit(result)),
    ):
        (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
