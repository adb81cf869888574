"""Screens that never lose their last line, however many lines a row takes."""

from __future__ import annotations

import io

import pytest
from rich.console import Console, Group
from rich.text import Text

from adapters_cli.output.fitted_screen import FittedScreen


def lines_of(height: int, *, width: int = 20, rows: int = 30) -> list[str]:
    def draw(shown: int) -> Group:
        texts = [f"row {number} " + "of many words " * (number % 3) for number in range(shown)]
        return Group(*map(Text, ["title", *texts, f"and {rows - shown} more"]))

    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(FittedScreen(rows=rows, draw=draw, height=height))
    return [line.rstrip() for line in console.export_text().splitlines()]


@pytest.mark.parametrize("height", [3, 4, 10, 25])
def test_last_line_is_seen_at_every_height(height: int) -> None:
    lines = lines_of(height)
    assert len(lines) <= height
    assert lines[0] == "title"
    assert lines[-1].startswith("and ")


def test_room_is_used() -> None:
    assert lines_of(10, width=200) == ["title", *lines_of(99, width=200)[1:9], "and 22 more"]
