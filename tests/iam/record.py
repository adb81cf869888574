"""The record of every AWS call that the integration tests have seen, `recorded_calls.json`.

Roles have the pieces of their policies that allowed a call. Commands have the actions and resource types of
their calls. `RECORD=1` adds what a run of the tests calls; delete the file before, to begin anew. What the
embedded clouds of the tests record is held against it.
"""

import fcntl
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.iam.by_hand import by_hand
from tests.iam.pieces import Piece, kind_of, piece_of, type_of
from tests.profiles import PROFILE

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


class Recording:
    """What an embedded cloud records into a file, and the tests have not looked at yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = 0

    def check(self) -> None:
        """Fail if there was a call that is not on record; with `RECORD=1`, put it there."""
        seen = {call for line in self._new_lines() for call in calls_of(json.loads(line))}
        if os.environ.get("RECORD") == "1":
            add(call for call in seen if not call.piece.on.startswith(DENIED))
        unknown = sorted(
            call for call in seen - read() if not (_may_be_denied(call) or _asks_what_is_gone(call))
        )
        assert not unknown, (
            "AWS calls that are not in tests/iam/recorded_calls.json; RECORD=1 adds those that are allowed: "
            + "; ".join(map(str, unknown))
        )

    def _new_lines(self) -> list[str]:
        if not self.path.exists():
            return []
        with self.path.open() as file:
            file.seek(self._read)
            text = file.read()
        whole = text[: text.rfind("\n") + 1]
        self._read += len(whole.encode())
        return whole.splitlines()


def _may_be_denied(call: Call) -> bool:
    return call.piece.on.startswith(DENIED) and any(
        entry.is_about(call.who) and call.piece.action in entry.actions and f":{entry.on}/" in call.piece.on
        for entry in by_hand("denied")
    )


def _asks_what_is_gone(call: Call) -> bool:
    """Tell whether a pass asks a component that a listing still has, though it and its tags are gone."""
    denied = call.who == "fleet.RunPass" and call.piece.on.startswith(DENIED)
    asks = call.piece.action == "sagemaker:InvokeEndpoint" and ":inference-component/" in call.piece.on
    return PROFILE == "hostile" and denied and asks


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """The AWS calls of functions, commands and the roles that the tests try."""
    return Recording(tmp_path_factory.mktemp("calls") / "calls.jsonl")


@pytest.fixture(scope="module", autouse=True)
def only_recorded_calls(recording: Recording) -> Iterator[None]:
    """Fail a file of tests in which a call is made that is not on record."""
    yield
    recording.check()
