"""What a service, a container or a model says is shown, and steers nothing."""

from __future__ import annotations

import pytest

from adapters_cli.output.text import one_line, print_error, printable


@pytest.mark.parametrize(
    "character", ["\x1b", "\x07", "\x9b", "\r", "\u202e", "\u2066", "\u200f", "\ufeff", "\ud800"]
)
def test_character_that_steers_is_replaced(character: str) -> None:
    assert printable(f"a{character}b") == "a�b"


@pytest.mark.parametrize("text", ["two\nlines", "a\tfield", "ﻡﺮﺤﺑﺍ", "👩‍🔬", "naïve"])
def test_other_text_stays(text: str) -> None:
    assert printable(text) == text


def test_one_line_has_no_line_end_of_any_kind() -> None:
    assert one_line("a\nb\r\nc\u2028d\x85e") == "a b c d e"


def test_error_of_several_lines_has_the_command_before_each(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_error("one\n\x1b]0;owned\x07two")
    assert capsys.readouterr().err == "adapters: one\nadapters: �]0;owned�two\n"
