"""How many copies policies want, and when schedules are due."""

from datetime import UTC, datetime
from typing import Any

import pytest

from local_sagemaker.autoscaling.decisions import next_due, step_capacity, tracked_capacity, tracking_alarms
from tests.local.autoscaling.scaled import FINE, PER_MINUTE

STEPS = [
    {"MetricIntervalUpperBound": -10, "ScalingAdjustment": -2},
    {"MetricIntervalLowerBound": -10, "MetricIntervalUpperBound": 0, "ScalingAdjustment": -1},
    {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 10, "ScalingAdjustment": 1},
    {"MetricIntervalLowerBound": 10, "ScalingAdjustment": 3},
]


@pytest.mark.parametrize(("value", "wanted"), [(40.0, 3), (45.0, 4), (50.0, 6), (59.0, 6), (60.0, 8)])
def test_step_is_that_of_the_difference_to_the_threshold(value: float, wanted: int) -> None:
    configuration = {"AdjustmentType": "ChangeInCapacity", "StepAdjustments": STEPS}
    assert step_capacity(configuration, 5, value, 50.0) == wanted


def test_step_may_be_the_capacity_itself_or_be_missing() -> None:
    exact = {"AdjustmentType": "ExactCapacity", "StepAdjustments": STEPS[2:3]}
    assert step_capacity(exact, 5, 50.0, 50.0) == 1
    assert step_capacity(exact, 5, 70.0, 50.0) is None


@pytest.mark.parametrize(
    ("current", "value", "wanted"), [(1, 12, 3), (2, 4, 2), (2, 4.1, 3), (3, 0, 0), (3, 1.3, 1), (0, 9, 0)]
)
def test_tracking_wants_as_many_copies_as_the_target_value_needs(
    current: int, value: float, wanted: int
) -> None:
    assert tracked_capacity(current, value, 4.0) == wanted


def alarms(**configuration: Any) -> dict[str, dict[str, Any]]:
    configuration = {"TargetValue": 10, **configuration}
    return tracking_alarms(configuration, "inference-component/base", scale_in_periods=90)


def test_alarms_of_high_resolution_look_at_ten_seconds() -> None:
    found = alarms(PredefinedMetricSpecification={"PredefinedMetricType": FINE})
    assert found["High"] == {
        "Namespace": "AWS/SageMaker",
        "MetricName": "ConcurrentRequestsPerCopy",
        "Dimensions": [{"Name": "InferenceComponentName", "Value": "base"}],
        "Statistic": "Maximum",
        "Period": 10,
        "EvaluationPeriods": 3,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 10,
    }
    members = ("EvaluationPeriods", "Threshold", "ComparisonOperator")
    assert [found["Low"][member] for member in members] == [90, 9, "LessThanThreshold"]


def test_alarms_of_other_metrics_look_at_minutes() -> None:
    found = alarms(PredefinedMetricSpecification={"PredefinedMetricType": PER_MINUTE})
    assert {name: (one["Period"], one["EvaluationPeriods"]) for name, one in found.items()} == {
        "High": (60, 3),
        "Low": (60, 15),
    }
    metric = {"Namespace": "n", "MetricName": "m", "Statistic": "Sum"}
    assert alarms(CustomizedMetricSpecification=metric)["High"].items() >= (metric | {"Period": 60}).items()


NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC).timestamp()


def due(expression: str, zone: str | None = None, start: float | None = None) -> str | None:
    found = next_due(expression, NOON, zone=zone, start=start)
    return None if found is None else datetime.fromtimestamp(found, UTC).strftime("%d %H:%M:%S")


def test_one_time_action_is_due_once() -> None:
    assert due("at(2026-06-01T12:00:05)") == "01 12:00:05"
    assert due("at(2026-06-01T11:59:59)") is None


def test_moments_are_those_of_the_time_zone() -> None:
    assert due("at(2026-06-01T14:30:00)", "Europe/Berlin") == "01 12:30:00"
    assert due("cron(0 8 * * ? *)", "America/New_York") == "02 12:00:00"


def test_rate_begins_at_its_start() -> None:
    assert due("rate(2 hours)", start=NOON - 3_600) == "01 13:00:00"
    assert due("rate(1 day)", start=NOON + 60) == "01 12:01:00"


@pytest.mark.parametrize("expression", ["rate(1)", "rate(0 days)", "cron(1 2 3)", "at(tomorrow)"])
def test_other_text_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="Invalid schedule expression"):
        due(expression)


def test_unknown_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="Invalid timezone: Mars/Base"):
        due("rate(1 day)", "Mars/Base")
