"""Expressions that strangers write are searched for, and never for ever."""

import pytest

from adapter_fleet.common import untrusted_pattern
from adapter_fleet.common.untrusted_pattern import matches


def test_expression_is_searched_for_anywhere_in_a_text_of_any_characters() -> None:
    assert matches("rev[a-z]+ rose", "The revenue rose.\nGood.")
    assert not matches("^rose", "The revenue rose.")
    assert matches("Umsätze.*€", "Umsätze: 4 €")
    assert matches("\0", "a\0b")


def test_expression_that_takes_for_ever_does_not_match() -> None:
    assert not matches(r"^(\w+\s?)+$", "Thequickbrownfoxjumpsoverthelazydog!!", seconds=0.3)


def test_search_that_is_killed_says_nothing_about_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(untrusted_pattern, "_SEARCH", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(ChildProcessError, match="'rose' was ended by signal 9"):
        matches("rose", "The revenue rose.")


@pytest.mark.parametrize("pattern", ["\0", "a" * 200_000, "\ud800"])
def test_any_text_is_a_valid_pattern(pattern: str) -> None:
    assert not matches(pattern, "hello")
