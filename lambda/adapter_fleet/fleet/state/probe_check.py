"""The check of who answers for an adapter: how many requests it takes, and what their answers show.

A request reaches one copy of the base model, and SageMaker picks it. So a copy that has another adapter, or
none, is found with a probability only. A healthy adapter may give a wrong answer now and then, too: on
another batch, or behind another nonce. docs/adr/0019-probes.md has the method, and the tests compute the
chances of both errors.
"""

import math
from dataclasses import dataclass, replace

from adapter_fleet.manifest.desired import Artifact, Probe

MAX_MISS = 0.005
"""The chance that the requests of the first series miss a given copy."""

MAX_REQUESTS = 60
"""The most requests of the first series. They hold `MAX_MISS` for 11 copies; one of 20 is missed with 5 %."""

MAX_REQUESTS_AFTER_A_WRONG_ANSWER = 600
"""The most requests of the second series. After these, nothing shows that a whole copy is wrong."""

_HEALTHY_ERROR = 0.02
"""The share of wrong answers that an adapter may give though every copy has it."""

_SMALLEST_SHARE = 0.05
"""The smallest share of the answers that a copy is taken to give. Less is too near `_HEALTHY_ERROR`."""

_FALSE_ALARM, _OVERSIGHT = 0.001, 0.004
"""The chances that the second series takes a healthy adapter for a wrong one, and the other way round."""

# Wald's sequential probability ratio test, between these two bounds of the logarithm.
_SURELY_WRONG = math.log((1 - _OVERSIGHT) / _FALSE_ALARM)
_SURELY_RIGHT = math.log(_OVERSIGHT / (1 - _FALSE_ALARM))


def requests_for(copies: int) -> int:
    """Return how many requests a series has at least for so many copies: 1, 8, 14, 19, 24 and so on."""
    if copies <= 1:
        return 1
    return min(MAX_REQUESTS, math.ceil(math.log(MAX_MISS) / math.log((copies - 1) / copies)))


def suspicion(copies: int, *, right: int, wrong: int) -> float:
    """Return how much likelier these answers are if one whole copy is wrong than if none is: a logarithm."""
    if copies <= 1 and right:
        return -math.inf  # the only copy has the adapter
    share = max(1 / max(1, copies), _SMALLEST_SHARE)
    answered_wrong = wrong * math.log(share / _HEALTHY_ERROR)
    return answered_wrong + (right * math.log((1 - share) / (1 - _HEALTHY_ERROR)) if right else 0.0)


@dataclass(frozen=True, kw_only=True)
class ProbeCheck:
    """What is known of who answers for an adapter. The registry stores it.

    artifact, probe:
        What was asked about, and the digest of the probe; None for the weaker check, which compares the
        adapter's answer to its smoke request with the base model's, and later with its own earlier answer.
    copies:
        The copies of the base model when the series began.
    right, wrong:
        How many requests of the series got the right answer, and a wrong one.
    suspected:
        True if an answer of the first series was wrong: this is the second one.
    resent:
        True if the artifact was sent again because another answered, and nothing is proven since.
    lacked:
        True if no copy had the adapter when a series last showed that it is wrong.
    ended:
        When a series last showed that the adapter itself answers.
    rebased:
        True if the base model changed since: the recorded answer may not be the right one any more.
    like_base:
        For the weaker check: True if the base model gives the same answer; None if one of them gave none.
    answer:
        For the weaker check: the digest of the answer's beginning; None while it is not known.
    """

    artifact: Artifact
    probe: str | None = None
    copies: int = 1
    right: int = 0
    wrong: int = 0
    suspected: bool = False
    resent: bool = False
    lacked: bool = False
    ended: float | None = None
    rebased: bool = False
    like_base: bool | None = None
    answer: str | None = None

    def is_of(self, artifact: Artifact, probe: Probe) -> bool:
        """Return True if this is about the artifact and its present probe."""
        return self.probe == probe.digest and self.artifact.same_as(artifact)

    @property
    def awaits_comparison(self) -> bool:
        """True if the weaker check is still to be made."""
        return self.probe is None and self.ended is None

    @property
    def asked(self) -> int:
        """How many requests of the series had an answer."""
        return self.right + self.wrong

    @property
    def is_complete(self) -> bool:
        """True if the series shows that the adapter itself answers."""
        if self.probe is None or self.asked < requests_for(self.copies):
            return False
        if not self.suspected:
            return self.wrong == 0
        certain = self._suspicion <= _SURELY_RIGHT
        return certain or (self.asked >= MAX_REQUESTS_AFTER_A_WRONG_ANSWER and not self.is_wrong)

    @property
    def is_wrong(self) -> bool:
        """True if the second series shows that at least one whole copy is wrong."""
        enough = self.suspected and self.asked >= requests_for(self.copies)
        return enough and self._suspicion >= _SURELY_WRONG

    @property
    def _suspicion(self) -> float:
        return suspicion(self.copies, right=self.right, wrong=self.wrong)

    def begin_again(self) -> "ProbeCheck":
        """Return the check before the first request of a new series. The weaker one is to be made again."""
        ended = None if self.probe is None else self.ended
        return replace(self, right=0, wrong=0, suspected=False, ended=ended)
