"""Checks of settings that a person gives: the error names the setting, what it should be and what was got."""

import math
from collections.abc import Collection
from enum import Enum

_LONGEST_SHOWN = 80


def check_kind(setting: str, value: object, kind: type | tuple[type, ...], should_be: str) -> None:
    """Raise ValueError unless `value` is of a kind, which `should_be` says in words."""
    if not isinstance(value, kind):
        raise _error(setting, should_be, value)


def check_flag(setting: str, value: object) -> None:
    """Raise ValueError unless `value` is True or False."""
    check_kind(setting, value, bool, "True or False")


def check_choice(setting: str, value: object, choices: type[Enum]) -> None:
    """Raise ValueError unless `value` is a member of an enumeration."""
    named = ", ".join(f"{choices.__name__}.{choice.name}" for choice in choices)
    check_kind(setting, value, choices, f"one of {named}")


def check_number(setting: str, value: object) -> None:
    """Raise ValueError unless `value` is a number, and a finite one."""
    # By their very type, as a bool is an int to isinstance.
    if type(value) not in (int, float) or not math.isfinite(value):  # type: ignore[arg-type]
        raise _error(setting, "a number", value)


def check_whole_number(setting: str, value: object, *, at_least: int) -> None:
    """Raise ValueError unless `value` is a whole number, and that large."""
    if type(value) is not int:
        raise _error(setting, "a whole number", value)
    if value < at_least:
        raise ValueError(f"'{setting}' should be at least {at_least}, got {value}")


def check_share(setting: str, value: float) -> None:
    """Raise ValueError unless `value` is a number from 0 to 1."""
    check_number(setting, value)
    if not 0 <= value <= 1:
        raise ValueError(f"'{setting}' should be from 0 to 1, got {value}")


def check_names(setting: str, value: object) -> None:
    """Raise ValueError unless `value` holds texts, and at least one.

    A text alone is refused: it is a collection of its letters.
    """
    listed = isinstance(value, Collection) and not isinstance(value, str | bytes)
    if not listed or not all(isinstance(name, str) for name in value):  # type: ignore[attr-defined]
        raise _error(setting, "a list of names", value)
    if not value:
        raise ValueError(f"'{setting}' should have at least one name or be left out, got none")


def _error(setting: str, should_be: str, value: object) -> ValueError:
    shown = repr(value)
    if len(shown) > _LONGEST_SHOWN:
        shown = f"{shown[:_LONGEST_SHOWN]} …"
    return ValueError(f"'{setting}' should be {should_be}, got {shown}")
