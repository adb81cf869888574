"""When scheduled actions are due: `at(…)`, `rate(…)` and `cron(…)` in a time zone [V API reference]."""

import re
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ministack.services import eventbridge

_RATE = re.compile(r"rate\(\s*([1-9]\d*)\s+(minute|hour|day)s?\s*\)")
_AT = re.compile(r"at\(\s*(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\s*\)")
_UNITS = {"minute": 60, "hour": 3_600, "day": 86_400}


def next_due(
    expression: str, after: float, *, zone: str | None = None, start: float | None = None
) -> float | None:
    """The first moment after another at which a schedule is due; None if never. ValueError if it is wrong.

    start is where rates begin.
    """
    timezone = _zone(zone)
    if match := _AT.fullmatch(expression):
        moment = datetime.fromisoformat(match[1]).replace(tzinfo=timezone).timestamp()
        return moment if moment > after else None
    if match := _RATE.fullmatch(expression):
        seconds = int(match[1]) * _UNITS[match[2]]
        first = after if start is None else start
        return first if first > after else first + ((after - first) // seconds + 1) * seconds
    fields = eventbridge._parse_cron_fields(expression)
    if fields is None:
        raise ValueError(f"Invalid schedule expression: {expression}")
    due = eventbridge._cron_next_fire(fields, datetime.fromtimestamp(after, timezone))
    return None if due is None else float(due.timestamp())


def _zone(name: str | None) -> tzinfo:
    if name is None:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"Invalid timezone: {name}") from error
