from __future__ import annotations

from datetime import UTC, datetime

import pytest

from local_sagemaker.autoscaling.schedules import next_due

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


def test_cron_is_due_at_its_next_moment() -> None:
    assert due("cron(15 18 ? * MON-FRI *)") == "01 18:15:00"


@pytest.mark.parametrize("expression", ["rate(1)", "rate(0 days)", "cron(1 2 3)", "at(tomorrow)"])
def test_other_text_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="Invalid schedule expression"):
        due(expression)


def test_unknown_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="Invalid timezone: Mars/Base"):
        due("rate(1 day)", "Mars/Base")
