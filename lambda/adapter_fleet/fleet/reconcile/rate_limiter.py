"""How fast to call: at an even rate that halves when the service throttles, and slowly recovers."""

from random import Random

LOWEST_RATE = 0.5
"""Calls a second that are always tried."""

_RECOVERY_SHARE = 0.02
_CATCH_UP_SECONDS = 0.5
_LONGEST_BACKOFF_SECONDS = 20.0
_MOST_DOUBLINGS = 10


class Pace:
    """The times at which calls may begin.

    rate, ceiling:
        Calls a second: at first, and at most.
    """

    def __init__(self, *, ceiling: float, rate: float | None, random: Random) -> None:
        self.ceiling = ceiling
        self.rate = min(rate, ceiling) if rate is not None else ceiling
        self._random = random
        self._next = 0.0
        self._halved_at = float("-inf")
        self._throttles = 0

    def wait(self, now: float) -> float:
        """Return the seconds until the next call may begin."""
        return max(0.0, self._next - now)

    def begin(self, now: float) -> None:
        """Note that a call begins."""
        # From the time at which it was due, so that a late one does not slow down all that follow; but never
        # so far back that a pause is made up for in a burst: limits store a second's worth of calls or so.
        self._next = max(self._next, now - max(_CATCH_UP_SECONDS, 1 / self.rate)) + 1 / self.rate

    def went_well(self) -> None:
        """Note that a call was taken: the rate rises by a fiftieth of the ceiling."""
        self._throttles = 0
        self.rate = min(self.ceiling, self.rate + self.ceiling * _RECOVERY_SHARE)

    def throttled(self, now: float) -> None:
        """Note that a call was refused as one too many: half the rate, after a random pause.

        Calls that were under way together count once.
        """
        if now - self._halved_at >= 1.0:
            self._halved_at = now
            self._throttles += 1
            self.rate = max(LOWEST_RATE, self.rate / 2)
        longest = min(_LONGEST_BACKOFF_SECONDS, 2.0 ** min(self._throttles - 1, _MOST_DOUBLINGS))
        self._next = max(self._next, now + self._random.uniform(0, longest))
