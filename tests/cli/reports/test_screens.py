"""What a terminal and a pipe get of an evaluation, and of answers side by side."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from adapters_cli.evaluation.result import EvaluationResult
from adapters_cli.reports import figures
from adapters_cli.reports.answers import ComponentAnswer, side_by_side
from adapters_cli.reports.evaluation_screen import rows, screen
from tests.cli.evaluation_results import example_result, outcome


@pytest.fixture(scope="module")
def result() -> EvaluationResult:
    return example_result(items=120)


def shown(result: EvaluationResult, *, width: int = 160) -> str:
    """Return what a terminal of this width shows, without styles."""
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as captured:
        console.print(screen(result))
    return captured.get()


def test_verdict_comes_first_and_every_comparison_has_a_row(result: EvaluationResult) -> None:
    requirement = outcome("triage", "rougeL >= 0.5", "rougeL is 0.4", met=False)
    text = shown(replace(result, requirements=[requirement]))
    assert "Failed: the requirement is not met" in text.splitlines()[0]
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


BARKS = {"base": "dog barks", "acme": "cat barks", "beta": "dog sleeps"}


def answer(name: str, text: str = "", error: str | None = None) -> ComponentAnswer:
    return ComponentAnswer(component=name, name=name, text=text, error=error, seconds=1.0)


def compared(*answers: ComponentAnswer, width: int = 120) -> str:
    """Return what a terminal of this width shows, with its codes of colour."""
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=width, color_system="standard")
    console.print(side_by_side(answers, width))
    return output.getvalue()


def test_both_sides_of_two_answers_are_marked_and_of_several_each_against_the_first() -> None:
    base, acme, beta = (answer(name, f"the {text}") for name, text in BARKS.items())
    text = compared(base, acme)
    assert "\x1b[31mdog\x1b[0m" in text
    assert "\x1b[1;32mcat\x1b[0m" in text
    text = compared(base, acme, beta)
    assert "the dog barks" in text
    assert "\x1b[1;32mcat\x1b[0m" in text
    assert "\x1b[1;32msleeps\x1b[0m" in text
    growing = ComponentAnswer(component="acme", name="acme", text="the cat")
    assert "\x1b[31mdog" not in compared(base, growing)


def test_narrow_terminal_has_one_below_the_other_and_no_text_controls_it() -> None:
    text = compared(answer("base", "the dog barks"), answer("acme", "the dog barks"), width=40)
    assert len([line for line in text.splitlines() if "the dog barks" in line]) == 2
    assert "\x1b[2J" not in compared(answer("base", "a\x1b[2Jb"), answer("acme", error="c\x1b[2Jd"))
