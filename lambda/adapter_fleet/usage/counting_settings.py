"""The settings of the function that counts the use of a fleet's adapters."""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

FLEET, ADAPTER = "Fleet", "Adapter"
"""Dimensions of the metrics. The key of a tag is one, too."""


class UsageMetric(StrEnum):
    """A metric that the function publishes."""

    ADAPTERS_AT_A_TIME = "AdaptersAtATime"
    MAX_CPU_LORAS_USE = "MaxCpuLorasUse"
    MAX_LORAS_USE = "MaxLorasUse"
    REQUESTS = "Requests"


NEAR = 0.8
"""The share of `max_loras` or `max_cpu_loras` from which on it is about to be outgrown."""

SHORT_SECONDS = 3 * 3600.0
"""How far back the adapters that are asked at a time are counted."""

_NO_TAGS = frozenset({FLEET, ADAPTER, *UsageMetric, "_aws"})
"""Names of dimensions and metrics. A line in the embedded metric format has each name once."""

_MOST_TAGS = 5


@dataclass(frozen=True, kw_only=True)
class CountingSettings:
    """What is counted.

    by:
        Keys of tags. Each value of each of them has metrics of its own.
    per_adapter:
        Whether each adapter has metrics of its own.
    max_loras, max_cpu_loras:
        How many adapters a copy of the base model has room for; None if it is not known.
    """

    by: tuple[str, ...] = ()
    per_adapter: bool = False
    max_loras: int | None = None
    max_cpu_loras: int | None = None

    def __post_init__(self) -> None:
        if len(self.by) > _MOST_TAGS:
            raise ValueError(f"'by' should be at most {_MOST_TAGS} keys of tags, got {len(self.by)}")
        for key in self.by:
            # CloudWatch takes no other names of dimensions.
            if not key.strip() or not key.isascii() or key.startswith(":") or key in _NO_TAGS:
                raise ValueError(
                    f"'by' should be keys of tags, in ASCII and none of {', '.join(sorted(_NO_TAGS))}, got"
                    f" {key!r}"
                )
        if twice := [key for key, count in Counter(self.by).items() if count > 1]:
            raise ValueError(f"'by' should have each key once, got {twice[0]!r} twice")
