"""What counts as a surprise in a client's calls."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.known_failures import Fault, KnownFailure, surprises

KNOWN = {"one": KnownFailure(Fault.CLIENT, "no such", "it does not have it")}


def line(call: str, error: str | None = None) -> dict[str, Any]:
    return {"call": call, "ok": error is None, "error": error}


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([line("one", "Error: no such call"), line("two")], []),
        ([line("one", "no such call"), line("two", "refused")], ["two: refused"]),
        ([line("one")], ["one: works, though it is known to fail"]),
        ([line("one", "refused")], ["one: fails in other words: refused"]),
        ([line("two")], ["one: was not made"]),
    ],
)
def test_surprises_are_other_failures_successes_and_calls_that_were_not_made(
    lines: list[dict[str, Any]], found: list[str]
) -> None:
    assert surprises(lines, KNOWN) == found
