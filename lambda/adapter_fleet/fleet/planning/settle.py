"""Settling: what the end of a write, or a new attempt, means for the record of a component.

Pure functions: the same record, desired adapter and context give the same result, in the Lambda and on the
command line.
"""

from dataclasses import replace

from adapter_fleet.fleet.planning.context import PlanContext, is_elsewhere
from adapter_fleet.fleet.planning.deletion_guard import is_orphan
from adapter_fleet.fleet.planning.observe import SETTLING_SECONDS, is_claimed, next_tag_reading, why_foreign
from adapter_fleet.fleet.planning.proof import has_passed, is_proven
from adapter_fleet.fleet.state.components import ObservedComponent, Status
from adapter_fleet.fleet.state.failures import Cause, cause_of, next_failure
from adapter_fleet.fleet.state.probe_check import ProbeCheck
from adapter_fleet.fleet.state.records import MAX_VERSIONS, AdapterRecord, Event, Intent, Recheck, Write
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter

MAX_LOST_WRITES = 5
"""After this many writes in a row without an answer or an effect, the next one waits longer and longer."""

MAX_RESTORES = 5
"""How often the last good artifact is restored though SageMaker blames it. It has served before."""

_LAG_SECONDS = 5.0
"""How far a describe may lag behind if its last-modified time moves as well. [I] No case is known."""

_FIRST_RESTORE_SECONDS = 60.0
_DELETED_BY_HAND = "someone deleted it"
_NO_REASON = "the service gave no reason"

Settled = tuple[AdapterRecord, list[Event]]


def settle(record: AdapterRecord, want: DesiredAdapter | None, context: PlanContext) -> Settled:
    """Return the record after its newest observation, and the events to note.

    Ends the write in flight if it has ended, and notes what changed by itself or by hand. Reads nothing but
    its arguments. The result is a fixed point: settling it again changes nothing.
    """
    record, events = _end_of_write(_without_void_failure(record, want, context), context)
    if record.live is None and record.intent is None and record.owned is not None:
        gone = _without_component(record)
        if not is_orphan(record, want):
            event = _event(record, context, "drifted", before=record.serving, cause=_DELETED_BY_HAND)
            gone, events = replace(gone, drifted=_DELETED_BY_HAND), [*events, event]
        record = gone
    record, foreign = _foreign(record, want, context)
    record, drifted = _drift(record, context)
    return _with_last_good(record, want), [*events, *foreign, *drifted]


def with_new_attempts(record: AdapterRecord) -> AdapterRecord:
    """Return the record for a new generation, without the failures that time or people may have mended.

    A fault of the artifact stays until the artifact changes, or until `adapters apply --retry`.
    """
    failure = record.failure
    # To check an unverified archive again costs one call to S3. Someone may have put the right one there.
    if failure is not None and (failure.cause.retried or failure.unverified):
        failure = None
    if failure is not None and record.may_be_asked_again:
        failure = None
    return replace(record, failure=failure, restore_at=None)


def _without_void_failure(
    record: AdapterRecord, want: DesiredAdapter | None, context: PlanContext
) -> AdapterRecord:
    """Return the record without a failure that does not apply any more.

    Such a failure belongs to another endpoint or base, to another smoke request or probe, or to a deletion
    that was cancelled.
    """
    failure = record.failure
    if failure is None:
        return record
    void = is_elsewhere(failure, context.target)
    if want is not None:
        smoke = want.smoke.digest if want.smoke is not None else None
        probe = want.artifact.probe.digest if want.artifact.probe is not None else None
        void = (
            void
            or failure.smoke not in (None, smoke)
            or failure.probe not in (None, probe)
            or not failure.artifact.uri
        )
    return replace(record, failure=None) if void else record


# --- the end of a write


def _end_of_write(record: AdapterRecord, context: PlanContext) -> Settled:
    """End the write in flight if the newest observation shows how it ended."""
    record = _own_acknowledged(record)
    intent, live = record.intent, record.live
    if intent is None:
        return record, []
    if live is None:
        return _end_without_component(record, intent, context)
    if live.doubtful or live.status.in_transition or record.owned != live.created:
        return record, []  # it is under way, or its owner is read first
    if intent.write is Write.DELETE:
        return _without_effect(record, intent, context)
    if live.described:
        return _end_as_described(record, intent, live, context)
    if intent.write is not Write.CREATE or intent.acknowledged is None or live.status is Status.FAILED:
        return record, []
    if intent.acknowledged >= context.since:
        # It runs with the specification that was sent. A listing is enough to know that.
        return _succeeded(record, intent, live, context)
    return record, []


def _end_as_described(
    record: AdapterRecord, intent: Intent, live: ObservedComponent, context: PlanContext
) -> Settled:
    """End a creation or an update whose component was described and is not in transition."""
    assert intent.artifact is not None  # creates and updates have one
    if live.status is Status.FAILED:
        return _failed(record, intent.artifact, live, context)
    if intent.write is Write.CREATE:
        created, events = _succeeded(record, intent, live, context)
        # It may have been changed since it was created: the registry may be a backup, or the pass is gone.
        sent = (intent.artifact.uri, intent.endpoint, intent.base)
        is_as_sent = intent.acknowledged is not None and sent == (live.artifact_uri, live.endpoint, live.base)
        return created if is_as_sent else replace(created, vouched=None), events
    if intent.modified_before == live.modified:
        return _without_effect(record, intent, context)
    new_reason = live.failure_reason not in (None, intent.failure_reason_before)
    # [V ACK, Terraform] After a failed update the component is InService with a FailureReason. It may outlive
    # a later success. So the artifact decides. If the update keeps its address, a new reason decides.
    same_address = record.serving is not None and record.serving.uri == intent.artifact.uri
    # A describe may be from before the update, with a last-modified time that moved by itself.
    doubtful_for = SETTLING_SECONDS if live.modified < intent.at else _LAG_SECONDS
    if same_address and context.now - intent.at < doubtful_for:
        return record, []
    if live.artifact_uri == intent.artifact.uri and not (same_address and new_reason):
        return _succeeded(record, intent, live, context)
    if new_reason or (live.failure_reason is not None and intent.acknowledged is not None):
        return _failed(record, intent.artifact, live, context)
    # A last-modified time may move by itself.
    return _without_effect(record, intent, context)


def _own_acknowledged(record: AdapterRecord) -> AdapterRecord:
    """Return the record as the owner of a component that appeared when its creation was acknowledged.

    Its tags need not be read: no two clocks differ by more than the tolerance, and a component that someone
    creates later has another creation time.
    """
    intent, live = record.intent, record.live
    if live is None or intent is None or intent.write is not Write.CREATE or intent.acknowledged is None:
        return record
    if record.owned != live.created and abs(live.created - intent.acknowledged) <= SETTLING_SECONDS:
        return replace(record, owned=live.created)
    return record


def _end_without_component(record: AdapterRecord, intent: Intent, context: PlanContext) -> Settled:
    """End a write whose component does not exist: deleted as intended, not created yet, or lost."""
    if record.absent_at is None:
        return record, []  # the component has not been described
    if intent.write is Write.DELETE:
        ended = _event(record, context, "deleted", before=record.serving, intent=intent)
        return _without_component(record), [ended]
    if intent.acknowledged is not None and record.absent_at - intent.acknowledged < SETTLING_SECONDS:
        return record, []  # it may not be visible yet
    return _lost(_without_component(record), intent, context)


def _without_effect(record: AdapterRecord, intent: Intent, context: PlanContext) -> Settled:
    """Wait for a write that has no visible effect; end it as lost once it should have one."""
    since = intent.acknowledged if intent.acknowledged is not None else intent.at
    if context.now - since < SETTLING_SECONDS:
        return record, []
    return _lost(record, intent, context)


def _lost(record: AdapterRecord, intent: Intent, context: PlanContext) -> Settled:
    """End a write that had no effect. Many lost writes in a row count as a failure that is retried."""
    record = replace(record, intent=None)
    if record.lost + 1 < MAX_LOST_WRITES:
        return replace(record, lost=record.lost + 1), []
    known = record.failure.artifact if record.failure is not None else None
    return with_failure(
        replace(record, lost=0),
        intent.artifact or known or record.serving or Artifact(uri=""),
        f"{MAX_LOST_WRITES} requests to {intent.write} it had no answer, or no effect"
        + (f": {intent.error}" if intent.error else ""),
        context,
        cause=Cause.CAPACITY,
    )


def _without_component(record: AdapterRecord) -> AdapterRecord:
    """Return the record after its component has gone. The failure and the versions stay."""
    return AdapterRecord(
        name=record.name,
        component=record.component,
        absent_at=record.absent_at,
        last_good=record.last_good,
        versions=record.versions,
        restore_at=record.restore_at,
        passed_smoke=record.passed_smoke,
        failure=record.failure,
        other_fleet=record.other_fleet,
        other_stack=record.other_stack,
        generation=record.generation,
        changed_at=record.changed_at,
        routed_at=record.routed_at,
        ordered=record.ordered,
        lost=record.lost,
        restores=record.restores,
    )


def _succeeded(
    record: AdapterRecord, intent: Intent, live: ObservedComponent, context: PlanContext
) -> Settled:
    """End a creation or an update that succeeded."""
    creates = intent.write is Write.CREATE
    event = _event(
        record,
        context,
        "restored" if intent.restores else "created" if creates else "updated",
        before=record.serving,
        after=intent.artifact,
        intent=intent,
        ended=live.modified,
    )
    recheck = _recheck_after_success(record.recheck, intent, live)
    changed = replace(
        record,
        serving=intent.artifact,
        vouched=live.modified,
        intent=None,
        lost=0,
        # If it was sent again, only its answer shows whether it loaded: the attempts go on counting.
        failure=record.failure if intent.restores or recheck is Recheck.SENT else None,
        endpoint=intent.endpoint if creates else record.endpoint,
        base=intent.base if creates else record.base,
        generation=record.generation if intent.restores else intent.generation,
        changed_at=live.modified,
        drifted=None,
        ordered=False,
        recheck=recheck,
        probed=_probed_after_success(record, intent.artifact),
        unconfirmed=intent.archive,
        archive_trouble=None,
    )
    return changed, [event]


def _recheck_after_success(
    recheck: Recheck | None, intent: Intent, live: ObservedComponent
) -> Recheck | None:
    """Return what is left to do about a changed base model once an artifact was sent.

    SageMaker does not report whether the adapter loaded before or after the base model changed. So only an
    artifact that was sent for that reason ends the recheck. One that was sent because another answered is
    asked.
    """
    if recheck is Recheck.RESEND or (recheck is Recheck.SEND and intent.acknowledged is None):
        return Recheck.ASK  # new copies may have come meanwhile, or the update may not have arrived
    if intent.write is Write.CREATE and intent.acknowledged is None:
        return Recheck.ASK  # stale reads may have hidden what was there before its base model changed
    if recheck is not Recheck.SEND:
        return recheck
    # A FailureReason may be an old one, or that of this update.
    return None if live.failure_reason is None else Recheck.SENT


def _probed_after_success(record: AdapterRecord, sent: Artifact | None) -> ProbeCheck | None:
    """Return what is left of a check of who answers, once an artifact was sent: nothing is proven.

    An artifact that has passed its smoke request before is not asked it again. So the weaker check, which
    otherwise follows that request, is due.
    """
    check = record.probed
    was_resent = check is not None and check.resent and check.artifact.same_as(sent)
    if check is not None and (was_resent or record.recheck is Recheck.RESEND):
        return replace(check.begin_again(), resent=True)
    if sent is not None and sent.same_as(record.passed):
        return ProbeCheck(artifact=sent)
    return None


# --- failures


def _failed(
    record: AdapterRecord, artifact: Artifact, live: ObservedComponent, context: PlanContext
) -> Settled:
    reason = live.failure_reason or _NO_REASON
    return with_failure(replace(record, vouched=None, lost=0), artifact, reason, context)


def with_failure(
    record: AdapterRecord,
    artifact: Artifact,
    reason: str,
    context: PlanContext,
    *,
    cause: Cause | None = None,
    want: DesiredAdapter | None = None,
    smoke: str | None = None,
    probe: str | None = None,
) -> Settled:
    """Return the record after `artifact` failed to come into service. The write in flight ends.

    want:
        What the manifest wants, for a failure of a step without a write.
    smoke, probe:
        Digest of the smoke request or of the probe that got a wrong answer.
    """
    intent, known = record.intent, record.failure
    if intent is not None and record.recheck is Recheck.RESEND and artifact.same_as(record.serving):
        return _with_failed_resend(record, artifact, reason, cause or cause_of(reason), context)
    if known is not None and not known.artifact.same_as(artifact) and _is_restored(record, artifact, want):
        return _with_failed_restore(record, artifact, reason, cause or cause_of(reason), context)
    failure = next_failure(
        record.component,
        artifact,
        reason,
        before=known,
        now=context.now,
        generation=intent.generation if intent is not None else context.generation,
        cause=cause,
    )
    endpoint, base = context.target.endpoint, context.target.base
    failure = replace(failure, endpoint=endpoint, base=base, smoke=smoke, probe=probe)
    changed = replace(record, intent=None, failure=failure, generation=failure.generation)
    return changed, [_event(record, context, "failed", before=record.serving, after=artifact, cause=reason)]


def _is_restored(record: AdapterRecord, artifact: Artifact, want: DesiredAdapter | None) -> bool:
    """Return True if an artifact is the last good one and not the wanted one."""
    if record.last_good is None or not record.last_good.same_as(artifact):
        return False
    if record.intent is not None:
        return record.intent.restores
    return want is None or not want.artifact.same_as(artifact)


def _with_failed_resend(
    record: AdapterRecord, artifact: Artifact, reason: str, cause: Cause, context: PlanContext
) -> Settled:
    """Return the record after the artifact could not be sent again because another answers in its place.

    That failure stays, as another still answers. The next drift check asks again.
    """
    event = _event(record, context, "failed", after=artifact, cause=f"could not be sent again: {reason}")
    check = record.probed
    if check is not None and not cause.retried:
        check = replace(check, resent=True)
    return replace(record, intent=None, recheck=None, probed=check), [event]


def _with_failed_restore(
    record: AdapterRecord, artifact: Artifact, reason: str, cause: Cause, context: PlanContext
) -> Settled:
    """Return the record after a failed restore. The failure of the wanted artifact stays."""
    event = _event(record, context, "failed", after=artifact, cause=f"could not be restored: {reason}")
    record = replace(record, intent=None)
    restores = record.restores + 1
    # The artifact has served before, so for a while SageMaker's reason may be about something else.
    if not cause.retried and restores >= MAX_RESTORES:
        return replace(record, last_good=None, restore_at=None, restores=0), [event]
    wait = _FIRST_RESTORE_SECONDS * 2 ** min(restores - 1, MAX_RESTORES)
    return replace(record, restore_at=context.now + wait, restores=restores), [event]


def _foreign(record: AdapterRecord, want: DesiredAdapter | None, context: PlanContext) -> Settled:
    """Note the failure of a component that turned out to belong to someone else.

    It is wanted, or a creation in flight may have made it and its tags come late.
    """
    live, failure, intent = record.live, record.failure, record.intent
    tried = want or intent
    if (
        live is None
        or tried is None
        or tried.artifact is None
        or record.owned == live.created
        or context.foreign.get(record.component) != live.created
        or is_claimed(record, live, context)
    ):
        return record, []
    reason = why_foreign(record)
    if failure is not None and (failure.artifact, failure.cause, failure.reason) == (
        tried.artifact,
        Cause.FOREIGN,
        reason,
    ):
        return record, []  # it is noted
    record = replace(
        record, owned=None, intent=None, serving=None, vouched=None, last_good=None, failure=None
    )
    record, events = with_failure(record, tried.artifact, reason, context, cause=Cause.FOREIGN)
    assert record.failure is not None  # it was just noted
    again = next_tag_reading(record, live, now=context.now)
    return replace(record, intent=intent, failure=replace(record.failure, retry_at=again)), events


# --- drift, and the last good artifact


def _drift(record: AdapterRecord, context: PlanContext) -> Settled:
    """Note another artifact than the registry knows, or a failure that no write of the fleet caused."""
    live = record.live
    if (
        live is None
        or record.intent is not None
        or live.doubtful
        or live.status.in_transition
        or record.owned != live.created
        or not live.described
        or record.is_vouched
    ):
        return record, []
    known, served, failure = record.serving, Artifact(uri=live.artifact_uri or ""), record.failure
    forgiven = known is None and failure is None and record.vouched is not None  # it was seen as failed
    record = replace(
        record,
        endpoint=live.endpoint or record.endpoint,
        base=live.base or record.base,
        vouched=live.modified,
    )
    if live.status is Status.FAILED:
        blamed = known or served
        record = replace(record, serving=None)
        if forgiven or failure is not None or not blamed.uri:
            return record, []  # SageMaker does not report which artifact has failed
        return with_failure(record, blamed, live.failure_reason or _NO_REASON, context)
    if known is not None and known.uri == served.uri:
        return record, []
    if failure is not None and failure.artifact.same_as(served):
        if known is None and failure.cause.retried:
            failure = None  # it failed before a listing showed that it is there
        elif known is not None and failure.cause is Cause.UPDATE_REFUSED:
            failure = None  # somebody else has sent it
    changed = replace(
        record,
        serving=served,
        changed_at=live.modified,
        drifted=None if known is None else f"serves {served.uri} instead of {known.uri}",
        failure=failure,
        unconfirmed=None,
        archive_trouble=None,
    )
    what = "adopted" if known is None else "drifted"
    return changed, [_event(record, context, what, before=known, after=served)]


def _with_last_good(record: AdapterRecord, want: DesiredAdapter | None) -> AdapterRecord:
    """Return the record with what serves as the last good artifact, once nothing is left to confirm."""
    serving = record.serving
    if want is None or serving is None or not _is_good(record, want):
        return record
    if serving.same_as(want.artifact):
        known = want.artifact if serving.digest is None else serving
        serving = replace(known, probe=want.artifact.probe)
    restored = not (record.restores or record.restore_at)
    if restored and _is_known_as(record.last_good, serving) and _is_known_as(record.serving, serving):
        return record
    # The same adapter at another address is no other version.
    others = [version for version in record.versions if not version.same_version_as(serving)]
    return replace(
        record,
        serving=serving,
        last_good=serving,
        versions=(serving, *others)[:MAX_VERSIONS],
        passed=serving if serving.same_as(record.passed) else record.passed,
        restore_at=None,
        restores=0,
    )


def _is_known_as(stored: Artifact | None, artifact: Artifact) -> bool:
    """Return True if an artifact is stored with its present probe, which does not tell artifacts apart."""
    return stored is not None and stored == artifact and stored.probe == artifact.probe


def _is_good(record: AdapterRecord, want: DesiredAdapter) -> bool:
    """Return True if an adapter is in service, and nothing is left to confirm."""
    live, failure = record.live, record.failure
    return (
        live is not None
        and live.status is Status.IN_SERVICE
        and record.intent is None
        and record.is_vouched
        and record.drifted is None
        and record.recheck is None
        and record.unconfirmed is None
        and (failure is None or not failure.artifact.same_as(record.serving))
        and has_passed(record, want)
        and is_proven(record, want)
    )


def _event(
    record: AdapterRecord,
    context: PlanContext,
    what: str,
    *,
    before: Artifact | None = None,
    after: Artifact | None = None,
    intent: Intent | None = None,
    ended: float | None = None,
    cause: str | None = None,
) -> Event:
    seconds = None
    if intent is not None:
        seconds = max(0.0, (ended if ended is not None else context.now) - intent.at)
    return Event(
        component=record.component,
        name=record.name,
        at=context.now,
        what=what,
        generation=intent.generation if intent is not None else context.generation,
        before=before.version if before else None,
        after=after.version if after else None,
        before_artifact=before,
        after_artifact=after,
        seconds=seconds,
        cause=cause,
    )
