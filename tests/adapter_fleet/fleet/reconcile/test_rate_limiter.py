"""The rate of calls: even, halved by throttling, slow to recover."""

from random import Random

from adapter_fleet.fleet.reconcile.rate_limiter import LOWEST_RATE, Pace


def pace(rate: float | None = None) -> Pace:
    return Pace(ceiling=10.0, rate=rate, random=Random(1))


def begun(pace: Pace, seconds: float, *, step: float = 0.01) -> int:
    """Begin a call whenever one may; return how many."""
    count, now = 0, 0.0
    while now < seconds:
        if pace.wait(now) <= 0:
            pace.begin(now)
            count += 1
        now += step
    return count


def test_calls_begin_at_the_rate() -> None:
    assert 99 <= begun(pace(), 10.0) <= 101


def test_of_a_pause_half_a_second_is_made_up_for() -> None:
    calls = pace()
    calls.begin(0.0)
    count = 0
    while calls.wait(100.0) <= 0:
        calls.begin(100.0)
        count += 1
    assert 5 <= count <= 6


def test_throttling_halves_the_rate_once_for_calls_under_way_together() -> None:
    calls = pace()
    calls.throttled(0.0)
    calls.throttled(0.1)
    assert calls.rate == 5.0


def test_rate_recovers_slowly_up_to_the_ceiling() -> None:
    calls = pace()
    calls.throttled(0.0)
    calls.went_well()
    assert 5.0 < calls.rate < 5.5
    for _ in range(1000):
        calls.went_well()
    assert calls.rate == 10.0


def test_rate_does_not_sink_to_nothing() -> None:
    calls = pace()
    for second in range(0, 100, 2):
        calls.throttled(float(second))
    assert calls.rate == LOWEST_RATE


def test_rate_of_the_last_pass_is_kept_within_the_setting() -> None:
    assert pace(3.0).rate == 3.0
    assert pace(50.0).rate == 10.0
