"""How many adapters are asked at a time, beside how many a copy of the base model has room for.

Above `max_loras`, a request waits for a copy from CPU memory; above `max_cpu_loras`, for a read from the
disk. Both waits begin all at once: if adapters are asked in turn, the one that was evicted for the last
request is the next to be asked.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

NEAR = 0.8
"""The share of a limit from which on a working set is near it."""

PERIOD = 60
"""Seconds of the periods that are counted."""

SHORT_SECONDS = 3 * 3600.0
"""How far a count looks back."""


@dataclass(frozen=True, kw_only=True)
class WorkingSet:
    """The numbers of adapters that were asked in each period.

    sizes:
        One number for each period with a request, in ascending order.
    """

    sizes: tuple[int, ...]

    @classmethod
    def of(cls, requests: Iterable[tuple[str, float, float]]) -> "WorkingSet":
        """Count how many components were asked in each period: name, begin of the period, requests."""
        sizes = Counter(at for _, at, count in requests if count)
        return cls(sizes=tuple(sorted(sizes.values())))

    @property
    def usual(self) -> int:
        """The number that 95 % of the periods do not exceed; 0 without a period."""
        return self.sizes[math.ceil(len(self.sizes) * 95 / 100) - 1] if self.sizes else 0

    def use(self, limit: int, adapters: int) -> float:
        """Return the share of a limit that the usual number takes.

        0 if the limit has room for all of the fleet's adapters: then no request waits, whatever is asked.
        """
        return 0.0 if limit >= adapters else self.usual / limit
