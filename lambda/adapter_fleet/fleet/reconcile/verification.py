"""Whether an adapter's archive in S3 is the one that was recorded, before SageMaker is sent to it.

No writer of the object is believed: its metadata counts for nothing. S3's own SHA-256 is compared with the
manifest's, and where one of them is missing the archive is read. The registry remembers what was read of
which version, so each version is read once. docs/adr/0013-verified-archives.md has the reasons.
"""

from collections.abc import Callable
from dataclasses import dataclass

from adapter_fleet.fleet.state.archive_version import ArchiveReading, ArchiveVersion
from adapter_fleet.fleet.state.failures import Cause
from adapter_fleet.fleet.state.registry import Registry
from adapter_fleet.fleet.state.sagemaker_port import (
    MissingError,
    RefusedError,
    SageMakerPort,
    UnansweredError,
)
from adapter_fleet.manifest.desired import Artifact

LONGEST_READ_SECONDS = 600.0
"""A pass has less than 15 minutes. An archive of 16 GiB takes three at 100 MB/s, which one worker of the
function reaches (docs/adr/0013-verified-archives.md)."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is known of an artifact's archive.

    version:
        The version that is verified, or is to be.
    problem:
        Why it cannot be sent. The wording lets `cause_of` tell a missing object from a wrong one.
    mismatch:
        Whether it is another archive than was recorded.
    missing:
        Whether there is no such object.
    denied:
        Whether the caller may not look at it.
    unread:
        Whether it has to be copied or read first.
    unanswered:
        Whether S3 gave no answer, or is throttling.
    """

    version: ArchiveVersion | None = None
    problem: str | None = None
    mismatch: bool = False
    missing: bool = False
    denied: bool = False
    unread: bool = False
    unanswered: bool = False

    @property
    def cause(self) -> Cause:
        """The cause of the failure: an archive that is missing or denied may be there any moment."""
        if self.unanswered:
            return Cause.CAPACITY
        return Cause.ARTIFACT if self.mismatch else Cause.ACCESS


def look(artifact: Artifact, service: SageMakerPort, registry: Registry) -> Verdict:
    """Verify an archive by one call to S3, and what is remembered; `unread` where that is not enough.

    Raises ThrottledError and UnansweredError.
    """
    try:
        found = service.find_archive(artifact.uri)
    except RefusedError as error:
        if artifact.digest is None:
            return Verdict(denied=True)  # nothing to verify it by; the endpoint's role may read it
        return _denied(f"read {artifact.uri}", "s3:GetObject, s3:ListBucket and kms:Decrypt", error)
    if found is None:
        return Verdict(unread=True) if artifact.source is not None else _missing(artifact.uri)
    if artifact.digest is None:
        return Verdict()
    if found.vouches_for(artifact):
        return Verdict(version=found)
    known = registry.known_archive(artifact.uri)
    if known is None or not known.version.same_content(found):
        return Verdict(version=found, unread=True)
    return _compared(known, artifact, found)


def read(artifact: Artifact, service: SageMakerPort, registry: Registry, stop: Callable[[], bool]) -> Verdict:
    """Verify an archive that has to be copied or read for that; remember what was read.

    Raises ThrottledError, and UnansweredError as well where `stop` ends it.
    """
    verdict = look(artifact, service, registry)
    if verdict.unread and verdict.version is None:
        assert artifact.source is not None  # there is nothing else to do about one that is not there
        try:
            service.copy_archive(artifact.source, artifact.uri)
        except MissingError:
            return _missing(artifact.source)
        except RefusedError as error:
            doing = f"copy {artifact.source} to {artifact.uri}"
            return _denied(doing, "s3:GetObject, s3:PutObject, kms:Decrypt and kms:GenerateDataKey", error)
        verdict = look(artifact, service, registry)
    if not verdict.unread:
        return verdict
    if verdict.version is None:
        raise UnansweredError(f"the copy at {artifact.uri} does not show yet")
    try:
        found = service.read_archive(verdict.version, stop)
    except MissingError:
        return _missing(artifact.uri)
    except RefusedError as error:
        return _denied(f"read {artifact.uri}", "s3:GetObject and kms:Decrypt", error)
    registry.remember_archive(found)
    return _compared(found, artifact, verdict.version)


def foresee(artifact: Artifact, service: SageMakerPort, registry: Registry) -> str | None:
    """Return why an archive is known not to be usable; None for one that is not known to be.

    One that the caller may not look at is taken for right: the fleet's functions may.
    """
    verdict = look(artifact, service, registry)
    if verdict.denied:
        return None
    if verdict.unread and verdict.version is None and artifact.source is not None:
        try:
            return None if service.find_archive(artifact.source) else _missing(artifact.source).problem
        except RefusedError:
            return None
    return verdict.problem


def _compared(known: ArchiveReading, artifact: Artifact, version: ArchiveVersion) -> Verdict:
    problem = known.mismatch(artifact)
    return Verdict(version=version, problem=problem, mismatch=problem is not None)


def _missing(uri: str) -> Verdict:
    return Verdict(problem=f"NoSuchKey: {uri} does not exist", missing=True)


def _denied(doing: str, rights: str, error: RefusedError) -> Verdict:
    return Verdict(
        problem=(
            f"AccessDenied: the fleet's functions may not {doing}; their role needs {rights}, which the"
            f" endpoint's 'artifact_sources' give: {error}"
        ),
        denied=True,
    )
