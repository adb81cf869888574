"""Writes what a run of all evolutions saw into the guide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.evolutions.declared import EARLY, LATE
from tests.evolutions.evolutions import Effect
from tests.evolutions.story import Outcome
from tests.guides import last_run, table, write_below

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guides" / "evolutions.md"
BEGINNING = "<!-- Below: written by `make qa SUITE=evolutions`. -->"

DONE = "done"
"""The deployment that succeeds, beside those that fail EARLY and LATE."""

Outcomes = Mapping[tuple[str, str], Mapping[str, Outcome]]
"""By evolution and profile, then by deployment."""

_WRITES = {"CreateInferenceComponent": "create", "UpdateInferenceComponent": "update"} | {
    "DeleteInferenceComponent": "delete"
}


def write(outcomes: Outcomes, *, result: str) -> None:
    """Put the tables of a run below the guide's text."""
    profiles = list(dict.fromkeys(profile for _, profile in outcomes))
    parts = [last_run(result)]
    for profile in profiles:
        rows = {name: found for (name, of), found in outcomes.items() if of == profile}
        parts += [f"### Profile `{profile}`", _table(rows)]
    write_below(GUIDE, BEGINNING, parts)


def _table(rows: Mapping[str, Mapping[str, Outcome]]) -> str:
    head = (
        "evolution",
        "base model",
        "native adapters",
        "fleet adapters",
        "writes",
        "after a failure midway",
    )
    return table(head, [[name, *_cells(outcomes)] for name, outcomes in rows.items()])


def _cells(outcomes: Mapping[str, Outcome]) -> list[str]:
    done = outcomes[DONE]
    effects = done.effects
    refused = done.deployment.status != "UPDATE_COMPLETE"
    return [
        "update refused, rolled back" if refused else effects.base.value,
        effects.native.value,
        effects.fleet.value,
        _writes(done),
        _after_failure([outcomes[where] for where in (EARLY, LATE) if where in outcomes]),
    ]


def _writes(outcome: Outcome) -> str:
    counts = [f"{count} {_WRITES[operation]}" for operation, count in sorted(outcome.writes.items())]
    return ", ".join(counts) or "none"


def _after_failure(failed: Sequence[Outcome]) -> str:
    """Say who does not answer as before after one of the failures, and whether calls failed meanwhile."""
    words = []
    for kind, plural in (("base", "base"), ("native", "native adapters"), ("fleet", "fleet adapters")):
        seen: set[Effect] = {getattr(outcome.effects, kind) for outcome in failed}
        if Effect.LOST in seen:
            until = " until a drift check" if kind == "fleet" else ""
            words.append(f"{plural} lost{until}")
        elif any(effect.interrupts for effect in seen):
            words.append(f"{plural} away meanwhile")
    return "as before" if not words else f"as before, but {', '.join(words)}"
