import io
from dataclasses import replace

import pytest
from rich.console import Console

from adapters_cli.evaluation.result import EvaluationResult
from adapters_cli.reports import figures
from adapters_cli.reports.evaluation_screen import print_notes, rows, screen
from tests.cli.reports.example_result import example_result, outcome


@pytest.fixture(scope="module")
def result() -> EvaluationResult:
    return example_result(items=120)


def shown(result: EvaluationResult, *, width: int = 160) -> str:
    """Return what a terminal of this width shows, without styles."""
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as captured:
        console.print(screen(result))
    return captured.get()


def test_verdict_comes_first(result: EvaluationResult) -> None:
    requirement = outcome("triage", "rougeL >= 0.5", "rougeL is 0.4", met=False)
    text = shown(replace(result, requirements=[requirement]))
    assert "Failed: the requirement is not met" in text.splitlines()[0]


def test_every_comparison_has_a_row(result: EvaluationResult) -> None:
    text = shown(result)
    for comparison in result.comparisons:
        [row] = [
            line
            for line in text.splitlines()
            if comparison.subject in line.split() and comparison.metric in line.split()
        ]
        assert f"{comparison.better}/{comparison.worse}/{comparison.equal}" in row


def test_narrow_terminal_leaves_columns_out_and_says_so(result: EvaluationResult) -> None:
    text = shown(result, width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert "no room for ITEMS +/-/=, P" in text
    comparison = result.comparisons[0]
    interval = figures.gain_interval(comparison.interval)
    assert any(comparison.metric in line and interval in line for line in text.splitlines())


def test_pipe_gets_plain_numbers(result: EvaluationResult) -> None:
    for row, comparison in zip(rows(result), result.comparisons, strict=True):
        assert row[:2] == (comparison.subject, comparison.metric)
        assert [float(field) for field in row[2:5]] == pytest.approx(
            [comparison.baseline_mean, comparison.mean, comparison.difference], rel=1e-4, abs=1e-9
        )
        assert row[9] in ("better", "worse", "unclear")
        assert row[10:] == tuple(map(str, (comparison.better, comparison.worse, comparison.equal)))


def test_what_weakens_the_verdict_and_what_missed_the_bar_is_on_standard_error(
    result: EvaluationResult, capsys: pytest.CaptureFixture[str]
) -> None:
    name = result.subjects[0].name
    requirements = [
        outcome(name, "rougeL >= 0.5", "rougeL is 0.4", met=False),
        outcome(name, "meteor >= 0.1", "meteor is 0.2", met=True),
    ]
    print_notes(replace(result, requirements=requirements))
    errors = capsys.readouterr().err
    assert "adapters: not met: rougeL is 0.4" in errors
    assert "met: meteor is 0.2" in errors
