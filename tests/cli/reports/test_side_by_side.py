import io
from collections.abc import Mapping

import pytest
from rich.console import Console

from adapters_cli.evaluation.result import Answer
from adapters_cli.reports import side_by_side


def shown(answers: Mapping[str, Answer], monkeypatch: pytest.MonkeyPatch, *, width: int = 80) -> str:
    """Return what a terminal of this width shows, with its codes of colour."""
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=width, color_system="standard")
    monkeypatch.setattr(side_by_side, "Console", lambda: console)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    side_by_side.print_answers(answers)
    return output.getvalue()


def test_both_sides_of_two_answers_are_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown({"base": Answer(text="the dog barks"), "acme": Answer(text="the cat barks")}, monkeypatch)
    assert "\x1b[31mdog\x1b[0m" in text
    assert "\x1b[1;32mcat\x1b[0m" in text


def test_of_several_each_is_marked_against_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {
        "base": Answer(text="the dog barks"),
        "acme": Answer(text="the cat barks"),
        "beta": Answer(text="the dog sleeps"),
    }
    text = shown(answers, monkeypatch, width=120)
    assert "the dog barks" in text
    assert "\x1b[1;32mcat\x1b[0m" in text
    assert "\x1b[1;32msleeps\x1b[0m" in text


def test_narrow_terminal_has_one_below_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"base": Answer(text="the dog barks"), "acme": Answer(text="the dog barks")}
    lines = [line for line in shown(answers, monkeypatch, width=40).splitlines() if "the dog barks" in line]
    assert len(lines) == 2


def test_text_cannot_control_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown({"base": Answer(text="a\x1b[2Jb"), "acme": Answer(error="c\x1b[2Jd")}, monkeypatch)
    assert "\x1b[2J" not in text


@pytest.mark.parametrize(
    ("answer", "facts"),
    [
        (Answer(text="x", seconds=0.123, completion_tokens=7), "0.12 s, 7 tokens"),
        (Answer(text="x", seconds=1.5), "1.50 s"),
        (Answer(text="x"), ""),
    ],
)
def test_facts_are_what_is_known(answer: Answer, facts: str) -> None:
    assert side_by_side.facts_of(answer) == facts
