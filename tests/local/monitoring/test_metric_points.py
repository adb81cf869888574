from __future__ import annotations

import pytest

from local_sagemaker.monitoring.metric_points import Points, rounded


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


def test_point_is_what_ministack_makes() -> None:
    made = points((10.5, 3.0))
    made.append({"Timestamp": 11.0, "Value": 4, "Unit": "Count", "Dimensions": {}})
    assert made[-1] == {
        "Timestamp": 11.0,
        "Value": 4.0,
        "Unit": "Count",
        "Dimensions": {"name": "value"},
        "Count": 1.0,
    }
    assert (next(iter(made))["Value"], [point["Value"] for point in reversed(made)]) == (3.0, [4.0, 3.0])


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
