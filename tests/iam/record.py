"""The record of every AWS call that the integration tests have seen, `recorded_calls.json`.

Roles have the pieces of their policies that allowed a call. Commands have the actions and resource types of
their calls. `RECORD=1` adds what a run of the tests calls; delete the file before, to begin anew.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.iam.pieces import Piece, kind_of, piece_of, type_of

RECORD = Path(__file__).parent / "recorded_calls.json"
DENIED = "no statement of the role:"
_COMMANDS = "adapters-"

Calls = Mapping[str, Mapping[str, Iterable[str]]]
"""Pieces by role or command and by action."""


@dataclass(frozen=True, kw_only=True, order=True)
class Call:
    """A call of a role or of a command: "roles" or "commands", and which."""

    part: str
    who: str
    piece: Piece

    def __str__(self) -> str:
        return f"{self.who}: {self.piece}"


def read() -> set[Call]:
    """Return what is on record."""
    text = RECORD.read_text() if RECORD.exists() else ""
    return {
        Call(part=part, who=who, piece=Piece(action, on))
        for part, callers in json.loads(text or "{}").items()
        for who, actions in callers.items()
        for action, resources in actions.items()
        for on in resources
    }


def pieces(part: str, who: str) -> set[Piece]:
    """Return what a role or a command is on record with."""
    return {call.piece for call in read() if (call.part, call.who) == (part, who)}


def add(calls: Iterable[Call]) -> None:
    """Put calls on record. Several processes may do so at once, and others read it meanwhile."""
    folder = os.open(RECORD.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        new = RECORD.with_suffix(".new")
        new.write_text(as_text({*read(), *calls}))
        new.replace(RECORD)
    finally:
        os.close(folder)


def as_text(calls: Iterable[Call]) -> str:
    """Return the record of calls, sorted."""
    parts: dict[str, dict[str, dict[str, list[str]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    for call in sorted(calls):
        parts[call.part][call.who][call.piece.action].append(call.piece.on)
    return json.dumps(parts, indent=1) + "\n"


def calls_of(line: Mapping[str, Any]) -> Iterator[Call]:
    """Yield the calls in a line of a recording, without those of roles that are only of a test."""
    action, command = line["action"], line["application"]
    if command.startswith(_COMMANDS):
        on = type_of(action, line["resource"]) or f"no type: {line['resource']}"
        yield Call(part="commands", who=command.removeprefix(_COMMANDS), piece=Piece(action, on))
    who = kind_of(line.get("principal", ""), line.get("policies", []))
    if who is None:
        return
    for resource, conditions in line["grants"]:
        piece = piece_of(action, resource, conditions) or Piece(action, f"no type: {resource}")
        yield Call(part="roles", who=who, piece=piece)
    if not line["grants"]:
        yield Call(part="roles", who=who, piece=Piece(action, f"{DENIED} {line['resource']}"))
