"""Reading JSON that others wrote: one meaning, or an error."""

import json
import reprlib
from collections.abc import Callable
from typing import Any, NoReturn

MOST_SEPARATORS = 1_200_000
"""Brackets, colons and commas in one document: beyond, a few megabytes of text are hundreds in memory. A
safetensors header has twelve for a tensor.
"""
_SEPARATORS = (b",", b":", b"[", b"{")

_Pairs = list[tuple[str, Any]]


class DuplicateKeyError(ValueError):
    """An object has a key twice."""


def loads(text: bytes, *, of_object: Callable[[dict[str, Any]], Any] = lambda made: made) -> Any:
    """Parse UTF-8 JSON, with ValueError for all that parsers disagree on.

    Python's parser takes the last of duplicate keys, others the first: a check and the engine must not see
    two documents. NaN and infinities are not JSON. `of_object` makes what stands for an object.
    """
    if sum(map(text.count, _SEPARATORS)) > MOST_SEPARATORS:
        raise ValueError(f"it should have at most {MOST_SEPARATORS} brackets, colons and commas")

    def unique(pairs: _Pairs) -> Any:
        made = dict(pairs)
        if len(made) < len(pairs):
            raise DuplicateKeyError(f"it has the key {shown(_duplicate(pairs))} twice")
        return of_object(made)

    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=unique, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def shown(value: Any) -> str:
    """Return a value of a document as messages show it, whatever its size and depth."""
    return f"{_SHOWN.repr(value):.200}"


_SHOWN = reprlib.Repr()
_SHOWN.maxstring = _SHOWN.maxother = _SHOWN.maxlong = 100
_SHOWN.maxlevel = 4


def _duplicate(pairs: _Pairs) -> str:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            return key
        seen.add(key)
    raise AssertionError  # it was asked for since there is one


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
