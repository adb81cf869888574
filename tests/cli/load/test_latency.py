from __future__ import annotations

import random

import numpy as np
import pytest

from adapters_cli.load.latency_requirement import LatencyRequirement
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


def judged(
    text: str, figure: float | None, base: float | None, *, comparable: bool = True
) -> tuple[bool, str]:
    outcome = LatencyRequirement.parse(text).judge(figure, base, level="1 at once", comparable=comparable)
    return outcome.met, outcome.reason


@pytest.mark.parametrize(
    ("text", "figure", "met"),
    [
        ("request_latency.p50 <= base * 1.10", 11.0, True),
        ("request_latency.p50 <= base * 1.10", 11.1, False),
        ("request_latency.p50<=base+10%", 11.0, True),
        ("request_latency.p50 <= base + 10%", 11.1, False),
        ("output_token_throughput >= base - 10%", 9.0, True),
        ("output_token_throughput >= base - 10%", 8.9, False),
        ("request_error_rate <= 1%", 1.0, True),
        ("request_error_rate <= 1", 1.1, False),
        ("time_to_first_token.p99 < base", 10.0, False),
        ("request_throughput > 20", 10.0, False),
    ],
)
def test_figure_is_held_against_a_number_or_the_base_s_figure_of_10(
    text: str, figure: float, met: bool
) -> None:
    assert judged(text, figure, 10.0)[0] is met


@pytest.mark.parametrize(
    ("figure", "base", "comparable", "reason"),
    [
        (12.0, 10.0, True, "request_latency.p50 is 12, 1.200 times the base's 10"),
        (
            1.0,
            10.0,
            False,
            "base and adapters wrote answers of different lengths, so their times do not compare",
        ),
        (None, 1.0, True, "request_latency.p50 was not measured"),
        (1.0, None, True, "request_latency.p50 of the base was not measured"),
    ],
)
def test_reason_has_both_figures_or_what_keeps_them_from_being_compared(
    figure: float | None, base: float | None, comparable: bool, reason: str
) -> None:
    assert judged("request_latency.p50 <= base * 1.10", figure, base, comparable=comparable) == (
        False,
        reason,
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("request_latency.p50 <= base + 10", "a requirement should be like"),
        ("request_latency.p50 <= 10%", "a requirement should be like 'request_latency.p50 <= base \\* 1.10'"),
        ("request_latenci.p50 <= base", "should be one of .*, got 'request_latenci'; did you mean"),
        ("request_latency.p51 <= base", "a requirement's statistic should be one of avg, "),
        ("request_throughput.p50 >= 3", "a requirement's statistic should be one of avg, got 'p50'"),
    ],
)
def test_text_that_is_no_requirement_is_refused_with_what_is(text: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        LatencyRequirement.parse(text)


@pytest.mark.parametrize(("value", "met"), [(1.05, True), (1.2, False)])
def test_ratio_of_the_rounds_counts_more_than_the_figures_of_the_whole(value: float, met: bool) -> None:
    rule = LatencyRequirement.parse("request_latency.p50 <= base * 1.10")
    ratio = Ratio(value=value, low=1.0, high=1.3)
    outcome = rule.judge(11.5, 10.0, level="1 at once", comparable=True, ratio=ratio)
    assert outcome.met is met
    assert f"{value:.3f} times the base's, 95 % interval 1.000 to 1.300" in outcome.reason
    of_others = LatencyRequirement.parse("request_latency.p99 <= base * 1.10")
    assert not of_others.judge(11.5, 10.0, level="1 at once", comparable=True, ratio=ratio).met
