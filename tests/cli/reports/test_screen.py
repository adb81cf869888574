import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from adapters_cli.evaluation.result import EvaluationResult
from adapters_cli.output import results
from adapters_cli.reports import figures, screen
from tests.cli.reports.example_result import example_result, outcome


@pytest.fixture(scope="module")
def result() -> EvaluationResult:
    return example_result(items=120)


def shown(result: EvaluationResult, monkeypatch: pytest.MonkeyPatch, *, width: int = 160) -> str:
    """Return what a terminal of this width shows, without styles."""
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=width, no_color=True)
    for module in (screen, results):
        monkeypatch.setattr(module, "Console", lambda: console)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    screen.print_result(result)
    return re.sub("\x1b\\[[0-9;]*m", "", output.getvalue())


def test_verdict_comes_first(result: EvaluationResult, monkeypatch: pytest.MonkeyPatch) -> None:
    requirement = outcome("triage", "rougeL >= 0.5", "rougeL is 0.4", met=False)
    text = shown(replace(result, requirements=[requirement]), monkeypatch)
    assert "Failed: the requirement is not met" in text.splitlines()[0]


def test_every_comparison_has_a_row(result: EvaluationResult, monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(result, monkeypatch)
    for comparison in result.comparisons:
        [row] = [
            line
            for line in text.splitlines()
            if comparison.subject in line.split() and comparison.metric in line.split()
        ]
        assert f"{comparison.better}/{comparison.worse}/{comparison.equal}" in row


def test_narrow_terminal_leaves_columns_out_and_says_so(
    result: EvaluationResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shown(result, monkeypatch, width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert "no room for ITEMS +/-/=, P" in text
    comparison = result.comparisons[0]
    interval = figures.gain_interval(comparison.interval)
    assert any(comparison.metric in line and interval in line for line in text.splitlines())


def test_pipe_gets_plain_numbers(result: EvaluationResult, capsys: pytest.CaptureFixture[str]) -> None:
    screen.print_result(result)
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == len(result.comparisons)
    for row, comparison in zip(rows, result.comparisons, strict=True):
        assert row[:2] == [comparison.subject, comparison.metric]
        assert [float(field) for field in row[2:5]] == pytest.approx(
            [comparison.baseline_mean, comparison.mean, comparison.difference], rel=1e-4, abs=1e-9
        )
        assert row[9] in ("better", "worse", "unclear")
        assert row[10:] == [str(count) for count in (comparison.better, comparison.worse, comparison.equal)]


def test_what_weakens_the_verdict_and_what_missed_the_bar_is_on_standard_error(
    result: EvaluationResult, capsys: pytest.CaptureFixture[str]
) -> None:
    name = result.subjects[0].name
    requirements = [
        outcome(name, "rougeL >= 0.5", "rougeL is 0.4", met=False),
        outcome(name, "meteor >= 0.1", "meteor is 0.2", met=True),
    ]
    screen.print_result(replace(result, requirements=requirements))
    errors = capsys.readouterr().err
    assert "adapters: not met: rougeL is 0.4" in errors
    assert "met: meteor is 0.2" in errors
