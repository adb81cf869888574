"""Reading JSON that others wrote: one meaning, or an error."""

import json
import reprlib
from collections.abc import Callable
from typing import Any, NoReturn

MOST_VALUES = 2**20
"""Values in one document, or rather what separates them: beyond, a few megabytes of text are hundreds in
memory. A safetensors header has about eight for a tensor.
"""

Pairs = list[tuple[str, Any]]


class DuplicateKeyError(ValueError):
    """An object has a key twice."""


def loads(text: bytes, *, of_object: Callable[[Pairs], Any] = dict) -> Any:
    """Parse UTF-8 JSON, with ValueError for all that parsers disagree on.

    Python's parser takes the last of duplicate keys, others the first: a check and the engine must not see
    two documents. NaN and infinities are not JSON. `of_object` makes what stands for an object of its pairs,
    whose keys are unique.
    """
    if text.count(b",") + text.count(b"[") + text.count(b"{") > MOST_VALUES:
        raise ValueError(f"it should have at most {MOST_VALUES} values")

    def unique(pairs: Pairs) -> Any:
        _refuse_duplicates(pairs)
        return of_object(pairs)

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


def _refuse_duplicates(pairs: Pairs) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise DuplicateKeyError(f"it has the key {shown(key)} twice")
        seen.add(key)


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
