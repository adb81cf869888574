"""Points of metrics and states of alarms."""

from collections.abc import Sequence
from typing import Any

import pytest

from local_sagemaker.monitoring.alarm_state import Windows, evaluated, period
from local_sagemaker.monitoring.metrics import Points, rounded


def points(*values: tuple[float, float]) -> Points:
    """Points of moments and values."""
    made = Points("Count", {"name": "value"})
    for moment, value in values:
        made.add(value, moment)
    return made


def told(made: Points) -> list[tuple[float, float, float]]:
    return [(point["Timestamp"], point["Value"], point["Count"]) for point in made]


def test_equal_values_of_one_second_are_one_point() -> None:
    assert told(points((10.1, 1.0), (10.9, 1.0), (10.95, 2.0))) == [(10, 1, 2), (10, 2, 1)]
    assert len(points((10.9, 1.0), (11.0, 1.0))) == 2


def test_scaled_time_has_points_of_less_than_a_second() -> None:
    made = Points("Count", {})
    for moment in (10.11, 10.14, 10.21):
        made.add(1.0, moment, resolution=0.1)
    assert [count for _, _, count in told(made)] == [2, 1]


def test_latency_is_off_by_one_percent_at_most() -> None:
    for value in (1.0, 37.0, 12_345.6, 9e6):
        assert rounded(value) == pytest.approx(value, rel=0.01)
    assert rounded(0.0) == 0.0


def test_older_equal_values_of_a_minute_become_one_point() -> None:
    made = points((960, 1.0), (970, 2.0), (980, 1.0), (1_400, 3.0), (1_401, 3.0))
    made.compact(2_000)
    assert told(made) == [(960, 1, 2), (960, 2, 1), (1_400, 3, 1), (1_401, 3, 1)]


def test_equal_values_of_an_hour_ago_are_one_point_for_five_minutes_and_old_ones_are_dropped() -> None:
    made = points((900, 1.0), (1_000, 1.0), (1_199, 1.0), (1_200, 1.0))
    made.compact(1_200 + 3_601)
    assert told(made) == [(900, 1, 3), (1_200, 1, 1)]
    made.compact(1_200 + 4 * 3_600)
    assert len(made) == 0


def test_series_compacts_itself_and_loses_no_value() -> None:
    made = points(*((10_000 + second, float(second % 7)) for second in range(7_000)))
    assert len(made) < 2_500
    assert sum(count for _, _, count in told(made)) == 7_000
    assert [moment for moment, _, _ in told(made)] == sorted(moment for moment, _, _ in told(made))


def state(values: Sequence[float | None], **alarm: Any) -> str | None:
    periods = {"EvaluationPeriods": min(3, len(values)), "Threshold": 5}
    found = evaluated(periods | {"ComparisonOperator": "GreaterThanThreshold"} | alarm, values)
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
        ([0.0, None, X, None, X], "OK", "OK", "OK", "OK"),
        ([None, None, None, None, 0.0], "OK", "OK", "OK", "OK"),
        ([0.0, X, X, None, X], "ALARM", "ALARM", "ALARM", "ALARM"),
        ([None, None, X, None, None], "ALARM", "OK", "ALARM", None),
    ],
)
def test_missing_values_count_as_the_alarm_says(
    values: list[float | None], missing: str, not_breaching: str, breaching: str, ignore: str | None
) -> None:
    assert state(values) == missing
    assert state(values, TreatMissingData="notBreaching") == not_breaching
    assert state(values, TreatMissingData="breaching") == breaching
    assert state(values, TreatMissingData="ignore") == ignore


def test_range_has_periods_that_are_over_and_two_more_for_late_values() -> None:
    assert Windows.of({"Period": 60, "EvaluationPeriods": 3}, 320.0, 1.0).starts == [0, 60, 120, 180, 240]


def test_periods_last_the_scaled_time_and_late_values_have_five_seconds() -> None:
    windows = Windows.of({"Period": 60, "EvaluationPeriods": 2}, 20.0, 0.05)
    assert (windows.seconds, windows.starts) == (3.0, [6.0, 9.0, 12.0, 15.0])
    assert len(Windows.of({"Period": 60}, 20.0, 0.01).starts) == 1 + 9


def test_period_of_an_expression_is_that_of_its_metric() -> None:
    assert period({"Metrics": [{"Expression": "m"}, {"MetricStat": {"Period": 10}}]}) == 10
    assert period({"Metrics": [{"Expression": "SELECT …", "Period": 300}]}) == 300
