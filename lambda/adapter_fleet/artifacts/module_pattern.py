"""PEFT's `rank_pattern` and `alpha_pattern`: which of their keys counts for a module.

A key is a regular expression, and the first that matches a module or its end counts (`get_pattern_key` in
PEFT's utils/other.py; up to 0.13, both patterns had to have the same one). It comes from whoever made the
adapter, and may be made to never end: none is run here. Nearly all are names.
"""

import re
from collections.abc import Callable, Mapping, Sequence

# A dot would match any character; no model has modules whose names differ in nothing else.
_NAME = re.compile(r"\^?(?:[A-Za-z0-9_.-]|\\\.)+")


def is_name(key: str) -> bool:
    """Tell whether a key is the name of a module, or of the end of some."""
    return _NAME.fullmatch(key) is not None


def value_by_names(pattern: Mapping[str, float], otherwise: float) -> Callable[[Sequence[str]], float]:
    """Return the function that finds a module's value in a pattern whose keys are names.

    It is called with the module's `names_of`.
    """
    values: dict[str, tuple[int, float]] = {}
    for place, (key, value) in enumerate(pattern.items()):
        values.setdefault(key.replace("\\.", "."), (place, value))

    def value_of(names: Sequence[str]) -> float:
        if values.keys().isdisjoint(names):
            return otherwise
        return min(values[name] for name in names if name in values)[1]

    return value_of


def names_of(module: str) -> list[str]:
    """Return all by which a key may name a module, with `^` where it is to be the whole name."""
    names = [f"^{module}", module]
    dot = -1
    while (dot := module.find(".", dot + 1)) >= 0:
        names.append(module[dot + 1 :])
    return names
