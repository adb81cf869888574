from __future__ import annotations

import pytest

from local_sagemaker.monitoring.metric_points import Point, add_value, compacted, rounded


def points(*values: tuple[float, float]) -> list[Point]:
    """Points of moments and values."""
    made: list[Point] = []
    for moment, value in values:
        add_value(made, value, moment, "Count", {})
    return made


def test_equal_values_of_one_second_are_one_point() -> None:
    (one, other) = points((10.1, 1.0), (10.9, 1.0), (10.95, 2.0))
    assert (one["Value"], one["Count"]) == (1.0, 2.0)
    assert (other["Value"], other["Count"]) == (2.0, 1.0)


def test_values_of_two_seconds_are_two_points() -> None:
    assert len(points((10.9, 1.0), (11.0, 1.0))) == 2


def test_scaled_time_has_points_of_less_than_a_second() -> None:
    made: list[Point] = []
    for moment in (10.11, 10.14, 10.21):
        add_value(made, 1.0, moment, "Count", {}, resolution=0.1)
    assert [point["Count"] for point in made] == [2.0, 1.0]


def test_statistic_set_that_somebody_published_gets_no_value() -> None:
    made: list[Point] = [{"Timestamp": 10.0, "Value": 1.0, "_stat": {"SampleCount": 5.0}}]
    add_value(made, 1.0, 10.5, "Count", {})
    assert len(made) == 2


def test_latency_is_off_by_one_percent_at_most() -> None:
    for value in (1.0, 37.0, 12_345.6, 9e6):
        assert rounded(value) == pytest.approx(value, rel=0.01)
    assert rounded(0.0) == 0.0


def test_values_of_the_last_minutes_stay_as_they_are() -> None:
    made = points((1_000, 1.0), (1_001, 1.0))
    assert compacted(made, 1_100) == made


def test_older_equal_values_of_a_minute_become_one_point() -> None:
    kept = compacted(points((960, 1.0), (970, 2.0), (980, 1.0), (2_000, 3.0)), 2_000)
    assert [(point["Timestamp"], point["Value"], point["Count"]) for point in kept] == [
        (960, 1.0, 2.0),
        (960, 2.0, 1.0),
        (2_000, 3.0, 1.0),
    ]


def test_values_of_an_hour_ago_become_one_statistic_set_a_minute() -> None:
    (kept,) = compacted(points((960, 1.0), (970, 4.0), (980, 1.0)), 960 + 2 * 3_600)
    assert kept["_stat"] == {"SampleCount": 3.0, "Sum": 6.0, "Minimum": 1.0, "Maximum": 4.0}


def test_values_of_many_hours_ago_are_dropped() -> None:
    assert compacted(points((960, 1.0)), 960 + 4 * 3_600) == []


def test_second_compaction_changes_nothing() -> None:
    made = points(*((960 + second, float(second % 7)) for second in range(5_000)))
    once = compacted(made, 6_000)
    assert compacted(once, 6_000) == once
    assert len(once) < 1_000
