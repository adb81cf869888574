"""What `by_hand.toml` says: what the recordings cannot say of policies and commands."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from tests.iam.pieces import Piece

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
    def denied(self) -> list[Entry]:
        """Calls that no statement allows; `roles` are kinds of roles."""
        return self._entries("denied")

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
