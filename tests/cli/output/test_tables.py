"""Tables and screens on terminals of any size: nothing is cut off, and what is left out is told."""

import io
import re
from collections.abc import Sequence

import pytest
from rich.console import Console, Group
from rich.text import Text

from adapters_cli.output.tables import FittedScreen, RowTable
from adapters_cli.output.text import one_line, print_error, printable

NAME = "initech-europe-support-triage-summaries"
REASON = "Failed to load adapter: size mismatch for model.layers.0.self_attn.q_proj.lora_A.weight"
HEADINGS = ("ADAPTER", "STATE", "VERSION", "AGE", "REASON")
ROWS = [
    (NAME, "failed", "de3ee3fc0ab1", "2h", REASON),
    ("acme", "in service", "ae1d7e0f956a", "9d", ""),
]
WIDTHS = (120, 80, 60, 40)


def lines_of(
    width: int, rows: Sequence[tuple[str, ...]] = ROWS, *, spare: tuple[str, ...] = ("AGE", "VERSION")
) -> list[str]:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(RowTable(headings=HEADINGS, rows=rows, styled=1, spare=spare))
    return [line.rstrip() for line in console.export_text().splitlines()]


def column(lines: list[str], heading: str) -> list[str]:
    """Return what is below a heading, without the lines of texts, which are indented."""
    start = lines[0].index(heading)
    gap = re.compile(" {2,}").search(lines[0], start)
    end = None if gap is None else gap.end()
    return [line[start:end].strip() for line in lines[1:] if not line.startswith("  ")]


@pytest.mark.parametrize("width", WIDTHS)
def test_names_states_and_reasons_are_whole_at_any_width(width: int) -> None:
    lines = lines_of(width)
    assert all(len(line) <= width for line in lines)
    assert NAME in "".join(column(lines, "ADAPTER"))
    assert {"failed", "in service"} <= set(column(lines, "STATE"))
    assert any(
        "load adapter: size mismatch" in line or "adapter: size mismatch for" in line for line in lines
    )
    assert all(word in "".join("".join(lines).split()) for word in REASON.split())


@pytest.mark.parametrize(
    ("width", "left_out"), [(120, ""), (80, ""), (60, "AGE, VERSION"), (40, "AGE, VERSION")]
)
def test_least_important_columns_go_first_and_are_named(width: int, left_out: str) -> None:
    lines = lines_of(width)
    assert ("VERSION" in lines[0]) is not bool(left_out)
    assert (lines[-1] == f"no room for {left_out}: --json has all") is bool(left_out)


def test_columns_that_cannot_be_spared_are_folded() -> None:
    lines = lines_of(40, spare=())
    assert "de3ee3fc0ab1" in "".join(column(lines, "VERSION"))
    assert NAME in "".join(column(lines, "ADAPTER"))


@pytest.mark.parametrize("width", WIDTHS)
def test_row_without_a_reason_is_one_line(width: int) -> None:
    rows = [(f"a{number}", "in service", "ae1d7e0f956a", "9d", "") for number in range(5)]
    assert len(lines_of(width, rows)) == 6
    assert lines_of(80, []) == ["ADAPTER  STATE  VERSION  AGE  REASON"]


@pytest.mark.parametrize("width", [*WIDTHS, 24])
def test_row_without_a_text_is_one_line_while_columns_can_be_left_out(width: int) -> None:
    console = Console(width=width, file=io.StringIO(), record=True)
    rows = [(f"tenant-{number}", "in service", "1,234", "12s") for number in range(3)]
    headings = ("ADAPTER", "STATE", "REQUESTS", "LAST")
    console.print(RowTable(headings=headings, rows=rows, styled=1, spare=("REQUESTS", "STATE"), text=False))
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    assert [line.split()[0] for line in lines[:4]] == ["ADAPTER", "tenant-0", "tenant-1", "tenant-2"]
    assert all(line.endswith("12s") for line in lines[1:4])


def screen_of(height: int, *, width: int = 20, rows: int = 30) -> list[str]:
    def draw(shown: int) -> Group:
        texts = [f"row {number} " + "of many words " * (number % 3) for number in range(shown)]
        return Group(*map(Text, ["title", *texts, f"and {rows - shown} more"]))

    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(FittedScreen(rows=rows, draw=draw, height=height))
    return [line.rstrip() for line in console.export_text().splitlines()]


@pytest.mark.parametrize("height", [3, 4, 10, 25])
def test_last_line_of_a_screen_is_seen_at_every_height_and_room_is_used(height: int) -> None:
    lines = screen_of(height)
    assert len(lines) <= height
    assert (lines[0], lines[-1].startswith("and ")) == ("title", True)
    assert screen_of(10, width=200) == ["title", *screen_of(99, width=200)[1:9], "and 22 more"]


def test_characters_that_steer_are_replaced_and_other_text_stays() -> None:
    steering = "\x1b\x07\x9b\r\u202e\u2066\u200f\ufeff\ud800"
    assert printable(f"a{steering}b") == f"a{'�' * len(steering)}b"
    for text in ("two\nlines", "a\tfield", "ﻡﺮﺤﺑﺍ", "👩‍🔬", "naïve"):
        assert printable(text) == text


def test_one_line_has_no_line_end_and_an_error_of_several_has_the_command_before_each(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert one_line("a\nb\r\nc\u2028d\x85e") == "a b c d e"
    print_error("one\n\x1b]0;owned\x07two")
    assert capsys.readouterr().err == "adapters: one\nadapters: �]0;owned�two\n"
