"""The machine's clock; tests replace it."""

import asyncio
import time


class Clock:
    """Returns the time and waits."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait; 0 lets other tasks run."""
        await asyncio.sleep(seconds)
