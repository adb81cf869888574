"""What the recordings cannot say of policies and commands: `by_hand.toml`, which says what its parts are."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Literal

from tests.iam.pieces import Piece

Part = Literal["uncalled", "absent", "repeated", "wide", "denied", "commands"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An entry of `by_hand.toml`.

    roles:
        Patterns of the paths of roles, kinds of roles in `denied`, and commands in `commands`.
    on:
        As a piece has it; "" stands for anything.
    statements:
        In how many statements of a role each of the actions is.
    """

    actions: Sequence[str]
    reason: str
    roles: Sequence[str] = ()
    on: str = ""
    statements: int = 1

    def is_about(self, role: str) -> bool:
        """Tell whether the entry is about the role of that path."""
        return any(fnmatchcase(role, pattern) for pattern in self.roles)

    @property
    def pieces(self) -> list[Piece]:
        """Return the pieces that the entry names."""
        return [Piece(action, self.on) for action in self.actions]


@cache
def by_hand(part: Part) -> Sequence[Entry]:
    """Return the entries of a part, with the members of a group in its place."""
    document = _document()
    return [
        Entry(
            **{
                **entry,
                "roles": [
                    role for name in entry.get("roles", ()) for role in document["groups"].get(name, [name])
                ],
            }
        )
        for entry in document[part]
    ]


@cache
def _document() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
