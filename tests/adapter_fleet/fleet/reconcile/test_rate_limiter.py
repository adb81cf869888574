"""Calls begin at an even rate, which throttling halves and which recovers slowly."""

from random import Random

import pytest

from adapter_fleet.fleet.reconcile.rate_limiter import CallLimits, RateLimiter
from adapter_fleet.fleet.state.configuration import MIN_RATE
from adapter_fleet.fleet.state.sagemaker_port import ThrottledError, UnansweredError
from tests.adapter_fleet.fake_service import FakeClock


def limiter(rate: float | None = None) -> RateLimiter:
    return RateLimiter(ceiling=10.0, rate=rate, random=Random(1))


def begun(limiter: RateLimiter, seconds: float, *, step: float = 0.01) -> int:
    """Begin a call whenever one may begin; return how many began."""
    count, now = 0, 0.0
    while now < seconds:
        if limiter.next_at <= now:
            limiter.begin(now)
            count += 1
        now += step
    return count


def test_calls_begin_at_the_rate() -> None:
    assert 99 <= begun(limiter(), 10.0) <= 101


def test_call_that_was_not_sent_leaves_its_turn_to_the_next() -> None:
    calls = limiter()
    calls.begin(0.0)
    calls.begin(first := calls.next_at)
    calls.succeeded(sent=False)
    assert calls.next_at == pytest.approx(first)
    calls.throttled(first)
    paused = calls.next_at
    calls.succeeded(sent=False)
    assert calls.next_at == paused > first


def test_limiter_catches_up_on_half_a_second_of_a_pause() -> None:
    calls = limiter()
    calls.begin(0.0)
    count = 0
    while calls.next_at <= 100.0:
        calls.begin(100.0)
        count += 1
    assert 5 <= count <= 6


def test_calls_throttled_within_a_second_halve_the_rate_once() -> None:
    calls = limiter()
    calls.throttled(0.0)
    calls.throttled(0.1)
    assert calls.rate == 5.0


def test_rate_recovers_slowly_up_to_the_ceiling() -> None:
    calls = limiter()
    calls.throttled(0.0)
    calls.succeeded()
    assert 5.0 < calls.rate < 5.5
    for _ in range(1000):
        calls.succeeded()
    assert calls.rate == 10.0


def test_throttling_never_lowers_the_rate_below_the_lowest_nor_raises_one_that_is_below() -> None:
    calls, slow = limiter(), RateLimiter(ceiling=0.1, rate=None, random=Random(1))
    for second in range(0, 100, 2):
        calls.throttled(float(second))
    slow.throttled(0.0)
    assert (calls.rate, slow.rate) == (MIN_RATE, 0.1)


def limits() -> CallLimits:
    return CallLimits(write_ceiling=10.0, write_rate=None, clock=FakeClock(), random=Random(1))


def pause(limits: CallLimits) -> float:
    """Meet a conflict; return how long writes pause after it."""
    limits.paused_until = 0.0
    limits.pause_after_conflict()
    return limits.paused_until - FakeClock().now()


def test_pause_after_a_conflict_grows_to_ten_seconds_and_starts_again_after_a_write() -> None:
    met = limits()
    seconds = [pause(met) for _ in range(10)]
    assert 0.2 <= seconds[0] <= 1.0
    assert all(2.0 <= later <= 10.0 for later in seconds[4:])
    met.write_accepted()
    assert 0.2 <= pause(met) <= 1.0


def test_only_throttles_are_counted() -> None:
    met = limits()
    met.back_off(ThrottledError("Rate exceeded"), met.reads)
    met.back_off(UnansweredError("timeout"), met.reads)
    assert met.throttles == 1
    assert limits().throttles == 0
