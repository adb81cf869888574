"""The check of who answers for an adapter: how many requests it takes, and how far it is.

A request reaches one copy of the base model, and SageMaker picks it. So a copy that has another adapter, or
none, is found with a probability only.
"""

import math
from dataclasses import dataclass, replace

from adapter_fleet.manifest.desired import Artifact, Probe

MAX_MISS = 0.005
"""The chance that the requests of one series miss a given copy. A wrong answer has to come again in a second
series, so that one faulty copy of several stays unseen with a chance below 1 %."""

MAX_REQUESTS = 60
"""The most requests of a series. They hold `MAX_MISS` for 11 copies; 20 copies are missed with 5 %."""


def requests_for(copies: int) -> int:
    """Return how many requests a series has for so many copies: 1, 8, 14, 19, 24 and so on."""
    if copies <= 1:
        return 1
    return min(MAX_REQUESTS, math.ceil(math.log(MAX_MISS) / math.log((copies - 1) / copies)))


def chance_to_miss(copies: int, requests: int) -> float:
    """Return the chance that so many requests miss a given copy, if each goes to a random one."""
    return 0.0 if copies <= 1 and requests else ((copies - 1) / copies) ** requests


@dataclass(frozen=True, kw_only=True)
class ProbeCheck:
    """What is known of who answers for an adapter. The registry stores it.

    artifact, probe:
        What was asked about, and the digest of the probe; None for the weaker check, which compares the
        adapter's answer to its smoke request with the base model's.
    copies:
        The copies of the base model when the series began.
    right:
        How many requests of the series got the right answer.
    suspected:
        True if an answer of the series before was wrong.
    resent:
        True if the artifact was sent again because another answered, and nothing is proven since.
    ended:
        When a series last ended with right answers alone.
    like_base:
        For the weaker check: True if the base model gives the same answer; None if one of them gave none.
    """

    artifact: Artifact
    probe: str | None = None
    copies: int = 1
    right: int = 0
    suspected: bool = False
    resent: bool = False
    ended: float | None = None
    like_base: bool | None = None

    def is_of(self, artifact: Artifact, probe: Probe) -> bool:
        """Return True if this is about the artifact and its present probe."""
        return self.probe == probe.digest and self.artifact.same_as(artifact)

    @property
    def awaits_comparison(self) -> bool:
        """True if the weaker check is still to be made."""
        return self.probe is None and self.ended is None

    @property
    def is_complete(self) -> bool:
        """True if the series has ended with right answers alone."""
        return self.probe is not None and self.right >= requests_for(self.copies)

    def begin_again(self) -> "ProbeCheck":
        """Return the check before the first request of a new series."""
        return replace(self, right=0, suspected=False)
