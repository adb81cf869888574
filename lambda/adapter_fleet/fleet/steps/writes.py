"""Steps that create, update or delete a component. The intent is in the registry before the call."""

from dataclasses import replace

from adapter_fleet.common.bounded_text import text_of
from adapter_fleet.common.naming import FLEET_TAG
from adapter_fleet.fleet.planning.context import tags_of
from adapter_fleet.fleet.state.archive_version import ArchiveVersion
from adapter_fleet.fleet.state.components import Status
from adapter_fleet.fleet.state.failures import Cause, cause_of
from adapter_fleet.fleet.state.records import AdapterRecord, Intent, Write
from adapter_fleet.fleet.state.sagemaker_port import (
    ConflictError,
    ExistsError,
    LimitReachedError,
    MissingError,
    RefusedError,
    ThrottledError,
    UnansweredError,
)
from adapter_fleet.fleet.steps import archive_verification
from adapter_fleet.fleet.steps.tags import foreign_after_all
from adapter_fleet.fleet.steps.task import Accepted, Done, NeedsArchive, StepOutcome, StepTask, Stopped
from adapter_fleet.manifest.desired import Artifact


def not_deleted(task: StepTask, reason: str) -> StepOutcome:
    """Return the failure of a deletion that was refused; whatever the cause, it is retried."""
    failure, last_good = task.record.failure, task.record.last_good
    cause = cause_of(reason)
    cause = cause if cause.retried else Cause.ACCESS
    if task.decision.restores and last_good is not None:
        return task.failure(last_good, reason, cause=cause)
    # An unwanted component may be wanted again, and what it serves is not to blame.
    serving = task.record.serving if task.want is not None else None
    artifact = failure.artifact if failure is not None else serving or Artifact(uri="")
    # Without a last good artifact, so that this does not count as a failed attempt to restore that.
    result = task.failure(artifact, reason, cause=cause, record=replace(task.record, last_good=None))
    return replace(result, record=replace(result.record, last_good=last_good))


def write(task: StepTask) -> StepOutcome:
    """Create the component, update it in place to another artifact, or delete it."""
    kind, artifact, archive = Write(task.decision.step), task.decision.artifact, None
    if artifact is not None:
        verdict = archive_verification.inspect(task, artifact)
        if verdict.unread:
            return NeedsArchive(record=task.record)
        if verdict.problem is not None:
            return archive_verification.not_usable(task, artifact, verdict)
        archive = verdict.version
    record = _with_intent(task, kind, archive)
    # If this pass dies after the call, the next pass finds the intent and looks.
    task.registry.records.put([record], task.leased())
    task.check_lease()
    try:
        return _send(task, record, kind)
    except Exception as error:  # One adapter must not stop the others.
        return _after_error(task, record, kind, error)


def _with_intent(task: StepTask, write: Write, archive: ArchiveVersion | None) -> AdapterRecord:
    record, live = task.record, task.record.live
    intent = Intent(
        write=write,
        at=task.clock.now(),
        generation=task.context.generation,
        artifact=task.decision.artifact,
        modified_before=live.modified if live is not None else None,
        failure_reason_before=live.failure_reason if live is not None else None,
        restores=task.decision.restores,
        endpoint=task.context.target.endpoint,
        base=task.context.target.base,
        archive=archive,
    )
    live = None if live is None else replace(live, described=False)
    return replace(record, intent=intent, absent_at=None, live=live)


def _send(task: StepTask, record: AdapterRecord, write: Write) -> StepOutcome:
    artifact, intent, live = task.decision.artifact, record.intent, record.live
    assert intent is not None  # it was just made
    if write is Write.DELETE:
        task.service.delete(record.component)
        status = Status.DELETING
    elif write is Write.UPDATE:
        assert artifact is not None  # an update has one
        task.service.update(record.component, artifact)
        status = Status.UPDATING
    else:
        assert artifact is not None and task.want is not None  # noqa: PT018 - only wanted ones are created
        endpoint, base = task.context.target.endpoint, task.context.target.base
        tags = tags_of(task.want, task.context)
        task.service.create(
            record.component,
            endpoint=endpoint,
            base=base,
            artifact=artifact,
            tags={**tags, FLEET_TAG: task.uid},
        )
        record = replace(record, tags=tags, endpoint=endpoint, base=base)
        status = Status.CREATING
    intent = replace(intent, acknowledged=task.clock.now())
    live = None if live is None else replace(live, status=status)
    return Accepted(record=replace(record, intent=intent, live=live))


def _after_error(task: StepTask, record: AdapterRecord, write: Write, error: Exception) -> StepOutcome:
    """Return the result of a write that ended with an error.

    record:
        With the intent. `task.record`, without it, is the result where nothing can have been written.
    """
    match error:
        case ThrottledError():
            return Stopped(record=task.record, error=error)
        case UnansweredError():
            return Stopped(record=_unanswered(record, str(error)), error=error)
        case ExistsError():
            return Done(record=record)
        case ConflictError():
            live = task.record.live
            doubtful = None if live is None else replace(live, doubtful=True)
            return Stopped(record=replace(task.record, live=doubtful), error=error)
        case LimitReachedError() if write is Write.CREATE:
            return Stopped(record=task.record, error=error)
        case MissingError() if write is Write.CREATE:
            return Stopped(record=task.record, error=error, blocks=True)
        case MissingError():
            return Done(record=replace(record, live=None, absent_at=task.clock.now()))
        case RefusedError():
            return _refused(task, record, write, str(error))
        case _:
            # The write may have been sent: the next step is a look.
            reason = text_of(error)
            return Stopped(
                record=_unanswered(record, reason), error=UnansweredError(reason), unexpected=error
            )


def _refused(task: StepTask, record: AdapterRecord, write: Write, reason: str) -> StepOutcome:
    """Return the failure of a write that the service refused to begin, which is no fault of the artifact."""
    foreign = foreign_after_all(task, record)
    if foreign is not None:
        return foreign
    artifact = task.decision.artifact
    if write is Write.DELETE and artifact is None:
        return not_deleted(replace(task, record=record), reason)
    cause = cause_of(reason)
    return task.failure(
        artifact or record.serving or Artifact(uri=""),
        reason,
        cause=Cause.REFUSED if cause is Cause.ARTIFACT else cause,
        record=record,
    )


def _unanswered(record: AdapterRecord, why: str) -> AdapterRecord:
    """Return the record of a write whose outcome is unknown, with the reason."""
    intent = record.intent
    return record if intent is None else replace(record, intent=replace(intent, error=why))
