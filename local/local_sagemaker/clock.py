"""The control plane's clock; tests replace it."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Returns the time and waits."""

    def now(self) -> float:
        """Seconds since the epoch."""

    async def sleep(self, seconds: float) -> None:
        """Wait; 0 lets other tasks run."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait; 0 lets other tasks run."""
        await asyncio.sleep(seconds)
