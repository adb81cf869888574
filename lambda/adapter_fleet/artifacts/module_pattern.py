"""PEFT's `rank_pattern` and `alpha_pattern`: which of their keys applies to a module.

A key is a regular expression. The first one that matches a module or the end of its name applies
(`get_pattern_key` in PEFT's utils/other.py; up to 0.13, both patterns needed the same key). Nearly all keys
are plain names. No expression is run here: it is untrusted, and may be made to never end.
"""

import re
from collections.abc import Callable, Mapping, Sequence

# A dot matches any character, but no model has modules whose names differ only where a dot is.
_NAME = re.compile(r"\^?(?:[A-Za-z0-9_.-]|\\\.)+")


def is_name(key: str) -> bool:
    """Tell whether a key is the name of a module, or the end of one."""
    return _NAME.fullmatch(key) is not None


def value_by_names(pattern: Mapping[str, float], otherwise: float) -> Callable[[Sequence[str]], float]:
    """Return a function that finds a module's value in a pattern whose keys are names.

    Call it with the module's `names_of`.
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
    """Return all keys that name a module. A key with `^` names the whole module."""
    names = [f"^{module}", module]
    dot = -1
    while (dot := module.find(".", dot + 1)) >= 0:
        names.append(module[dot + 1 :])
    return names
