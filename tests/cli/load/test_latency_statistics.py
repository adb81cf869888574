from __future__ import annotations

import random

import numpy as np
import pytest

from adapters_cli.load.latency_statistics import Distribution, Ratio, percentile_interval


def lognormal(count: int, seed: int, scale: float = 1.0) -> list[float]:
    source = random.Random(seed)
    return [scale * source.lognormvariate(0, 0.5) for _ in range(count)]


def test_percentiles_are_numpy_s() -> None:
    values = lognormal(137, 1)
    found = Distribution.of("ms", values)
    assert found is not None
    for number, value in found.percentiles.items():
        assert value == pytest.approx(np.percentile(values, number))
    assert found.avg == pytest.approx(float(np.mean(values)))
    assert found.std == pytest.approx(float(np.std(values)))
    assert (found.min, found.max, found.count, found.unit) == (min(values), max(values), 137, "ms")
    assert Distribution.of("ms", []) is None


@pytest.mark.parametrize(("share", "true"), [(0.5, 1.0), (0.9, 1.8980)])
def test_intervals_of_percentiles_hold_the_true_one_in_about_95_of_100_samples(
    share: float, true: float
) -> None:
    held = 0
    for seed in range(400):
        low, high = percentile_interval(sorted(lognormal(100, seed)), share)
        held += (low is None or low <= true) and (high is None or true <= high)
    assert 0.93 <= held / 400 <= 0.99


@pytest.mark.parametrize(("count", "ends"), [(100, 1), (368, 2), (6_000, 2)])
def test_interval_of_a_high_percentile_has_an_upper_end_if_there_are_many_values(
    count: int, ends: int
) -> None:
    interval = percentile_interval(sorted(lognormal(count, 1)), 0.99)
    found = [end for end in interval if end is not None]
    assert (len(found), interval[0] is not None) == (ends, True)
    assert found == sorted(set(found))


def rounds_of(
    seed: int, *, ratio: float, count: int = 8, size: int = 12
) -> list[tuple[list[float], list[float]]]:
    """Rounds on a machine whose speed changes from round to round, and a little within one."""
    source, found = random.Random(seed), []
    for number in range(count):
        speed = source.lognormvariate(0, 0.4)
        own, others = (source.lognormvariate(0, 0.2) * speed for _ in range(2))
        found.append(
            (
                lognormal(size, 1_000 * seed + number, scale=ratio * own),
                lognormal(size, 1_000 * seed + 500 + number, scale=others),
            )
        )
    return found


@pytest.mark.parametrize("count", [2, 3, 8])
def test_interval_of_a_ratio_holds_the_true_one_though_the_machine_s_speed_changes(count: int) -> None:
    held = 0
    for seed in range(400):
        found = Ratio.of(rounds_of(seed, ratio=1.1, count=count))
        assert found is not None
        held += found.low <= 1.1 <= found.high
    assert 0.92 <= held / 400 <= 0.98


def test_ratio_does_not_see_what_slows_both_sides_of_a_round() -> None:
    steady = [(lognormal(12, number, scale=1.1), lognormal(12, 50 + number)) for number in range(8)]
    slowed = [
        ([value * (1 + number) for value in own], [value * (1 + number) for value in others])
        for number, (own, others) in enumerate(steady)
    ]
    first, second = Ratio.of(steady), Ratio.of(slowed)
    assert first is not None
    assert second is not None
    assert (first.value, first.low, first.high) == pytest.approx((second.value, second.low, second.high))


@pytest.mark.parametrize(("values", "others"), [([], [1.0]), ([1.0], []), ([1.0], [0.0])])
def test_ratio_of_nothing_or_by_nothing_or_of_one_round_is_none(
    values: list[float], others: list[float]
) -> None:
    assert Ratio.of([(values, others)] * 2) is None
    assert Ratio.of([([1.1], [1.0])]) is None
