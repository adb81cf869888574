"""Durations in whole units, as AWS needs them."""

from aws_cdk import Duration

_MILLISECONDS = {"millisecond": 1, "second": 1000, "minute": 60_000}
_COARSE_UNITS = ("minute", "hour", "day")


def whole_seconds(setting: str, duration: Duration) -> int:
    """Return a duration in seconds. Raises ValueError for a token or a fraction of a second."""
    return _known(setting, duration, "second")


def whole_milliseconds(setting: str, duration: Duration) -> int:
    """Return a duration above 0 in milliseconds. Raises ValueError for a token or for none."""
    milliseconds = _known(setting, duration, "millisecond")
    if not milliseconds:
        raise ValueError(f"'{setting}' should be above 0, got {duration.to_human_string()}")
    return milliseconds


def check_minutes(setting: str, duration: Duration) -> None:
    """Raise ValueError unless a duration is at least one whole minute, or a token in minutes or longer."""
    if duration.is_unresolved():
        if duration.unit_label().rstrip("s") not in _COARSE_UNITS:
            raise ValueError(f"'{setting}' should be whole minutes, got a token of {duration.unit_label()}")
        return
    if duration.to_milliseconds() < _MILLISECONDS["minute"]:
        raise ValueError(f"'{setting}' should be at least a minute, got {duration.to_human_string()}")
    _whole(setting, duration, "minute")


def _known(setting: str, duration: Duration, unit: str) -> int:
    if duration.is_unresolved():
        raise ValueError(f"'{setting}' should be known at synth, got a token")
    return _whole(setting, duration, unit)


def _whole(setting: str, duration: Duration, unit: str) -> int:
    count, rest = divmod(duration.to_milliseconds(), _MILLISECONDS[unit])
    if rest:
        raise ValueError(f"'{setting}' should be whole {unit}s, got {duration.to_human_string()}")
    return int(count)
