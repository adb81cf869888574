"""When calls may begin: at an even rate that halves when the service throttles, and slowly recovers."""

from random import Random

from adapter_fleet.common.clock import Clock
from adapter_fleet.fleet.state.configuration import MIN_RATE, READ_RATE
from adapter_fleet.fleet.state.sagemaker_port import ThrottledError

_RECOVERY_SHARE = 0.02
_CATCH_UP_SECONDS = 0.5
_MAX_BACKOFF_SECONDS = 20.0
_MAX_DOUBLINGS = 10
_MAX_CONFLICT_SECONDS = 10.0
_LOST_ANSWER_SECONDS = 0.5


class RateLimiter:
    """Spreads calls evenly over time.

    rate, ceiling:
        Calls a second: the current rate, and the highest.
    """

    def __init__(self, *, ceiling: float, rate: float | None, random: Random) -> None:
        self.ceiling = ceiling
        self.rate = min(rate, ceiling) if rate is not None else ceiling
        self._random = random
        self._next = self._paused_until = 0.0
        self._halved_at = float("-inf")
        self._throttles = 0

    @property
    def next_at(self) -> float:
        """When the next call may begin."""
        return self._next

    def begin(self, now: float) -> None:
        """Note that a call begins."""
        # The next call is due one interval after this one was due, so that a late call does not slow down the
        # rest. After a pause the limiter catches up on half a second at most: a service's limit stores about
        # a second's worth of calls, and a longer burst would be throttled.
        self._next = max(self._next, now - max(_CATCH_UP_SECONDS, 1 / self.rate)) + 1 / self.rate

    def succeeded(self, *, sent: bool = True) -> None:
        """Raise the rate by a fiftieth of the ceiling after a call that was not throttled.

        One that was not sent leaves its turn to the next.
        """
        if not sent:
            self._next = max(self._paused_until, self._next - 1 / self.rate)
            return
        self._throttles = 0
        self.rate = min(self.ceiling, self.rate + self.ceiling * _RECOVERY_SHARE)

    def throttled(self, now: float) -> None:
        """Halve the rate after a call that was throttled, and pause for a random time.

        Calls that are throttled within a second halve the rate once.
        """
        if now - self._halved_at >= 1.0:
            self._halved_at = now
            self._throttles += 1
            self.rate = max(min(MIN_RATE, self.ceiling), self.rate / 2)
        longest = min(_MAX_BACKOFF_SECONDS, 2.0 ** min(self._throttles - 1, _MAX_DOUBLINGS))
        self._next = self._paused_until = max(self._next, now + self._random.uniform(0, longest))


class CallLimits:
    """When reads and writes may begin: two rates, and pauses after writes that the service did not take.

    throttles:
        How many calls the service throttled in this pass.
    """

    def __init__(
        self, *, write_ceiling: float, write_rate: float | None, clock: Clock, random: Random
    ) -> None:
        self.reads = RateLimiter(ceiling=READ_RATE, rate=None, random=random)
        self.writes = RateLimiter(ceiling=write_ceiling, rate=write_rate, random=random)
        self.throttles = 0
        self.paused_until = 0.0
        self._conflicts = 0
        self._clock, self._random = clock, random

    def back_off(self, error: Exception, limiter: RateLimiter) -> None:
        """Slow down after a call that was throttled or got no answer."""
        if isinstance(error, ThrottledError):
            self.throttles += 1
        limiter.throttled(self._clock.now())

    @property
    def next_write_at(self) -> float:
        """When the next write may begin."""
        return max(self.writes.next_at, self.paused_until)

    def pause_after_lost_answer(self) -> None:
        """Pause writes after a call without an answer."""
        self._pause(_LOST_ANSWER_SECONDS)

    def pause_after_conflict(self) -> None:
        """Pause writes after one that was refused for now; longer after each conflict in a row."""
        self._conflicts += 1
        longest = min(2.0 ** min(self._conflicts - 1, _MAX_DOUBLINGS), _MAX_CONFLICT_SECONDS)
        self._pause(self._random.uniform(0.2, 1.0) * longest)

    def write_accepted(self) -> None:
        """Note that the service took a write: the next conflict is the first in a row."""
        self._conflicts = 0

    def _pause(self, seconds: float) -> None:
        self.paused_until = max(self.paused_until, self._clock.now() + seconds)
