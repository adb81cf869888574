"""How many requests a check takes, and with what chance it misses a copy."""

from __future__ import annotations

import random

import pytest

from adapter_fleet.fleet.state.probe_check import MAX_REQUESTS, chance_to_miss, requests_for


@pytest.mark.parametrize("copies", range(2, 12))
def test_both_series_together_miss_a_copy_with_less_than_one_percent(copies: int) -> None:
    assert 1 - (1 - chance_to_miss(copies, requests_for(copies))) ** 2 < 0.01
    assert requests_for(copies) <= MAX_REQUESTS


@pytest.mark.parametrize(("copies", "requests"), [(1, 1), (2, 8), (3, 14), (4, 19), (5, 24), (8, 40)])
def test_requests_are_the_fewest_that_hold_the_chance(copies: int, requests: int) -> None:
    assert requests_for(copies) == requests
    assert copies == 1 or chance_to_miss(copies, requests - 1) > 0.005


def test_bound_holds_for_any_number_of_copies() -> None:
    assert {requests_for(copies) for copies in range(12, 1000)} == {MAX_REQUESTS}
    assert chance_to_miss(20, MAX_REQUESTS) == pytest.approx(0.046, abs=0.001)


def test_chance_is_the_one_that_random_routing_has() -> None:
    source, runs = random.Random(1), 20_000
    missed = sum(all(source.randrange(3) for _ in range(5)) for _ in range(runs))
    assert missed / runs == pytest.approx(chance_to_miss(3, 5), abs=0.01)
