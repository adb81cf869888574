"""How many copies a policy wants, and when scheduled actions are due."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ministack.services import eventbridge


def step_capacity(
    configuration: Mapping[str, Any], current: int, value: float, threshold: float
) -> int | None:
    """What a step policy wants for the value of its alarm's metric; None if no step is for that value.

    [V API reference, StepAdjustment] The bounds of steps are differences to the alarm's threshold. The lower
    bound is inclusive and the upper exclusive where the difference is positive, and the other way around
    where it is negative.
    """
    step = next((step for step in configuration["StepAdjustments"] if _covers(step, value - threshold)), None)
    if step is None:
        return None
    adjustment = int(step["ScalingAdjustment"])
    kind = configuration["AdjustmentType"]
    return adjustment if kind == "ExactCapacity" else current + adjustment


def _covers(step: Mapping[str, Any], difference: float) -> bool:
    lower = float(step.get("MetricIntervalLowerBound", -math.inf))
    upper = float(step.get("MetricIntervalUpperBound", math.inf))
    return lower <= difference < upper if difference >= 0 else lower < difference <= upper


def tracked_capacity(current: int, value: float, target: float) -> int:
    """What target tracking wants: enough copies that each gets at most the target value.

    [I] No source has the formula. With no copies, there is nothing to divide by, so it stays at none [T].
    """
    return math.ceil(round(current * value / target, 9))


def tracking_alarms(
    configuration: Mapping[str, Any], resource: str, *, scale_in_periods: int
) -> dict[str, dict[str, Any]]:
    """The alarms of a target-tracking policy by their kind ("High", "Low"), without names and actions.

    [T guides that show them] The high one rings after 3 periods above the target, the low one after 15 below
    nine tenths of it. With high resolution, the periods are 10 s, and there are `scale_in_periods` of them.
    With `DisableScaleIn`, there is no low one.
    """
    target = float(configuration["TargetValue"])
    metric, fine = _tracked_metric(configuration, resource)
    alarms = {
        "High": {
            **metric,
            "EvaluationPeriods": 3,
            "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": target,
        }
    }
    if not configuration.get("DisableScaleIn"):
        alarms["Low"] = {
            **metric,
            "EvaluationPeriods": scale_in_periods if fine else 15,
            "ComparisonOperator": "LessThanThreshold",
            "Threshold": round(target * 0.9, 6),
        }
    return alarms


def _tracked_metric(configuration: Mapping[str, Any], resource: str) -> tuple[dict[str, Any], bool]:
    predefined = configuration.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
    if predefined is None:
        custom = configuration["CustomizedMetricSpecification"]
        members = ("MetricName", "Namespace", "Dimensions", "Statistic", "Unit")
        return {member: custom[member] for member in members if member in custom} | {"Period": 60}, False
    name, statistic, seconds = PREDEFINED[predefined]
    metric = {
        "Namespace": "AWS/SageMaker",
        "MetricName": name,
        "Dimensions": [{"Name": "InferenceComponentName", "Value": resource.partition("/")[2]}],
        "Statistic": statistic,
        "Period": seconds,
    }
    return metric, seconds < 60


# [V API reference, PredefinedMetricType; the valid statistics of the metrics] Metric, statistic and period.
PREDEFINED = {
    "SageMakerInferenceComponentInvocationsPerCopy": ("InvocationsPerCopy", "Sum", 60),
    "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution": (
        "ConcurrentRequestsPerCopy",
        "Maximum",
        10,
    ),
}


_RATE = re.compile(r"rate\(\s*([1-9]\d*)\s+(minute|hour|day)s?\s*\)")
_AT = re.compile(r"at\(\s*(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\s*\)")
_UNITS = {"minute": 60, "hour": 3_600, "day": 86_400}


def next_due(
    expression: str, after: float, *, zone: str | None = None, start: float | None = None
) -> float | None:
    """The first moment after another at which a schedule is due; None if never. ValueError if it is wrong.

    Schedules are `at(…)`, `rate(…)` and `cron(…)` in a time zone [V API reference]. start is where rates
    begin.
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
