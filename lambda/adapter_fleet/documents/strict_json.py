"""Reads JSON from untrusted sources: a text with one meaning, or an error."""

import json
import re
from collections.abc import Callable
from typing import Any, NoReturn

from adapter_fleet.common.bounded_text import short_repr

MAX_SEPARATORS = 1_200_000
"""Brackets, colons and commas in one document. With more, a few megabytes of text take hundreds in memory.

A safetensors header has twelve of them for each tensor.
"""
_SEPARATORS = (b",", b":", b"[", b"{")
# A text in which each escaped half of a surrogate pair is followed by the other half.
_OF_WHOLE_CHARACTERS = re.compile(
    rb"(?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F])|\\u[dD][89abAB]..\\u[dD][c-fC-F])*+"
)

_Pairs = list[tuple[str, Any]]


def loads(text: bytes, *, of_object: Callable[[dict[str, Any]], Any] = lambda made: made) -> Any:
    """Parse UTF-8 JSON; raise ValueError for a text on whose meaning parsers disagree.

    Python's parser takes the last of duplicate keys, others take the first: a check and the engine must not
    see two different documents. NaN and infinities are not JSON. serde_json, with which safetensors reads,
    takes half of a surrogate pair for no character and -0 for no whole number.

    `of_object` makes the value that stands for an object.
    """
    if sum(map(text.count, _SEPARATORS)) > MAX_SEPARATORS:
        raise ValueError(f"it should have at most {MAX_SEPARATORS} brackets, colons and commas")

    def unique(pairs: _Pairs) -> Any:
        made = dict(pairs)
        if len(made) < len(pairs):
            raise ValueError(f"it has the key {short_repr(_duplicate(pairs))} twice")
        return of_object(made)

    try:
        made = json.loads(
            text.decode("utf-8"),
            object_pairs_hook=unique,
            parse_constant=_refuse_constant,
            # A call for each number is slow. Only -0 needs it.
            parse_int=_whole_number if b"-" in text else None,
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if b"\\" in text and _OF_WHOLE_CHARACTERS.fullmatch(text) is None:
        raise ValueError("it has half of a surrogate pair, which is no character")
    return made


def _duplicate(pairs: _Pairs) -> str:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            return key
        seen.add(key)
    raise AssertionError  # called only if there is one


def _whole_number(digits: str) -> int:
    if digits == "-0":
        raise ValueError("-0 is no whole number")
    return int(digits)


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
