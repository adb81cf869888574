"""How many adapters are asked at a time, beside how many a copy of the base model has room for.

Above `max_loras`, a request waits for a copy from CPU memory; above `max_cpu_loras`, for a read from the
disk. Both waits begin all at once: if adapters are asked in turn, the one that was evicted for the last
request is the next to be asked.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from adapters_cli.aws.component_metrics import ComponentMetrics
from adapters_cli.fleets.tiers import LoraLimits
from adapters_cli.output.text import counted

NEAR = 0.8
"""The share of a limit from which on a working set is near it."""

_SHORT_SECONDS = 3 * 3600.0
"""Up to this span, minutes are counted; beyond it, five minutes at a time."""


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
    def read(
        cls, metrics: ComponentMetrics, components: Iterable[str], start: float, end: float
    ) -> "WorkingSet":
        """Read how many components were asked in each period."""
        period = 60 if end - start <= _SHORT_SECONDS else 300
        asked, sizes = set(), Counter[float]()
        begin = start // period * period
        for component, at, requests in metrics.requests(components, begin, end, period=period):
            if requests:
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

    def room(self, limit: int) -> Room:
        """Compare the usual number with a limit."""
        if self.usual > limit:
            return Room.OUTGROWN
        return Room.NEAR if self.usual > NEAR * limit else Room.FITS


def advice(working: WorkingSet, limits: LoraLimits, adapters: int) -> Mapping[str, tuple[Room, str]]:
    """Return for each limit what the working set has of it, and the setting to change.

    A limit that holds all of the fleet's adapters has room whatever is asked.
    """
    found = {}
    for setting, limit, variable, wait in (
        ("max_loras", limits.max_loras, limits.variables.max_loras, "a copy from CPU memory"),
        ("max_cpu_loras", limits.max_cpu_loras, limits.variables.max_cpu_loras, "a read from the disk"),
    ):
        room = Room.FITS if limit >= adapters else working.room(limit)
        usual = counted(working.usual, "adapter")
        if room is Room.FITS:
            text = f"{limit} are enough for {usual} at a time"
        else:
            wanted = min(adapters, math.ceil(working.usual / NEAR))
            text = (
                f"{usual} at a time, and room for {limit}: beyond it, each request waits for {wait}; raise"
                f" {setting} ({variable}) to {wanted}"
            )
        found[setting] = (room, text)
    return found
