"""Screens that never lose their last line, however many lines a row takes."""

from __future__ import annotations

import io

import pytest
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from adapters_cli.output.fitted_screen import FittedScreen


def lines_of(height: int | None, *, width: int = 20, rows: int = 30) -> list[str]:
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
    assert lines_of(10, width=200) == ["title", *lines_of(None, width=200)[1:9], "and 22 more"]


def test_all_rows_are_drawn_without_a_height() -> None:
    assert lines_of(None)[-1] == "and 0 more"


def test_last_line_is_seen_on_a_live_screen() -> None:
    """A live screen cuts off what has no room."""

    def draw(shown: int) -> Group:
        return Group(*(Text(f"row {number}") for number in range(shown)), Text("last line"))

    written = io.StringIO()
    console = Console(width=40, height=10, file=written, force_terminal=True)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        live.update(FittedScreen(rows=50, draw=draw, height=console.height), refresh=True)
    assert "row 8" in written.getvalue()
    assert "last line" in written.getvalue()
