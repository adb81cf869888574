"""A row of the registry: JSON in an item of its table."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from adapter_fleet.common.bounded_text import text_of
from adapter_fleet.common.serialization import converter
from adapter_fleet.fleet.state.dynamodb_table import Item

_Value = TypeVar("_Value")


class UnreadableError(Exception):
    """A row of the registry cannot be read. A later release may have written it."""


@contextmanager
def reading(item: Item) -> Iterator[None]:
    """Raise UnreadableError for any exception while an item is read: it may hold anything."""
    try:
        yield
    except Exception as error:
        raise UnreadableError(
            f"row '{item['sk']}' of '{item['pk']}' in the registry cannot be read, maybe because a later"
            f" release wrote it: {text_of(error)}"
        ) from error


def to_json(value: object) -> str:
    """Return a value as the JSON of an item."""
    return json.dumps(value, separators=(",", ":"))


def from_json(text: str, type_: type[_Value]) -> _Value:
    """Return the value that an item has as JSON. Raises any error if it is not of this type."""
    return converter.structure(json.loads(text), type_)
