"""The state of an alarm: what CloudWatch decides from the values of the last periods.

[V user guide, "Evaluating an alarm" and "Configuring how alarms treat missing data"] An alarm is in ALARM if
DatapointsToAlarm of EvaluationPeriods values breach the threshold. It reads more periods than that, its
evaluation range, and takes the newest values there, as some come late. Those still missing count as
TreatMissingData says. With `missing`, the state is INSUFFICIENT_DATA if all are missing, and ALARM if the
oldest one present is at least DatapointsToAlarm periods old and none of those present is fine. With
`ignore`, the state stays as it is while too few values breach and none is fine.
"""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}

# [V user guide] The range is a few periods longer. A value comes late by real seconds, however short a scaled
# period is.
_MORE_PERIODS, _LATE_SECONDS = 2, 5.0


@dataclass(frozen=True)
class Evaluation:
    """The state of an alarm, its reason, and the latest value that led to it."""

    state: str
    reason: str
    value: float | None


@dataclass(frozen=True)
class Windows:
    """The evaluation range of an alarm: the latest periods that are over, the newest last."""

    starts: Sequence[float]
    seconds: float

    @classmethod
    def of(cls, alarm: Mapping[str, Any], now: float, scale: float) -> "Windows":
        """The periods before now; each lasts the alarm's period times the scale."""
        seconds = period(alarm) * scale
        newest = math.floor(now / seconds + 1e-9)
        count = _evaluation_periods(alarm) + max(_MORE_PERIODS, math.ceil(_LATE_SECONDS / seconds))
        return cls([(newest - count + index) * seconds for index in range(count)], seconds)


def period(alarm: Mapping[str, Any]) -> float:
    """The seconds of an alarm's period."""
    for query in alarm.get("Metrics") or ():
        found = query.get("Period") or query.get("MetricStat", {}).get("Period")
        if found:
            return float(found)
    return float(alarm.get("Period") or 60)


def _evaluation_periods(alarm: Mapping[str, Any]) -> int:
    return int(alarm.get("EvaluationPeriods") or 1)


def evaluated(alarm: Mapping[str, Any], values: Sequence[float | None]) -> Evaluation | None:
    """The state that the values of its range give an alarm, the newest last; None if it stays as it is."""
    count = _evaluation_periods(alarm)
    threshold, comparison = float(alarm.get("Threshold") or 0), alarm["ComparisonOperator"]
    breaches = _COMPARISONS[comparison]
    needed = int(alarm.get("DatapointsToAlarm") or count)
    treatment = alarm.get("TreatMissingData") or "missing"
    present = [value for value in values if value is not None][-count:]
    latest = present[-1] if present else None
    if not present and treatment in ("missing", "ignore"):
        if treatment == "ignore":
            return None
        return Evaluation("INSUFFICIENT_DATA", f"Insufficient Data: {count} datapoints were unknown.", None)
    breaching = sum(breaches(value, threshold) for value in present)
    if treatment == "breaching":
        breaching += count - len(present)
    rings = breaching >= needed or (
        treatment == "missing" and breaching == len(present) and _oldest(values) >= needed
    )
    if treatment == "ignore" and not rings and breaching == len(present):
        return None
    shown = ", ".join(f"{value:g}" for value in present) or "no datapoint"
    reason = (
        f"Threshold Crossed: {breaching} out of the last {count} datapoints [{shown}] "
        f"{'was' if rings else 'was not'} {comparison} ({threshold:g}) (minimum {needed} datapoints)."
    )
    return Evaluation("ALARM" if rings else "OK", reason, latest)


def _oldest(values: Sequence[float | None]) -> int:
    """How many periods the oldest value present is old, 1 for the newest period."""
    return len(values) - next(index for index, value in enumerate(values) if value is not None)
