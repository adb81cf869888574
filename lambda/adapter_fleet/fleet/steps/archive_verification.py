"""Verifies that an adapter's archive in S3 is the recorded one, before SageMaker loads it.

The object's metadata counts for nothing, as its writer sets it. S3's own SHA-256 is compared with the
manifest's. If one of them is missing, the archive is read. The registry remembers each reading by version,
so that each version is read once. docs/adr/0005-adapter-identity.md has the reasons.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from adapter_fleet.common.aws_errors import Meaning, meaning_of_text
from adapter_fleet.fleet.state.archive_version import ArchiveReading, ArchiveVersion
from adapter_fleet.fleet.state.configuration import MAX_READ_SECONDS
from adapter_fleet.fleet.state.failures import Cause
from adapter_fleet.fleet.state.records import AdapterRecord, Recheck
from adapter_fleet.fleet.state.registry import Registry
from adapter_fleet.fleet.state.sagemaker_port import (
    MissingError,
    RefusedError,
    SageMakerPort,
    ServiceError,
    ThrottledError,
    UnansweredError,
)
from adapter_fleet.fleet.steps.task import NeedsArchive, NotSent, StepOutcome, StepTask
from adapter_fleet.manifest.desired import Artifact


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The result of a verification.

    version:
        The version that is verified, or that has to be read.
    problem:
        Why the archive cannot be sent to SageMaker.
    cause:
        The cause of the failure: `ARTIFACT` for another archive than the recorded one, `CAPACITY` if S3 gave
        no answer or throttled the call, and otherwise `ACCESS`: such an archive may come at any moment.
    missing:
        True if the object does not exist.
    denied:
        True if the caller may not read the object.
    unread:
        True if the archive has to be copied or read first.
    """

    version: ArchiveVersion | None = None
    problem: str | None = None
    cause: Cause = Cause.ACCESS
    missing: bool = False
    denied: bool = False
    unread: bool = False


def look(artifact: Artifact, service: SageMakerPort, registry: Registry) -> Verdict:
    """Verify an archive by one call to S3 and by earlier readings; `unread` if that is not enough.

    Raises ThrottledError and UnansweredError.
    """
    try:
        found = service.find_archive(artifact.uri)
    except RefusedError as error:
        if artifact.digest is None:
            return Verdict(denied=True)  # without a digest there is nothing to verify
        return _denied(f"read {artifact.uri}", "s3:GetObject, s3:ListBucket and kms:Decrypt", error)
    if found is None:
        return Verdict(unread=True) if artifact.source is not None else _missing(artifact.uri)
    if artifact.digest is None:
        return Verdict()
    if found.vouches_for(artifact):
        return Verdict(version=found)
    known = registry.archives.find(artifact.uri)
    if known is None or not known.version.same_content(found):
        return Verdict(version=found, unread=True)
    return _compared(known, artifact, found)


def read(artifact: Artifact, service: SageMakerPort, registry: Registry, stop: Callable[[], bool]) -> Verdict:
    """Copy or read an archive as far as its verification needs that; remember the reading.

    Raises ThrottledError and UnansweredError; the latter also if `stop` ends the reading.
    """
    verdict = look(artifact, service, registry)
    if verdict.unread and verdict.version is None:
        assert artifact.source is not None  # only a copy is unread before it exists
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
    registry.archives.put(found)
    return _compared(found, artifact, verdict.version)


def known_problem(artifact: Artifact, service: SageMakerPort, registry: Registry) -> str | None:
    """Return why an archive cannot be sent, as far as that is known without reading it; else None.

    An archive that the caller may not read counts as usable: the fleet's functions may read it.
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


def look_at_serving(artifact: Artifact, service: SageMakerPort, registry: Registry) -> Verdict:
    """Verify the archive of what serves, which a new copy of the base model would load again."""
    verdict = look(artifact, service, registry)
    if verdict.unread and verdict.version is None:
        verdict = _missing(artifact.uri)  # its source may be there, but SageMaker knows the copy alone
    if verdict.problem is None:
        return verdict
    return replace(verdict, problem=f"{verdict.problem}; it serves, and no new copy or restart can load it")


def _compared(known: ArchiveReading, artifact: Artifact, version: ArchiveVersion) -> Verdict:
    problem = known.mismatch(artifact)
    if problem is None:
        return Verdict(version=version)
    return Verdict(version=version, problem=problem, cause=Cause.ARTIFACT)


def _missing(uri: str) -> Verdict:
    return Verdict(problem=f"NoSuchKey: {uri} does not exist", missing=True)


def _denied(doing: str, rights: str, error: RefusedError) -> Verdict:
    if meaning_of_text(str(error)) is not Meaning.ACCESS:
        return Verdict(problem=f"the fleet's functions cannot {doing}: {error}")
    return Verdict(
        problem=(
            f"AccessDenied: the fleet's functions may not {doing}; their role needs {rights}, which the"
            f" endpoint's 'artifact_sources' give: {error}"
        ),
        denied=True,
    )


def verify(task: StepTask) -> StepOutcome:
    """Copy or read the archive, so that the step that sends it finds it verified."""
    artifact, began = task.decision.artifact, task.clock.now()
    assert artifact is not None  # only artifacts are verified

    def late() -> bool:
        return task.clock.now() - began > MAX_READ_SECONDS

    try:
        verdict = read(artifact, task.service, task.registry, lambda: task.stop() or late())
    except (ThrottledError, UnansweredError) as error:
        if task.stop():
            raise  # the pass ends; the next one goes on
        verdict = _no_answer(artifact, error)
    if verdict.cause is Cause.CAPACITY and late():
        verdict = replace(
            verdict,
            problem=f"{verdict.problem}; a manifest that 'adapters publish' wrote has the archive's"
            " checksum, with which it need not be read",
        )
    # The step that sends the archive refuses a wrong one, by what the registry remembers of this reading.
    if verdict.problem is not None and verdict.cause is not Cause.ARTIFACT:
        return not_usable(task, artifact, verdict)
    return NotSent(record=task.record)


def confirm(task: StepTask) -> StepOutcome:
    """Check after a write that the archive is still the version that was verified before it."""
    artifact, before = task.decision.artifact, task.record.unconfirmed
    assert artifact is not None and before is not None  # noqa: PT018 - only such a write has this step
    verdict = inspect(task, artifact)
    if verdict.unread and verdict.version is None:
        # A copy that the fleet made is gone.
        verdict = Verdict(problem=f"NoSuchKey: {artifact.uri} does not exist")
    same = verdict.version is not None and verdict.version.same_content(before)
    if verdict.unread and not same:
        return NeedsArchive(record=task.record)
    if same or verdict.problem is None:
        failure = task.record.failure
        if failure is not None and failure.artifact.same_as(artifact):
            failure = None
        return NotSent(record=replace(task.record, unconfirmed=None, failure=failure))
    record = task.record
    if verdict.cause is Cause.ARTIFACT:
        now = f"{before} is {verdict.version} now"
        reason = f"{verdict.problem}; it was replaced while SageMaker loaded it: {now}"
        verdict = replace(verdict, problem=reason)
        # Which of the two is serving is unknown, so the next attempt sends the artifact again.
        record = replace(task.record, unconfirmed=None, recheck=Recheck.SEND)
    return replace(not_usable(task, artifact, verdict, record=record), missing=None)


def check_serving(task: StepTask) -> StepOutcome:
    """Note whether the archive of what serves is still there. If S3 does not answer, that changes nothing."""
    serving = task.record.serving
    assert serving is not None  # only what serves has this step
    try:
        verdict = look_at_serving(serving, task.service, task.registry)
        if verdict.unread and task.registry.archives.find(serving.uri) is not None:
            read(serving, task.service, task.registry, task.stop)  # it was replaced since it was read
            verdict = look_at_serving(serving, task.service, task.registry)
    except (ThrottledError, UnansweredError):
        return NotSent(record=task.record)
    return NotSent(record=replace(task.record, archive_trouble=verdict.problem))


def inspect(task: StepTask, artifact: Artifact) -> Verdict:
    """Look at an archive. If S3 does not answer, that is a failure of this adapter alone."""
    try:
        return look(artifact, task.service, task.registry)
    except (ThrottledError, UnansweredError) as error:
        return _no_answer(artifact, error)


def not_usable(
    task: StepTask, artifact: Artifact, verdict: Verdict, *, record: AdapterRecord | None = None
) -> NotSent:
    """Return the failure of an adapter whose archive cannot be sent."""
    assert verdict.problem is not None  # the archive cannot be sent
    result = task.failure(artifact, verdict.problem, cause=verdict.cause, record=record)
    failure = result.record.failure
    if verdict.cause is Cause.ARTIFACT and failure is not None and failure.artifact.same_as(artifact):
        result.record = replace(result.record, failure=replace(failure, unverified=True))
    missing = verdict.problem if verdict.missing else None
    return NotSent(record=result.record, events=result.events, missing=missing)


def _no_answer(artifact: Artifact, error: ServiceError) -> Verdict:
    return Verdict(problem=f"S3 gave no answer for {artifact.uri}: {error}", cause=Cause.CAPACITY)
