"""The upgrade guide says what callers notice of each change of an app, as the evolutions expect it."""

import os
from collections.abc import Iterable
from typing import Literal

import pytest

from tests.evolutions.evolutions import EVOLUTIONS, Effect, Effects, Evolution
from tests.guides import ROOT, MadePart, table

pytestmark = pytest.mark.documents

Kind = Literal["base", "native", "fleet"]

_HEAD = ("change", "base model", "native", "fleet", "if the deployment fails")
_WORDS = {
    Effect.NONE: "answers",
    Effect.RENAMED: "new name",
    Effect.AWAY: "away",
    Effect.AWAY_RENAMED: "away, new name",
    Effect.LOST: "lost",
}
_BY_SEVERITY = list(Effect)


def text() -> str:
    """Return the table: a row for each change."""
    return table(_HEAD, [[evolution.name, *_cells(evolution)] for evolution in EVOLUTIONS])


def _cells(evolution: Evolution) -> tuple[str, ...]:
    at_best, at_worst = evolution.kind, evolution.hostile
    if at_worst.refused is not None:
        return ("may be refused", *["answers"] * 2, "as before")
    return (
        *(_cell(_of(kind, at_best.done), _of(kind, at_worst.done)) for kind in ("base", "native", "fleet")),
        _after_failure(evolution),
    )


def _cell(at_best: Effect, at_worst: Effect) -> str:
    if at_best is at_worst:
        return _WORDS[at_worst]
    may_be = f"may be {_WORDS[at_worst]}"
    return may_be if at_best is Effect.NONE else f"{_WORDS[at_best]}, {may_be}"


def _after_failure(evolution: Evolution) -> str:
    """Say who may not answer as before after a failure before or after the adapters."""
    at_worst = [
        effects
        for expected in (evolution.kind, evolution.hostile)
        for effects in (expected.early, expected.late)
    ]
    found = [
        f"{kind} may be {_WORDS[effect]}"
        for kind in ("native", "fleet")
        if (effect := _worst(kind, at_worst)) is not Effect.NONE
    ]
    return ", ".join(found) or "as before"


def _worst(kind: Kind, of: Iterable[Effects]) -> Effect:
    return max((_of(kind, effects) for effects in of), key=_BY_SEVERITY.index)


def _of(kind: str, effects: Effects) -> Effect:
    found: Effect = getattr(effects, kind)
    return found


PART = MadePart(
    guide=ROOT / "docs/guides/changes.md",
    begin="<!-- made of what tests/evolutions expects -->",
    end="<!-- the end of what is made -->",
    text=text,
)


def test_the_guide_has_what_the_evolutions_expect() -> None:
    if os.environ.get("RECORD") == "1":
        PART.write()
    assert PART.in_guide() == PART.text(), "RECORD=1 writes it"
