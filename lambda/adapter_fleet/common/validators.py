"""Checks of settings that a person gives: the error names the setting, what it should be and what was got."""

import math
import struct
from collections.abc import Collection, Mapping
from enum import Enum

TOKEN = "${Token["
"""Begins the text of every token of the CDK. Asking the CDK for them takes longer than looking."""

_LIST_TOKEN = "#{Token["
# The upper bits of a number that stands for one (aws-cdk-lib, core/lib/private/encoding.ts).
_NUMBER_TOKEN = b"\xfb\xff"
_LONGEST_SHOWN = 80


def holds_token(value: object) -> bool:
    """Tell whether plain data has a token of the CDK in it, for what the deployment will know."""
    match value:
        case str():
            return TOKEN in value or _LIST_TOKEN in value
        case float():
            return struct.pack(">d", value).startswith(_NUMBER_TOKEN)
        case Mapping():
            return any(holds_token(part) for item in value.items() for part in item)
        case list() | tuple():
            return any(map(holds_token, value))
    return False


def check_known(setting: str, value: object) -> None:
    """Raise ValueError where `value` has a token of the CDK in it."""
    if holds_token(value):
        raise ValueError(f"'{setting}' should be known at synth, got a token")


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
    check_known(setting, value)
    # By their very type, as a bool is an int to isinstance.
    if type(value) not in (int, float) or not math.isfinite(value):  # type: ignore[arg-type]
        raise _error(setting, "a number", value)


def check_whole_number(setting: str, value: object, *, at_least: int) -> None:
    """Raise ValueError unless `value` is a whole number, and that large."""
    check_known(setting, value)
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
