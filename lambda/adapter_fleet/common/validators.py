"""Checks settings. The error names the setting, what it should be, and what was got."""

import struct
from collections.abc import Mapping

TOKEN = "${Token["
"""The start of every text token of the CDK. Searching for it is faster than asking the CDK."""

_LIST_TOKEN = "#{Token["
# The upper bits of a number token (aws-cdk-lib, core/lib/private/encoding.ts).
_NUMBER_TOKEN = b"\xfb\xff"


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


def check_whole_number(setting: str, value: object, *, at_least: int) -> None:
    """Raise ValueError unless `value` is a whole number of at least `at_least`."""
    check_known(setting, value)
    if type(value) is not int:
        raise ValueError(f"'{setting}' should be a whole number, got {value!r}")
    if value < at_least:
        raise ValueError(f"'{setting}' should be at least {at_least}, got {value}")


def check_share(setting: str, value: float) -> None:
    """Raise ValueError unless `value` is from 0 to 1."""
    check_known(setting, value)
    if not 0 <= value <= 1:
        raise ValueError(f"'{setting}' should be from 0 to 1, got {value}")


def share_of(number: int, share: float) -> int:
    """Return a share of a number, rounded down: 29 for 29 % of 100, though 0.29 * 100 is below 29."""
    return int(share * number + 1e-9)
