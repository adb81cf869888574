"""Reading JSON that others wrote: one meaning, or an error."""

import json
import re
import reprlib
from collections.abc import Callable
from typing import Any, NoReturn

MOST_SEPARATORS = 1_200_000
"""Brackets, colons and commas in one document: beyond, a few megabytes of text are hundreds in memory. A
safetensors header has twelve for a tensor.
"""
_SEPARATORS = (b",", b":", b"[", b"{")
# Text in which each escaped half of a surrogate pair has its other half.
_OF_WHOLE_CHARACTERS = re.compile(
    rb"(?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F])|\\u[dD][89abAB]..\\u[dD][c-fC-F])*+"
)

_Pairs = list[tuple[str, Any]]


class DuplicateKeyError(ValueError):
    """An object has a key twice."""


def loads(text: bytes, *, of_object: Callable[[dict[str, Any]], Any] = lambda made: made) -> Any:
    """Parse UTF-8 JSON, with ValueError for all that parsers disagree on.

    Python's parser takes the last of duplicate keys, others the first: a check and the engine must not see
    two documents. NaN and infinities are not JSON. Half of a surrogate pair is no character and -0 no whole
    number to serde_json, with which safetensors reads. `of_object` makes what stands for an object.
    """
    if sum(map(text.count, _SEPARATORS)) > MOST_SEPARATORS:
        raise ValueError(f"it should have at most {MOST_SEPARATORS} brackets, colons and commas")

    def unique(pairs: _Pairs) -> Any:
        made = dict(pairs)
        if len(made) < len(pairs):
            raise DuplicateKeyError(f"it has the key {shown(_duplicate(pairs))} twice")
        return of_object(made)

    try:
        made = json.loads(
            text.decode("utf-8"),
            object_pairs_hook=unique,
            parse_constant=_refuse_constant,
            # A call for each number takes long, and is needed for this one alone.
            parse_int=_whole_number if b"-" in text else None,
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if b"\\" in text and _OF_WHOLE_CHARACTERS.fullmatch(text) is None:
        raise ValueError("it has half of a surrogate pair, which is no character")
    return made


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


def _whole_number(digits: str) -> int:
    if digits == "-0":
        raise ValueError("-0 is no whole number")
    return int(digits)


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
