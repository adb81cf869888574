"""The demo's chapters: each says what it shows and how long the rest takes, at the pace of this machine."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from examples.demo.chapters import NEXT_STEPS, Chapter, play
from examples.demo.report import Report, about


def test_rest_is_scaled_by_the_pace_of_the_chapters_before() -> None:
    now, written = [0.0], io.StringIO()

    def slowly() -> None:
        now[0] += 120

    chapters = [Chapter(title=name, why=f"why {name}", seconds=60, play=slowly) for name in ("one", "two")]
    play(chapters, Report(Console(file=written)), clock=lambda: now[0])
    text = written.getvalue()
    assert re.findall(r"\d/\d \w+", text) == ["1/2 one", "2/2 two"]
    assert re.findall(r"about .* left", text) == ["about 2 minutes left", "about 2 minutes left"]
    assert "why two" in text


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(3, "about 10 s"), (44, "about 40 s"), (58, "about 1 minute"), (100, "about 1.5 minutes")],
)
def test_time_is_said_roughly(seconds: float, said: str) -> None:
    assert about(seconds) == said


def test_next_steps_name_no_value_to_fill_in() -> None:
    assert not re.search(r"<\w+>|…", NEXT_STEPS)
