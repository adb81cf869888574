"""PEFT's `rank_pattern` and `alpha_pattern`: which of their keys counts for a module.

A key is a regular expression, and the first that matches a module or its end counts (`get_pattern_key` in
PEFT's utils/other.py; up to 0.13, both patterns had to have the same one). It comes from whoever made the
adapter, and may be made to never end: none is run here. Nearly all are names.
"""

import re
from collections.abc import Callable, Iterator, Mapping

# A dot would match any character; no model has modules whose names differ in nothing else.
_NAME = re.compile(r"\^?(?:[A-Za-z0-9_.-]|\\\.)+")


def is_name(key: str) -> bool:
    """Tell whether a key is the name of a module, or of the end of some."""
    return _NAME.fullmatch(key) is not None


def by_module(pattern: Mapping[str, float], otherwise: float) -> Callable[[str], float]:
    """Return what gives a module its value by a pattern whose keys are names."""
    values: dict[str, tuple[int, float]] = {}
    for place, (key, value) in enumerate(pattern.items()):
        values.setdefault(key.replace("\\.", "."), (place, value))

    def value_of(module: str) -> float:
        found = [values[name] for name in _names_of(module) if name in values]
        return min(found)[1] if found else otherwise

    return value_of if values else lambda _: otherwise


def _names_of(module: str) -> Iterator[str]:
    """Yield all by which a key may name a module, `^` where it is to be the whole name."""
    yield f"^{module}"
    dot, rest = ".", module
    while dot:
        yield rest
        _, dot, rest = rest.partition(".")
