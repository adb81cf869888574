"""A document that was read: plain data, and in YAML the line of everything in it."""

from dataclasses import dataclass, field
from typing import Any

from adapter_fleet.documents.schema import Keys

MAX_DOCUMENT_BYTES = 8 * 1024 * 1024
MAX_DEPTH = 100
MAX_VALUES = 500_000
"""Keys and values in a document: 50 for each of 10,000 adapters."""
MAX_ITEMS = 10_000
"""Items of one list."""
MAX_KEYS = 1_000
"""Keys of one mapping."""

TOO_DEEP = f"it should be nested at most {MAX_DEPTH} levels deep"


class DocumentError(ValueError):
    """The document cannot be read at all.

    line:
        Where, counted from 1. It is 0 if the line is unknown, as for values in JSON.
    keys:
        The path to the refused value. It is empty for the whole document.
    """

    def __init__(self, line: int, message: str, keys: Keys = ()) -> None:
        super().__init__(message)
        self.line = line
        self.keys = keys


class DocumentLimitError(DocumentError):
    """A list or a mapping is too long, or the document has too many values."""


@dataclass(slots=True)
class Place:
    """The line of a value, or of its key, and the places of the values in it."""

    line: int
    inner: "dict[str, Place] | list[Place] | None" = None


@dataclass(frozen=True, kw_only=True)
class Document:
    """A document that was read, as plain data.

    root:
        The place of the whole. None for JSON, whose lines are unknown.
    """

    value: Any
    root: Place | None = field(default=None, repr=False)

    def line(self, keys: Keys) -> int:
        """Return the line, from 1, of the key that leads to a value, or of an item of a list; 0 for JSON.

        Keys that lead to nothing give the line of the nearest value around it.
        """
        place = self.root
        if place is None:
            return 0
        for key in keys:
            try:
                place = place.inner[key]  # type: ignore[index]
            except (KeyError, IndexError, TypeError):
                break
        return place.line


def file_and_line(where: str, line: int) -> str:
    """Return the place of an error for messages: the file, and its line unless that is 0."""
    return f"{where}:{line}" if line else where
