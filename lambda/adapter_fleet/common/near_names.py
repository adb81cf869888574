"""What a person who mistyped a name may have meant."""

import difflib
from collections.abc import Iterable


def near_names(name: str, known: Iterable[str], most: int = 1) -> list[str]:
    """Return the known names that are near an unknown one, nearest first."""
    return difflib.get_close_matches(name, sorted(known), n=most)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint to add to the error of an unknown name; nothing if no known one is near."""
    near = near_names(name, known)
    return f"; did you mean {near[0]!r}?" if near else ""


def known_or_meant(name: str, known: Iterable[str]) -> str:
    """Return a hint for an unknown name: the nearest known one, or all of them."""
    known = list(known)
    near = near_names(name, known)
    return f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known) or 'none'}"
