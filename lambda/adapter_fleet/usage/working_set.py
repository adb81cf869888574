"""How many adapters are asked at a time, beside how many a copy of the base model has room for.

Above `max_loras`, a request waits for a copy from CPU memory; above `max_cpu_loras`, for a read from the
disk. Both waits begin all at once: if adapters are asked in turn, the one that was evicted for the last
request is the next to be asked.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

NEAR = 0.8
"""The share of a limit from which on a working set is near it."""

SHORT_SECONDS = 3 * 3600.0
"""Up to this span, minutes are counted; beyond it, five minutes at a time."""


def period_of(seconds: float) -> int:
    """Return the length of the periods that are counted in a span of so many seconds."""
    return 60 if seconds <= SHORT_SECONDS else 300


class Room(StrEnum):
    """What a working set has of the room for it."""

    FITS = "fits"
    NEAR = "near"
    OUTGROWN = "outgrown"


@dataclass(frozen=True, kw_only=True)
class WorkingSet:
    """The numbers of adapters that were asked in each period.

    asked:
        All adapters that were asked.
    period:
        Its length in seconds.
    sizes:
        One number for each period with a request, in ascending order.
    """

    asked: int
    period: int
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, requests: Iterable[tuple[str, float, float]], *, period: int) -> "WorkingSet":
        """Count how many components were asked in each period: name, begin of the period, requests."""
        asked, sizes = set(), Counter[float]()
        for component, at, count in requests:
            if count:
                asked.add(component)
                sizes[at] += 1
        return cls(asked=len(asked), period=period, sizes=tuple(sorted(sizes.values())))

    def percentile(self, percent: int) -> int:
        """Return the number that so many percent of the periods do not exceed; 0 without a period."""
        if not self.sizes:
            return 0
        return self.sizes[max(0, math.ceil(len(self.sizes) * percent / 100) - 1)]

    @property
    def usual(self) -> int:
        """The number that 95 % of the periods do not exceed."""
        return self.percentile(95)

    def use(self, limit: int, adapters: int) -> float:
        """Return the share of a limit that the usual number takes.

        0 if the limit has room for all of the fleet's adapters: then no request waits, whatever is asked.
        """
        return 0.0 if limit >= adapters else self.usual / limit

    def room(self, limit: int, adapters: int) -> Room:
        """Compare the usual number with a limit."""
        use = self.use(limit, adapters)
        if use > 1:
            return Room.OUTGROWN
        return Room.NEAR if use > NEAR else Room.FITS
