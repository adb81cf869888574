"""Time as the control plane sees it; tests put a clock of their own in its place."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Where the time comes from and how to wait."""

    def now(self) -> float:
        """Seconds since the epoch."""

    async def sleep(self, seconds: float) -> None:
        """Wait; 0 gives other tasks a turn."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait; 0 gives other tasks a turn."""
        await asyncio.sleep(seconds)
