"""The clock, which tests replace by a faster one."""

import time


class Clock:
    """Tells the time and waits."""

    def now(self) -> float:
        """Return the seconds since 1970."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait; not at all for a negative time."""
        time.sleep(max(0.0, seconds))
