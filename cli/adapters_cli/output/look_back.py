"""The option `--since` of commands that look back: a number and a unit, such as 15m or 7d."""

import re

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LENGTH = re.compile(r"([1-9][0-9]{0,5})([smhd])")


def look_back_seconds(text: str, *, units: str, such_as: str) -> float:
    """Return the seconds of a length of time such as 7d, in one of these units. Raises ValueError."""
    found = _LENGTH.fullmatch(text)
    if found is None or found[2] not in units:
        raise ValueError(f"'--since' should be a time such as {such_as}, got {text!r}")
    return int(found[1]) * _UNITS[found[2]]
