"""Waits: how long until the next pass."""

import math
from collections.abc import Collection

_TROUBLE_SECONDS = 15.0
_MAX_TROUBLE_SECONDS = 300.0
_TROUBLE_SHARE = 0.1
"""The longer a trouble lasts, the less often passes come: after a tenth of the time so far."""
_RETRY_STRETCH = 2.0
_LOOK_FOR_COPIES_SECONDS = 60.0
"""How often a pass looks for a copy at first, if adapters wait for one."""
_MAX_WAIT_SECONDS = 900.0


def seconds_after_trouble(lasted: float) -> float:
    """Return the seconds until a pass tries again what has held up the generation for some seconds."""
    return min(max(_TROUBLE_SECONDS, _TROUBLE_SHARE * lasted), _MAX_TROUBLE_SECONDS)


def seconds_until_copies(lasted: float) -> float:
    """Return the seconds until a pass looks for a copy that adapters have waited for."""
    return max(_LOOK_FOR_COPIES_SECONDS, min(_TROUBLE_SHARE * lasted, _MAX_WAIT_SECONDS))


def time_of_retries(retries: Collection[float], now: float, *, together: bool) -> float:
    """Return when a pass comes for these retries.

    together:
        True if one pass is for the first retry and for those that come soon after it.
    """
    first = min(retries)
    if not together:
        return first
    latest = now + _RETRY_STRETCH * (first - now)
    return max(retry for retry in retries if retry <= latest or retry == first)


def wait_seconds(times: Collection[float], now: float) -> int | None:
    """Return the seconds until the next pass, by the times when something is due; None without any."""
    if not times:
        return None
    # The state machine waits whole seconds; the pass waits for the rest of one.
    return max(1, min(math.floor(min(times) - now), int(_MAX_WAIT_SECONDS)))
