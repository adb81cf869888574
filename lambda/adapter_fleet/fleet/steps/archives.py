"""Steps that look at an adapter's archive in S3, before and after a write."""

from dataclasses import replace

from adapter_fleet.fleet.state.configuration import MAX_READ_SECONDS
from adapter_fleet.fleet.state.failures import Cause
from adapter_fleet.fleet.state.records import AdapterRecord, Recheck
from adapter_fleet.fleet.state.sagemaker_port import ServiceError, ThrottledError, UnansweredError
from adapter_fleet.fleet.steps import archive_verification as verification
from adapter_fleet.fleet.steps.archive_verification import Verdict
from adapter_fleet.fleet.steps.task import StepResult, StepTask
from adapter_fleet.manifest.desired import Artifact


def verify(task: StepTask) -> StepResult:
    """Copy or read the archive, so that the step that sends it finds it verified."""
    artifact, began = task.decision.artifact, task.clock.now()
    assert artifact is not None  # only artifacts are verified

    def late() -> bool:
        return task.clock.now() - began > MAX_READ_SECONDS

    try:
        verdict = verification.read(artifact, task.service, task.registry, lambda: task.stop() or late())
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
    return StepResult(record=task.record, idle=True)


def confirm(task: StepTask) -> StepResult:
    """Check after a write that the archive is still the version that was verified before it."""
    artifact, before = task.decision.artifact, task.record.unconfirmed
    assert artifact is not None and before is not None  # noqa: PT018 - only such a write has this step
    verdict = inspect(task, artifact)
    if verdict.unread and verdict.version is None:
        # A copy that the fleet made is gone.
        verdict = Verdict(problem=f"NoSuchKey: {artifact.uri} does not exist")
    same = verdict.version is not None and verdict.version.same_content(before)
    if verdict.unread and not same:
        return StepResult(record=task.record, idle=True, unread=True)
    if same or verdict.problem is None:
        failure = task.record.failure
        if failure is not None and failure.artifact.same_as(artifact):
            failure = None
        return StepResult(record=replace(task.record, unconfirmed=None, failure=failure), idle=True)
    record = task.record
    if verdict.cause is Cause.ARTIFACT:
        now = f"{before} is {verdict.version} now"
        reason = f"{verdict.problem}; it was replaced while SageMaker loaded it: {now}"
        verdict = replace(verdict, problem=reason)
        # Which of the two is serving is unknown, so the next attempt sends the artifact again.
        record = replace(task.record, unconfirmed=None, recheck=Recheck.SEND)
    return replace(not_usable(task, artifact, verdict, record=record), missing=None)


def inspect(task: StepTask, artifact: Artifact) -> Verdict:
    """Look at an archive. If S3 does not answer, that is a failure of this adapter alone."""
    try:
        return verification.look(artifact, task.service, task.registry)
    except (ThrottledError, UnansweredError) as error:
        return _no_answer(artifact, error)


def not_usable(
    task: StepTask, artifact: Artifact, verdict: Verdict, *, record: AdapterRecord | None = None
) -> StepResult:
    """Return the failure of an adapter whose archive cannot be sent."""
    assert verdict.problem is not None  # the archive cannot be sent
    result = task.failure(artifact, verdict.problem, cause=verdict.cause, record=record)
    failure = result.record.failure
    if verdict.cause is Cause.ARTIFACT and failure is not None and failure.artifact.same_as(artifact):
        result.record = replace(result.record, failure=replace(failure, unverified=True))
    return replace(result, idle=True, missing=verdict.problem if verdict.missing else None)


def _no_answer(artifact: Artifact, error: ServiceError) -> Verdict:
    return Verdict(problem=f"S3 gave no answer for {artifact.uri}: {error}", cause=Cause.CAPACITY)
