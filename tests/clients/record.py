"""Writes what a run of all clients did into the guide."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.clients.clients import CLIENTS, Client
from tests.clients.environments import ROOT
from tests.clients.known_failures import KNOWN, Fault
from tests.guides import last_run, table, write_below

GUIDE = ROOT / "docs" / "guides" / "foreign-clients.md"
BEGINNING = "<!-- Below: written by `make qa SUITE=clients`. -->"

_FAILED = {
    Fault.CLIENT: "failed by the client",
    Fault.EMULATOR: "failed by the embedded cloud",
    Fault.NONE: "refused by AWS, too",
}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a client did."""

    worked: Sequence[str]
    failed: Sequence[str]
    seconds: float


def summary(outcomes: Mapping[str, Outcome]) -> str:
    """Return the table by client and version."""
    head = ("client", "package", "calls that worked", *_FAILED.values())
    return table(head, [_row(one, outcomes[one.script]) for one in CLIENTS])


def _row(one: Client, outcome: Outcome) -> list[object]:
    faults = Counter(KNOWN[one.script][call].fault for call in outcome.failed)
    counts = [faults[fault] for fault in _FAILED]
    return [one.name, f"{one.package} {one.version}", len(outcome.worked), *counts]


def write(outcomes: Mapping[str, Outcome]) -> None:
    """Put the tables of a run below the guide's text."""
    seconds = sum(outcome.seconds for outcome in outcomes.values())
    parts = [last_run(f"all calls in {seconds:.0f} s"), summary(outcomes)]
    for one in CLIENTS:
        parts += _section(one, outcomes[one.script])
    write_below(GUIDE, BEGINNING, parts)


def _section(one: Client, outcome: Outcome) -> list[str]:
    worked = f"Worked: {', '.join(f'`{call}`' for call in outcome.worked)}."
    lines = textwrap.wrap(worked, 100, break_long_words=False, break_on_hyphens=False)
    parts = [f"### {one.name}", "\n".join(lines)]
    if outcome.failed:
        known = KNOWN[one.script]
        rows = [(f"`{call}`", known[call].why, known[call].fault) for call in outcome.failed]
        parts.append(table(("did not work", "why", "whose fault"), rows))
    return parts
