"""Numbers with their nouns."""

from __future__ import annotations

import pytest

from adapter_fleet.common.counts import counted, noun_of


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 adapters"), (1, "1 adapter"), (2, "2 adapters"), (1000, "1,000 adapters"), (0.5, "0.5 adapters")],
)
def test_number_decides_between_singular_and_plural(number: float, text: str) -> None:
    assert counted(number, "adapter") == text


def test_noun_may_have_a_plural_of_its_own() -> None:
    assert (counted(2, "copy", "copies"), noun_of(1, "copy", "copies")) == ("2 copies", "copy")
