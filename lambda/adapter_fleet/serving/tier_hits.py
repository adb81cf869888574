"""The share of requests that find their adapter in each memory tier."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp


@dataclass(frozen=True, kw_only=True)
class TierHits:
    """Shares of requests by the tier in which their adapter is when they come. They add up to 1."""

    gpu: float
    cpu: float
    disk: float

    @classmethod
    def of(cls, shares: Sequence[float], *, max_loras: int, max_cpu_loras: int) -> "TierHits":
        """Predict the hits of requests that choose adapters independently, each with its share.

        The engine drops the least recently used adapter of each tier. CPU memory has those of the slots, too.
        """
        gpu = hit_share(shares, max_loras)
        in_memory = hit_share(shares, max(max_loras, max_cpu_loras))
        return cls(gpu=gpu, cpu=in_memory - gpu, disk=1 - in_memory)


def hit_share(shares: Sequence[float], slots: int) -> float:
    """Return the share of requests that find their adapter among so many least recently used slots.

    This is Che's approximation (Che, Tung and Wang, "Hierarchical web caching systems", 2002): an adapter
    stays for a time that is the same for all. It is exact if all shares are equal.
    """
    if slots >= len(shares):
        return 1.0
    stay = _root(lambda time: sum(1 - exp(-share * time) for share in shares) - slots)
    return sum(share * (1 - exp(-share * stay)) for share in shares)


def _root(rising: Callable[[float], float]) -> float:
    """Return where a rising function of a time is zero."""
    low, high = 0.0, 1.0
    while rising(high) < 0:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return high
