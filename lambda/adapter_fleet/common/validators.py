"""Checks settings. The error names the setting, what it should be, and what was got."""

import math
import struct
from collections.abc import Collection, Mapping
from enum import Enum

TOKEN = "${Token["
"""The start of every text token of the CDK. Searching for it is faster than asking the CDK."""

_LIST_TOKEN = "#{Token["
# The upper bits of a number token (aws-cdk-lib, core/lib/private/encoding.ts).
_NUMBER_TOKEN = b"\xfb\xff"
_MAX_REPR_LENGTH = 80


def holds_token(value: object) -> bool:
    """Tell whether plain data contains a token of the CDK, a value that only the deployment knows."""
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
    """Raise ValueError if `value` contains a token of the CDK."""
    if holds_token(value):
        raise ValueError(f"'{setting}' should be known at synth, got a token")


def check_kind(setting: str, value: object, kind: type | tuple[type, ...], should_be: str) -> None:
    """Raise ValueError unless `value` is an instance of `kind`, which `should_be` names in the error."""
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
    """Raise ValueError unless `value` is a finite number."""
    check_known(setting, value)
    # Not isinstance, for which a bool is an int.
    if type(value) not in (int, float) or not math.isfinite(value):  # type: ignore[arg-type]
        raise _error(setting, "a number", value)


def check_whole_number(setting: str, value: object, *, at_least: int) -> None:
    """Raise ValueError unless `value` is a whole number of at least `at_least`."""
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
    """Raise ValueError unless `value` is a collection of at least one text.

    A single text is refused, although it is a collection of its letters.
    """
    listed = isinstance(value, Collection) and not isinstance(value, str | bytes)
    if not listed or not all(isinstance(name, str) for name in value):  # type: ignore[attr-defined]
        raise _error(setting, "a list of names", value)
    if not value:
        raise ValueError(f"'{setting}' should have at least one name or be left out, got none")


def _error(setting: str, should_be: str, value: object) -> ValueError:
    got = repr(value)
    if len(got) > _MAX_REPR_LENGTH:
        got = f"{got[:_MAX_REPR_LENGTH]} …"
    return ValueError(f"'{setting}' should be {should_be}, got {got}")


def share_of(number: int, share: float) -> int:
    """Return a share of a number, rounded down: 29 for 29 % of 100, though 0.29 * 100 is below 29."""
    return int(share * number + 1e-9)
