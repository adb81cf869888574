import math
import random

import numpy as np
import pytest

from adapters_cli.load.latency_requirement import LatencyOutcome, LatencyRequirement
from adapters_cli.load.latency_statistics import Estimate, Total, percentile, student


def test_percentiles_are_numpy_s() -> None:
    source = random.Random(1)
    values = [source.lognormvariate(0, 0.5) for _ in range(137)]
    for number in (1, 50, 90, 99):
        assert percentile(sorted(values), number / 100) == pytest.approx(np.percentile(values, number))


def rounds_of(seed: int, *, count: int, slow: float) -> tuple[list[list[float]], list[list[float]]]:
    """Latencies of adapters and base, on a machine whose speed changes from round to round.

    `slow` is the share of the adapters' answers that take four times as long, as those that wait for a slot.
    """
    source = random.Random(seed)
    own, base = [], []
    for _ in range(count):
        speed = source.lognormvariate(0, 0.4)
        times = [speed * source.lognormvariate(0, 0.2) for _ in range(40)]
        own.append([time * (4 if source.random() < slow else 1) for time in times[:20]])
        base.append(times[20:])
    return own, base


def totals(rounds: list[list[float]]) -> list[Total]:
    return [(sum(each), len(each)) for each in rounds]


@pytest.mark.slow
@pytest.mark.parametrize("slow", [0.0, 0.3])
@pytest.mark.parametrize("count", [3, 8, 40])
def test_interval_of_a_ratio_of_means_holds_the_true_one_though_rounds_differ(
    count: int, slow: float
) -> None:
    held = 0
    for seed in range(400):
        own, base = rounds_of(seed, count=count, slow=slow)
        found = Estimate.of_totals(totals(own), totals(base))
        assert found is not None
        held += found.low is not None and found.high is not None and found.low <= 1 + 3 * slow <= found.high
    assert 0.92 <= held / 400 <= 0.985


def test_what_slows_both_sides_of_a_round_down_does_not_widen_a_ratio() -> None:
    own, base = rounds_of(1, count=12, slow=0.0)
    for together, apart in (
        (Estimate.of_totals(totals(own), totals(base)), Estimate.of_totals(totals(own), totals(base[::-1]))),
        (Estimate.of_percentile(0.5, own, base), Estimate.of_percentile(0.5, own, base[::-1])),
    ):
        assert together is not None
        assert apart is not None
        assert width(together) < 0.6 * width(apart)


def width(found: Estimate) -> float:
    assert found.low is not None
    assert found.high is not None
    return math.log(found.high / found.low)


def test_quotient_of_nothing_or_by_nothing_is_none_and_that_of_one_round_has_no_interval() -> None:
    assert Estimate.of_totals([]) is Estimate.of_totals([(0.0, 1.0)]) is None
    assert (
        Estimate.of_totals([(1.0, 1.0)], [(0.0, 1.0)]) is Estimate.of_percentile(0.5, [[1.0]], [[]]) is None
    )
    assert Estimate.of_percentile(0.5, [[1.0]], [[0.0]]) is Estimate.of_percentile(0.5, []) is None
    assert Estimate.of_totals([(3.0, 2.0)]) == Estimate(value=1.5, low=None, high=None)
    assert Estimate.of_totals([(3.0, 2.0)], [(1.0, 2.0)]) == Estimate(value=3.0, low=None, high=None)
    assert Estimate.of_percentile(0.5, [[3.0]], [[2.0]]) == Estimate(value=1.5, low=None, high=None)


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, 12.706205), (2, 4.302653), (3, 3.182446), (4, 2.776445), (24, 2.063899)],
)
def test_quantiles_are_those_of_student_s_t(freedom: int, quantile: float) -> None:
    assert student(freedom) == pytest.approx(quantile, abs=5e-4)


def test_quantile_beyond_the_table_is_wider() -> None:
    assert 1.983972 < student(100) == student(24)


def judged(text: str, value: float, low: float | None, high: float | None) -> LatencyOutcome:
    return LatencyRequirement.parse(text).judge(Estimate(value=value, low=low, high=high))


@pytest.mark.parametrize(
    ("rule", "own", "base", "verdict"),
    [
        ("request_error_rate <= base", (0, 100), (0, 100), "met"),
        ("request_error_rate <= base", (1, 100), (0, 100), "undecided"),
        ("request_error_rate <= base", (7, 100), (1, 100), "undecided"),
        ("request_error_rate <= base", (9, 100), (1, 100), "missed"),
        ("request_error_rate <= base * 9", (9, 100), (1, 100), "met"),
        ("request_error_rate <= 1", (1, 100), (0, 0), "met"),
        ("request_error_rate <= 1%", (1, 100), (0, 0), "met"),
        ("request_error_rate <= 1", (3, 100), (0, 0), "undecided"),
        ("request_error_rate <= 1", (4, 100), (0, 0), "missed"),
        ("request_error_rate <= 0", (1, 100), (0, 0), "missed"),
    ],
)
def test_failures_beyond_the_bound_miss_it_where_they_are_no_chance(
    rule: str, own: tuple[int, int], base: tuple[int, int], verdict: str
) -> None:
    outcome = LatencyRequirement.parse(rule).judge_errors(own, base)
    assert outcome.verdict == verdict


@pytest.mark.parametrize(
    ("text", "low", "high", "verdict"),
    [
        ("request_latency.p50 <= base * 1.10", 1.0, 1.10, "met"),
        ("request_latency.p50 <= base * 1.10", 1.0, 1.11, "undecided"),
        ("request_latency.p50 <= base * 1.10", 1.11, 1.2, "missed"),
        ("request_latency.p50<=base+10%", 1.0, 1.09, "met"),
        ("output_token_throughput >= base - 10%", 0.9, 1.0, "met"),
        ("output_token_throughput >= base - 10%", 0.8, 0.89, "missed"),
        ("time_to_first_token.p90 < 10", None, 9.0, "met"),
        ("time_to_first_token.p90 < 10", 9.0, None, "undecided"),
        ("request_throughput > 20", None, None, "undecided"),
    ],
)
def test_both_ends_of_a_figure_s_interval_are_held_against_the_bound(
    text: str, low: float | None, high: float | None, verdict: str
) -> None:
    outcome = judged(text, 1.0, low, high)
    assert outcome.verdict == verdict


def test_reason_has_the_figure_and_its_interval() -> None:
    assert judged("request_latency.p50 <= base * 1.10", 1.05, 1.0, 1.3).reason == (
        "request_latency.p50 is 1.050 times the base's, between 1.000 and 1.300"
    )
    assert judged("request_latency.p90 <= 20", 12.0, 10.5, None).reason == (
        "request_latency.p90 is 12, between 10.5 and ?"
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("request_latency.p50 <= base + 10", "a requirement should be like"),
        ("request_latency.p50 <= 10%", "a requirement should be like 'request_latency.p50 <= base \\* 1.10'"),
        ("request_latenci.p50 <= base", "should be one of .*, got 'request_latenci.p50'; did you mean"),
        ("request_latency.p99 <= base", "a requirement's figure should be one of time_to_first_token.p50, "),
        ("request_throughput.p50 >= 3", "should be one of .*, got 'request_throughput.p50'; did you mean"),
        ("request_error_rate <= base + 10%", "a requirement should be like"),
    ],
)
def test_text_that_is_no_requirement_is_refused_with_what_is(text: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        LatencyRequirement.parse(text)
