"""A document that was read: plain data, and the line of everything in it.

The limits are applied while a document is read, before its values are made: eight megabytes of empty
mappings would take half a gigabyte. `bench/manifest.py` measures what the largest documents take.
"""

from dataclasses import dataclass, field
from typing import Any

from adapter_fleet.common.bounded_text import short_repr
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
    """The document cannot be read at all. `line` says where, counted from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class DocumentLimitError(DocumentError):
    """A list or a mapping is too long, or the document has too many values. `keys` lead to it."""

    def __init__(self, line: int, message: str, keys: Keys = ()) -> None:
        super().__init__(line, message)
        self.keys = keys


@dataclass(slots=True)
class Place:
    """The line of a value, or of its key, and the places of the values in it."""

    line: int
    inner: "dict[str, Place] | list[Place] | None" = None


@dataclass(frozen=True, kw_only=True)
class Document:
    """A document that was read, as plain data."""

    value: Any
    root: Place = field(repr=False)

    def at(self, keys: Keys) -> Any:
        """Return the value that keys lead to; None if they lead to nothing."""
        value = self.value
        for key in keys:
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def line(self, keys: Keys) -> int:
        """Return the line, from 1, of the key that leads to a value, or of an item of a list.

        Keys that lead to nothing give the line of the nearest value around it.
        """
        place = self.root
        for key in keys:
            inner = place.inner
            try:
                place = inner[key]  # type: ignore[index]
            except (KeyError, IndexError, TypeError):
                break
        return place.line


class LimitedReader:
    """Applies the limits while a document is read, for the readers of both formats."""

    def __init__(self) -> None:
        self._values = 0

    def count_value(self, line: int) -> None:
        """Count a key or a value that is about to be read."""
        self._values += 1
        if self._values > MAX_VALUES:
            raise DocumentLimitError(line, f"it should have at most {MAX_VALUES} keys and values")

    def check_items(self, count: int, line: int, keys: Keys) -> None:
        """Raise DocumentLimitError if a list has too many items."""
        if count > MAX_ITEMS:
            raise DocumentLimitError(line, f"a list should have at most {MAX_ITEMS} items", keys)

    def check_keys(self, count: int, line: int, keys: Keys) -> None:
        """Raise DocumentLimitError if a mapping has too many keys."""
        if count > MAX_KEYS:
            raise DocumentLimitError(line, f"a mapping should have at most {MAX_KEYS} keys", keys)

    def check_first(self, key: str, places: dict[str, Place], line: int) -> None:
        """Raise DocumentError if a mapping has a key already."""
        if key in places:
            first = places[key].line
            raise DocumentError(line, f"the key {short_repr(key)} is given twice, first in line {first}")
