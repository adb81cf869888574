from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from local_sagemaker.monitoring.alarm_state import Evaluation, Windows, evaluated, period


def state(values: Sequence[float | None], **alarm: Any) -> str | None:
    found = evaluated({"Threshold": 5, "ComparisonOperator": "GreaterThanThreshold"} | alarm, values)
    return None if found is None else found.state


def test_alarm_rings_when_enough_values_breach_the_threshold() -> None:
    assert state([6, 1, 7], DatapointsToAlarm=2) == "ALARM"
    assert state([6, 1, 5], DatapointsToAlarm=2) == "OK"
    assert (state([6, 6, 6]), state([6, 6, 1])) == ("ALARM", "OK")


@pytest.mark.parametrize(
    ("comparison", "rings"),
    [
        ("GreaterThanOrEqualToThreshold", True),
        ("GreaterThanThreshold", False),
        ("LessThanThreshold", False),
        ("LessThanOrEqualToThreshold", True),
    ],
)
def test_value_at_the_threshold(comparison: str, rings: bool) -> None:
    assert state([5], ComparisonOperator=comparison) == ("ALARM" if rings else "OK")


# CloudWatch's own table of 3 out of 3 datapoints [V user guide, "How alarm state is evaluated"].
X = 9.0


@pytest.mark.parametrize(
    ("values", "missing", "not_breaching", "breaching", "ignore"),
    [
        ([0.0, X, X], "OK", "OK", "OK", "OK"),
        ([None, None, None], "INSUFFICIENT_DATA", "OK", "ALARM", None),
        ([X, None, None], "ALARM", "OK", "ALARM", None),
        ([None, None, X], "OK", "OK", "ALARM", None),
        ([0.0, None, X], "OK", "OK", "OK", "OK"),
    ],
)
def test_missing_values_count_as_the_alarm_says(
    values: list[float | None], missing: str, not_breaching: str, breaching: str, ignore: str | None
) -> None:
    assert state(values) == missing
    assert state(values, TreatMissingData="notBreaching") == not_breaching
    assert state(values, TreatMissingData="breaching") == breaching
    assert state(values, TreatMissingData="ignore") == ignore


def test_reason_tells_the_values_and_the_latest_one_is_the_alarms_value() -> None:
    found = evaluated({"Threshold": 5, "ComparisonOperator": "GreaterThanThreshold"}, [6.0, 8.5])
    assert isinstance(found, Evaluation)
    assert found.value == 8.5
    assert "2 out of the last 2 datapoints [6, 8.5] was GreaterThanThreshold (5)" in found.reason


def test_anomaly_detection_leaves_the_state() -> None:
    assert state([9], ComparisonOperator="LessThanLowerThreshold") is None


def test_periods_are_those_that_are_over() -> None:
    assert Windows.of({"Period": 60, "EvaluationPeriods": 3}, 200.0, 1.0).starts == [0, 60, 120]


def test_periods_last_the_scaled_time() -> None:
    windows = Windows.of({"Period": 60, "EvaluationPeriods": 2}, 10.0, 0.05)
    assert (windows.seconds, list(windows.starts)) == (3.0, [3.0, 6.0])


def test_period_of_an_expression_is_that_of_its_metric() -> None:
    assert period({"Metrics": [{"Expression": "m"}, {"MetricStat": {"Period": 10}}]}) == 10
    assert period({"Metrics": [{"Expression": "SELECT …", "Period": 300}]}) == 300
