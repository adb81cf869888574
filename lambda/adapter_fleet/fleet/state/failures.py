"""Why an adapter failed, told from the service's own words, and when to try again."""

import re
import zlib

from adapter_fleet.fleet.state.records import Cause, Failure
from adapter_fleet.manifest.desired import Artifact

FIRST_RETRY_SECONDS = 20.0
LAST_RETRY_SECONDS = 900.0
_MOST_DOUBLINGS = 10
"""The wait is the longest by then; 2 to the power of a thousand is no number of seconds."""

# The first that matches counts. The texts are those of the services and containers as users quote them; what
# is not known is taken for the artifact's fault, as trying it again and again would cost a write each time.
_CAUSES = (
    (Cause.UPDATE_REFUSED, re.compile(r"update operation is not supported", re.IGNORECASE)),
    (
        Cause.ACCESS,
        re.compile(
            r"access ?denied|not authorized|forbidden|\b403\b|could not assume role|no ?such ?key"
            r"|no ?such ?bucket|could not (find|access) (model|artifact) data|s3:getobject|expired ?token"
            r"|invalid ?signature|request ?(timeout|expired)",
            re.IGNORECASE,
        ),
    ),
    (Cause.QUOTA, re.compile(r"resource ?limit ?exceeded|service limit|quota", re.IGNORECASE)),
    (
        Cause.CAPACITY,
        re.compile(
            r"insufficient ?\w* ?capacity|no capacity|no free slot|\b507\b|out of memory|throttl"
            r"|rate exceeded|not ready|unavailable|internal (server |service )?(error|failure)"
            r"|request to service failed|unable to provision",
            re.IGNORECASE,
        ),
    ),
)


def cause_of(reason: str) -> Cause:
    """Return the cause that a FailureReason or an error's message tells of."""
    return next((cause for cause, pattern in _CAUSES if pattern.search(reason)), Cause.ARTIFACT)


def failed(
    component: str,
    artifact: Artifact,
    reason: str,
    *,
    before: Failure | None,
    now: float,
    generation: int,
    cause: Cause | None = None,
) -> Failure:
    """Note one more failure of an artifact; `before` is what was remembered.

    Where time may mend the cause, the wait until the next attempt doubles from 20 seconds to 15 minutes. Half
    of it depends on the component, so that many do not come back at once.
    """
    cause = cause or cause_of(reason)
    attempts = 1
    if before is not None and before.artifact.same_as(artifact):
        # Causes that pass may take turns.
        again = before.cause is cause or (before.cause.retried and cause.retried)
        attempts = before.attempts + 1 if again else 1
    retry_at = None
    if cause.retried:
        longest = min(FIRST_RETRY_SECONDS * 2 ** min(attempts - 1, _MOST_DOUBLINGS), LAST_RETRY_SECONDS)
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
