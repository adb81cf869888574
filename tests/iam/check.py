"""Compares the policies of every role with the calls on record, and with AWS's own reference."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from tests.iam import record, reference
from tests.iam.pieces import Piece, as_list, pieces_of
from tests.iam.roles import Role, Roles

_BY_HAND = Path(__file__).parent / "by_hand.toml"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An entry of `by_hand.toml`.

    roles:
        Patterns of the paths of roles.
    on:
        As a piece has it; "" stands for anything.
    statements:
        In how many statements of a role each of the actions is.
    """

    roles: Sequence[str]
    actions: Sequence[str]
    reason: str
    on: str = ""
    statements: int = 1

    def is_about(self, role: str) -> bool:
        """Tell whether the entry is about the role of that path."""
        return any(fnmatchcase(role, pattern) for pattern in self.roles)

    @property
    def pieces(self) -> list[Piece]:
        """Return the pieces that the entry names."""
        return [Piece(action, self.on) for action in self.actions]


class ByHand:
    """What no recording can say: `by_hand.toml`, which says what its parts are."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._groups: Mapping[str, Sequence[str]] = document["groups"]

    @cached_property
    def uncalled(self) -> list[Entry]:
        """What roles are allowed, and no recording shows."""
        return self._entries("uncalled")

    @cached_property
    def absent(self) -> list[Entry]:
        """What other roles of the same kind use, and these are not allowed."""
        return self._entries("absent")

    @cached_property
    def repeated(self) -> list[Entry]:
        """What several statements of a role allow, each for resources of its own."""
        return self._entries("repeated")

    @cached_property
    def wide(self) -> list[Entry]:
        """Actions that have resource types, and are allowed on `*`."""
        return self._entries("wide")

    @cached_property
    def newer(self) -> list[Entry]:
        """Actions that the reference does not have yet."""
        return self._entries("newer")

    @cached_property
    def commands(self) -> list[Entry]:
        """Calls of commands that no recording shows; `roles` are commands."""
        return self._entries("commands")

    def _entries(self, part: str) -> list[Entry]:
        return [
            Entry(
                **{
                    **entry,
                    "roles": [
                        one for name in entry.get("roles", ()) for one in self._groups.get(name, [name])
                    ],
                }
            )
            for entry in self._document.get(part, [])
        ]


@cache
def by_hand() -> ByHand:
    """Return what `by_hand.toml` says."""
    return ByHand(tomllib.loads(_BY_HAND.read_text()))


@cache
def _on_record(kind: str) -> frozenset[Piece]:
    return frozenset(record.pieces("roles", kind))


def expected(role: Role) -> Counter[Piece]:
    """Return what a role should be allowed, and in how many statements."""
    said = by_hand()
    wanted = Counter(_on_record(role.kind)) if role.kind is not None else Counter[Piece]()
    for entry in said.uncalled:
        if entry.is_about(role.name):
            wanted.update(entry.pieces)
    for entry in said.absent:
        if entry.is_about(role.name):
            for piece in entry.pieces:
                wanted.pop(piece, None)
    for entry in said.repeated:
        if entry.is_about(role.name):
            wanted.update(dict.fromkeys(entry.pieces, entry.statements - 1))
    return wanted


def differences(roles: Roles, role: Role) -> list[str]:
    """Return in what a role's policies differ from what it calls."""
    if role.kind is None:
        return [f"{role.name} is of no kind that tests/iam/pieces.py knows"]
    allowed: Counter[Piece] = Counter()
    for statement in role.statements:
        allowed.update(pieces_of(statement, roles.resources_of(statement)))
    wanted = expected(role)
    return [
        *(
            f"{role.name} is allowed {_often(piece, times)}, and never calls it so"
            for piece, times in (allowed - wanted).items()
        ),
        *(
            f"{role.name} is not allowed {_often(piece, times)}, and calls it"
            for piece, times in (wanted - allowed).items()
        ),
    ]


def _often(piece: Piece, times: int) -> str:
    return f"{piece} ({times} times)" if times > 1 else str(piece)


def refusals(roles: Roles, role: Role) -> list[str]:
    """Return what in a role's policies does not fit AWS's reference."""
    return [
        f"{role.name}: {fault}"
        for statement in role.statements
        for fault in statement_faults(statement, roles.resources_of(statement))
    ]


def statement_faults(statement: Mapping[str, Any], resources: Sequence[str]) -> Iterator[str]:
    """Yield what in a statement does not fit AWS's reference."""
    used: set[str] = set()
    for pattern in as_list(statement["Action"]):
        actions = reference.actions(pattern)
        if not actions:
            if not any(pattern in entry.actions for entry in by_hand().newer):
                yield f"there is no action {pattern}"
            used.update(resources)
        taken = {each for each in resources if any(one.type_of(each) for one in actions)}
        used |= taken
        if actions and not taken:
            yield f"{pattern} takes none of {', '.join(resources)}"
        if "*" in resources and any(one.required for one in actions) and not _may_be_wide(pattern):
            yield f"{pattern} has resource types, and is allowed on *"
        for key in (key for of in (statement.get("Condition") or {}).values() for key in of):
            if not all(one.has_key(key) for one in actions):
                yield f"{pattern} has no condition key {key}"
    for resource in resources:
        if resource not in used:
            yield f"no action of {', '.join(as_list(statement['Action']))} takes {resource}"


def _may_be_wide(action: str) -> bool:
    return any(action in entry.actions for entry in by_hand().wide)
