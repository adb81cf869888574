"""What a run may cost at most."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from verify_aws.budget import MOST_INSTANCES, TEARDOWN_MINUTES, Budget

BOUNDS: dict[str, Any] = {
    "price_per_hour": 2.0,
    "price_date": "2026-11-01",
    "cost_cap": 10.0,
    "time_limit_minutes": 90.0,
}


def test_highest_cost_has_every_instance_and_the_removal() -> None:
    budget = Budget(**BOUNDS)
    assert budget.highest_cost == 2.0 * MOST_INSTANCES * (90 + TEARDOWN_MINUTES) / 60
    assert "price of 2026-11-01" in budget.statement


def test_cap_that_is_too_small_is_refused_with_the_minutes_that_fit() -> None:
    with pytest.raises(ValueError, match="should be at most 120 with a cap of 10, got 121"):
        Budget(**BOUNDS | {"time_limit_minutes": 121})
    assert Budget(**BOUNDS | {"time_limit_minutes": 120}).highest_cost == 10.0


def test_cap_below_the_removal_leaves_no_time() -> None:
    with pytest.raises(ValueError, match="should be at most 0 with a cap of 1"):
        Budget(**BOUNDS | {"cost_cap": 1.0})


@pytest.mark.parametrize("name", ["price_per_hour", "cost_cap", "time_limit_minutes"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_bound_that_bounds_nothing_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"'{name}' should be above 0"):
        Budget(**BOUNDS | {name: value})


@pytest.mark.parametrize(
    "day", ["", "yesterday", "2026-13-01", "26-11-01", (date.today() + timedelta(days=2)).isoformat()]
)
def test_price_without_its_day_is_refused(day: str) -> None:
    with pytest.raises(ValueError, match="'price_date' should be a day up to today"):
        Budget(**BOUNDS | {"price_date": day})
