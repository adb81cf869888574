"""Failures of adapters: their cause, and when the next attempt is due."""

import zlib
from dataclasses import dataclass
from enum import StrEnum

from adapter_fleet.common.aws_errors import Meaning, meaning_of_text
from adapter_fleet.common.bounded_text import bound_texts
from adapter_fleet.fleet.state.configuration import (
    DEPLOYMENT_ATTEMPTS,
    FIRST_RETRY_SECONDS,
    MAX_RETRY_SECONDS,
)
from adapter_fleet.manifest.desired import Artifact

_MAX_DOUBLINGS = 10
"""Reaches `MAX_RETRY_SECONDS`, and keeps the power of two a finite number."""


class Cause(StrEnum):
    """Why an adapter failed. The cause decides when the next attempt is due."""

    ARTIFACT = "artifact"
    """A fault of the artifact. Retried when the artifact changes, or when someone orders a retry."""
    SMOKE = "smoke"
    """The adapter loaded, and gave a wrong answer to the smoke request. Retried like `ARTIFACT`."""
    IDENTITY = "identity"
    """Another answers in its place: the base model, an earlier version, or another adapter. Retried when the
    artifact or its probe changes. An adapter that served before is asked again by drift checks and by new
    generations."""
    CANARY = "canary"
    """It did worse than the version before, for a share of the callers. Retried like `ARTIFACT`."""
    UPDATE_REFUSED = "update-refused"
    """The container refuses in-place updates. Retried when the artifact or the base changes."""
    FOREIGN = "foreign"
    """The component belongs to someone else. Retried when it is gone, imported, or its tags come late."""
    ACCESS = "access"
    """A permission or an object is missing. Retried with backoff."""
    CAPACITY = "capacity"
    """There is no room at present. Retried with backoff."""
    QUOTA = "quota"
    """A limit of the account is reached. Retried with backoff."""
    REFUSED = "refused"
    """SageMaker refused the request for an unknown reason. Retried with backoff."""
    UNEXPECTED = "unexpected"
    """The reconciler raised an unexpected exception. Retried with backoff."""

    @property
    def retried(self) -> bool:
        """True if time or people may remove the cause: it is retried, and at once by a new generation."""
        return self not in (
            Cause.ARTIFACT,
            Cause.SMOKE,
            Cause.IDENTITY,
            Cause.CANARY,
            Cause.UPDATE_REFUSED,
            Cause.FOREIGN,
        )


@dataclass(frozen=True, kw_only=True)
class Failure:
    """The newest failed attempt at an artifact, with SageMaker's reason.

    retry_at:
        When the next attempt or reading of tags is due, None if none is.
    endpoint, base:
        Where the attempt failed. It may succeed on another endpoint or base.
    smoke:
        Digest of the smoke request that got a wrong answer.
    probe:
        Digest of the probe that another answered.
    unverified:
        True if S3 has another archive than the manifest records. A new generation checks it again.
    """

    cause: Cause
    reason: str
    artifact: Artifact
    at: float
    attempts: int = 1
    retry_at: float | None = None
    generation: int = 0
    endpoint: str | None = None
    base: str | None = None
    smoke: str | None = None
    probe: str | None = None
    unverified: bool = False

    def __post_init__(self) -> None:
        bound_texts(self, ("reason",))

    @property
    def final(self) -> bool:
        """True if a deployment does not wait for another attempt."""
        return self.retry_at is None or self.attempts >= DEPLOYMENT_ATTEMPTS


_CAUSES = {
    Meaning.UPDATE_REFUSED: Cause.UPDATE_REFUSED,
    Meaning.ACCESS: Cause.ACCESS,
    Meaning.MISSING: Cause.ACCESS,
    Meaning.QUOTA: Cause.QUOTA,
    Meaning.THROTTLED: Cause.CAPACITY,
    Meaning.CAPACITY: Cause.CAPACITY,
    Meaning.UNAVAILABLE: Cause.CAPACITY,
}


def cause_of(reason: str) -> Cause:
    """Return the cause that a FailureReason or an error message names.

    An unknown one counts as a fault of the artifact: each retry would cost a write.
    """
    return _CAUSES.get(meaning_of_text(reason), Cause.ARTIFACT)


def next_failure(
    component: str,
    artifact: Artifact,
    reason: str,
    *,
    before: Failure | None,
    now: float,
    generation: int,
    cause: Cause | None = None,
) -> Failure:
    """Return the failure that follows `before` when one more attempt at an artifact fails.

    Where the cause is retried, the wait doubles from 20 seconds to 15 minutes. Half of the wait depends on
    the component, so that many components do not retry at the same moment.
    """
    cause = cause or cause_of(reason)
    attempts = 1
    if before is not None and before.artifact.same_as(artifact):
        # Causes that are retried may take turns.
        again = before.cause is cause or (before.cause.retried and cause.retried)
        attempts = before.attempts + 1 if again else 1
    retry_at = None
    if cause.retried:
        longest = min(FIRST_RETRY_SECONDS * 2 ** min(attempts - 1, _MAX_DOUBLINGS), MAX_RETRY_SECONDS)
        spread = zlib.crc32(f"{component} {attempts}".encode()) / 2**32
        retry_at = now + longest * (1 + spread) / 2
    return Failure(
        cause=cause,
        reason=reason,
        artifact=artifact,
        at=now,
        attempts=attempts,
        retry_at=retry_at,
        generation=generation,
    )
