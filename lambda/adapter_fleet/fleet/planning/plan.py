"""What to do next with each component: pure functions of what is wanted, remembered and seen.

`settle` takes in what the service said about a write; `decide` says what comes next; `plan` does both for a
whole fleet, and `refusal` says whether a guard stops it. None of them looks at anything but its arguments, so
the same state gives the same plan, in the Lambda and on the command line.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from adapter_fleet.common.naming import FLEET_TAG
from adapter_fleet.fleet.state.failures import cause_of, failed
from adapter_fleet.fleet.state.records import (
    MOST_VERSIONS,
    AdapterRecord,
    Cause,
    Event,
    Failure,
    Intent,
    Live,
    Order,
    OrderKind,
    Recheck,
    Status,
    Target,
    Write,
)
from adapter_fleet.fleet.state.settings import DeletionLimit, UpdateMode
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter

SETTLING_SECONDS = 30.0
"""How long a write that was taken may not show yet. [I] A describe may lag behind; none is known to."""

STUCK_SECONDS = 1800.0
"""After this, a component in transition counts as failed, though it is looked at again. [T] Creating can last
very long; notebooks tell of two minutes for an adapter, and five for an update."""

MOST_LOST = 5
"""After so many writes in a row of which nothing was heard or seen, it is tried again later and later."""

MOST_RESTORES = 5
"""So often the last good artifact is tried again that the service blames, though it has served."""

_RESTORE_SECONDS = 60.0

_NOT_IN_PLACE = "the container cannot update it in place"
_DELETED_BY_HAND = "someone deleted it"


class Step(StrEnum):
    """What comes next for a component."""

    KEEP = "keep"
    """In service, as wanted."""
    LOOK = "look"
    """Describe it: too little is known."""
    READ_TAGS = "read-tags"
    """Find out whose it is."""
    CLAIM = "claim"
    """Put the fleet's tag on it, as someone asked to."""
    RELEASE = "release"
    """Take the fleet's tag off it: an import that is undone."""
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    RETAG = "retag"
    SMOKE = "smoke"
    """Send the smoke request."""
    ASK = "ask"
    """Ask it anything: the base model changed, and may have lost it."""
    VERIFY = "verify"
    """Copy or read its archive first, which takes too long for a step that writes."""
    CONFIRM = "confirm"
    """Compare its archive with the version that was verified before the write."""
    WAIT = "wait"
    """A write is under way."""
    STUCK = "stuck"
    """A write has been under way for too long; it is looked at now and then, and nothing waits for it."""
    HOLD = "hold"
    """To be deleted, once everything else is done."""
    FAILED = "failed"
    """Nothing to do before `until`, or at all."""
    FOREIGN = "foreign"
    """Someone else's."""
    ORPHAN = "orphan"
    """It carries the fleet's tag, and no guard has counted its deletion: it is left alone."""
    FORGET = "forget"
    """Gone, as wanted."""

    @property
    def writes(self) -> bool:
        """Whether it changes something at the service."""
        return self in (
            Step.CLAIM,
            Step.RELEASE,
            Step.CREATE,
            Step.UPDATE,
            Step.DELETE,
            Step.RETAG,
            Step.HOLD,
        )

    @property
    def reads(self) -> bool:
        """Whether too little is known to say more before the service is asked."""
        return self in (Step.LOOK, Step.READ_TAGS)

    @property
    def asks(self) -> bool:
        """Whether it sends a request to the adapter."""
        return self in (Step.SMOKE, Step.ASK)

    @property
    def of_archive(self) -> bool:
        """Whether it looks at the archive in S3, and nothing else."""
        return self in (Step.VERIFY, Step.CONFIRM)

    @property
    def settled(self) -> bool:
        """Whether nothing is to be done, now or at all."""
        return self in (Step.KEEP, Step.FAILED, Step.STUCK, Step.FOREIGN, Step.ORPHAN, Step.FORGET)

    @property
    def fails(self) -> bool:
        """Whether a component is not as wanted, and nothing more is done about that now."""
        return self in (Step.FAILED, Step.STUCK) or self.left_alone

    @property
    def left_alone(self) -> bool:
        """Whether the fleet may not touch a component. It fails only where the manifest wants it."""
        return self in (Step.FOREIGN, Step.ORPHAN)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The next step for one component.

    artifact:
        What to create or update it with.
    until:
        When a failed one is tried again.
    restores:
        Whether `artifact` is the last good one, in the place of the wanted one. Of a deletion, whether it
        makes room for that.
    """

    step: Step
    artifact: Artifact | None = None
    until: float | None = None
    restores: bool = False
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Context:
    """What decisions depend on beside the component itself.

    deletes:
        Whether components that are not wanted go now; before, everything else is brought in order.
    undone:
        The generation from which on everything is undone.
    foreign, claims:
        Creation times, by component, of those known to be someone else's, and of those to be taken over.
    """

    now: float
    generation: int
    endpoint: str
    base: str
    tags: Mapping[str, str] = field(default_factory=dict)
    update_mode: UpdateMode = UpdateMode.IN_PLACE
    deletes: bool = False
    undone: int | None = None
    foreign: Mapping[str, float] = field(default_factory=dict)
    claims: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        target: Target,
        *,
        now: float,
        generation: int,
        foreign: Mapping[str, float],
        orders: Iterable[Order] = (),
        deletes: bool = False,
        undone: int | None = None,
    ) -> "Context":
        """Make the context of a generation with this target."""
        claims = {
            order.component: order.created
            for order in orders
            if order.kind is OrderKind.CLAIM and order.created is not None
        }
        return cls(
            now=now,
            generation=generation,
            endpoint=target.endpoint,
            base=target.base,
            tags=target.tags,
            update_mode=target.settings.update_mode,
            deletes=deletes,
            undone=undone,
            foreign=foreign,
            claims=claims,
        )


def tags_of(want: DesiredAdapter, context: Context) -> dict[str, str]:
    """Return the tags of a component, beside the fleet's own: those of the fleet, then the adapter's."""
    return {**context.tags, **want.tags}


# --- what the service said of a write


def settle(
    record: AdapterRecord, want: DesiredAdapter | None, context: Context
) -> tuple[AdapterRecord, list[Event]]:
    """Take in what the service last said: end the write in flight if it has ended, and note what changed.

    Asks nothing of the record but its own fields; the result is a fixed point (settling it changes nothing).
    """
    record, events = _end_of_write(_without_void_failure(record, want, context), context)
    if record.live is None and record.intent is None and record.owned is not None:
        gone = _without_component(record, failure=record.failure)
        if not _is_orphan(record, want):
            event = _event(record, context, "drifted", before=record.serving, cause=_DELETED_BY_HAND)
            gone, events = replace(gone, drifted=_DELETED_BY_HAND), [*events, event]
        record = gone
    if want is not None:
        record, foreign = _foreign(record, want, context)
        events = [*events, *foreign]
    record, drifted = _drift(record, context)
    return _good(record, want), events + drifted


def _without_void_failure(
    record: AdapterRecord, want: DesiredAdapter | None, context: Context
) -> AdapterRecord:
    """Forget a failure that says nothing any more.

    It was elsewhere, was the answer to another request, or that of a deletion that is not wanted any more.
    """
    failure = record.failure
    if failure is None:
        return record
    elsewhere = failure.endpoint not in (None, context.endpoint) or failure.base not in (None, context.base)
    smoke = want.smoke.digest if want is not None and want.smoke is not None else None
    asked_otherwise = want is not None and failure.smoke not in (None, smoke)
    of_deletion = want is not None and not failure.artifact.uri
    return replace(record, failure=None) if elsewhere or asked_otherwise or of_deletion else record


def _end_of_write(record: AdapterRecord, context: Context) -> tuple[AdapterRecord, list[Event]]:
    intent, live = record.intent, record.live
    if intent is None or (live is not None and (live.doubtful or live.status.in_transition)):
        return _own_acknowledged(record), []
    record = _own_acknowledged(record)
    if live is None:
        return _gone(record, intent, context)
    if record.owned != live.created:
        return record, []  # whose it is comes first
    if intent.write is Write.DELETE:
        return _not_begun(record, intent, context)
    if live.status is Status.FAILED:
        if not live.described:
            return record, []
        return _write_failed(record, intent, live, context)
    if intent.write is Write.CREATE:
        if intent.acknowledged is not None:
            # It runs with the specification that was sent.
            return _write_succeeded(record, intent, live, context)
        if not live.described:
            return record, []
        record, events = _write_succeeded(record, intent, live, context)
        # The pass that made it is gone, and someone may have changed it since.
        return replace(record, vouched=None), events
    if not live.described:
        return record, []
    assert intent.artifact is not None  # an update has one
    if intent.modified_before == live.modified:
        return _not_begun(record, intent, context)
    if live.artifact_uri == intent.artifact.uri and not _failed_in_place(record, intent, live):
        return _write_succeeded(record, intent, live, context)
    new_reason = live.failure_reason is not None and live.failure_reason != intent.failure_reason_before
    if new_reason or (live.failure_reason is not None and intent.acknowledged is not None):
        return _write_failed(record, intent, live, context)
    # No sign of it: a last-modified time may move by itself.
    return _not_begun(record, intent, context)


def _failed_in_place(record: AdapterRecord, intent: Intent, live: Live) -> bool:
    """Tell whether an update to the very object that was served before has failed.

    [V ACK, Terraform] A failed update goes back to InService with a FailureReason, which may outlive a later
    success. So it is the artifact that tells, and only where it stays the same, a new reason.
    """
    return (
        record.serving is not None
        and intent.artifact is not None
        and record.serving.uri == intent.artifact.uri
        and live.failure_reason is not None
        and live.failure_reason != intent.failure_reason_before
    )


def _own_acknowledged(record: AdapterRecord) -> AdapterRecord:
    """Take a component for the fleet's that appeared when its creation was acknowledged.

    Its tags are not read for that. An hour of difference between two clocks is more than there is; one that
    someone made later has another creation time.
    """
    intent, live = record.intent, record.live
    if (
        live is None
        or record.owned == live.created
        or intent is None
        or intent.write is not Write.CREATE
        or intent.acknowledged is None
    ):
        return record
    if record.owned is None and abs(live.created - intent.acknowledged) <= SETTLING_SECONDS:
        return replace(record, owned=live.created)
    return record


def _gone(record: AdapterRecord, intent: Intent, context: Context) -> tuple[AdapterRecord, list[Event]]:
    """A component that is not there: deleted as meant, or not yet created, or lost."""
    if record.absent_at is None:
        return record, []  # nobody has looked
    if intent.write is Write.DELETE:
        ended = _event(record, context, "deleted", before=record.serving, intent=intent)
        return _without_component(record, failure=record.failure), [ended]
    if intent.acknowledged is not None and record.absent_at - intent.acknowledged < SETTLING_SECONDS:
        return record, []  # it may show yet
    return _lost(_without_component(record, failure=record.failure), intent, context)


def _lost(record: AdapterRecord, intent: Intent, context: Context) -> tuple[AdapterRecord, list[Event]]:
    """End a write that left no trace; one that is lost again and again counts as a failure for now."""
    record = replace(record, intent=None)
    if intent.acknowledged is not None:
        return record, []
    if record.lost + 1 < MOST_LOST:
        return replace(record, lost=record.lost + 1), []
    known = record.failure.artifact if record.failure is not None else None
    return with_failure(
        replace(record, lost=0),
        intent.artifact or known or record.serving or Artifact(uri=""),
        f"the service gave no answer to {MOST_LOST} requests to {intent.write} it"
        + (f": {intent.error}" if intent.error else ""),
        context,
        cause=Cause.CAPACITY,
    )


def _without_component(record: AdapterRecord, *, failure: Failure | None) -> AdapterRecord:
    return replace(
        record,
        live=None,
        owned=None,
        serving=None,
        vouched=None,
        passed=None,
        intent=None,
        endpoint=None,
        base=None,
        failure=failure,
        tags={},
        drifted=None,
        recheck=None,
        claimed=None,
        adopted=False,
        counted=None,
        not_in_place=False,
        unconfirmed=None,
    )


def _not_begun(record: AdapterRecord, intent: Intent, context: Context) -> tuple[AdapterRecord, list[Event]]:
    """A write that does not show: it was lost on the way, or will show later."""
    since = intent.acknowledged if intent.acknowledged is not None else intent.at
    if context.now - since < SETTLING_SECONDS:
        return record, []
    return _lost(record, intent, context)


def _write_succeeded(
    record: AdapterRecord, intent: Intent, live: Live, context: Context
) -> tuple[AdapterRecord, list[Event]]:
    assert intent.artifact is not None  # creates and updates have one
    what = "created" if intent.write is Write.CREATE else "updated"
    if intent.restores:
        what = "restored"
    event = _event(
        record,
        context,
        what,
        before=record.serving,
        after=intent.artifact,
        intent=intent,
        ended=live.modified,
    )
    recheck = record.recheck
    if recheck is Recheck.SEND:
        # Of an update to the same object whose answer was lost, nothing tells that it arrived.
        recheck = Recheck.ASK if intent.acknowledged is None else None
        # Nor, where a failure has the words of an earlier one, whether it was taken.
        if recheck is None and live.failure_reason is not None:
            recheck = Recheck.SENT
    changed = replace(
        record,
        serving=intent.artifact,
        vouched=live.modified,
        intent=None,
        lost=0,
        failure=record.failure if intent.restores else None,
        endpoint=intent.endpoint if intent.write is Write.CREATE else record.endpoint,
        base=intent.base if intent.write is Write.CREATE else record.base,
        generation=record.generation if intent.restores else intent.generation,
        changed_at=live.modified,
        drifted=None,
        # Whether it was before the base model changed that it came into service, nothing tells.
        recheck=recheck,
        unconfirmed=intent.archive,
    )
    return changed, [event]


def _write_failed(
    record: AdapterRecord, intent: Intent, live: Live, context: Context
) -> tuple[AdapterRecord, list[Event]]:
    assert intent.artifact is not None  # creates and updates have one
    reason = live.failure_reason or "the service gave no reason"
    return with_failure(replace(record, vouched=None, lost=0), intent.artifact, reason, context)


def with_failure(
    record: AdapterRecord,
    artifact: Artifact,
    reason: str,
    context: Context,
    *,
    cause: Cause | None = None,
    smoke: str | None = None,
) -> tuple[AdapterRecord, list[Event]]:
    """Note that `artifact` could not be brought into service; end the write in flight.

    smoke:
        Digest of the smoke request that had no right answer.
    """
    intent, known = record.intent, record.failure
    restoring = record.last_good is not None and record.last_good.same_as(artifact)
    if restoring and known is not None and not known.artifact.same_as(artifact):
        # What is known of the wanted one stays.
        event = _event(record, context, "failed", after=artifact, cause=f"could not be restored: {reason}")
        told = cause or cause_of(reason)
        if told is Cause.UPDATE_REFUSED and context.update_mode is UpdateMode.REPLACE:
            return replace(record, intent=None, not_in_place=True), [event]
        restores = record.restores + 1
        # It has served: what the service says of it now may be about something else, for a while.
        if not told.retried and restores >= MOST_RESTORES:
            return replace(record, intent=None, last_good=None, restore_at=None, restores=0), [event]
        wait = _RESTORE_SECONDS * 2 ** min(restores - 1, MOST_RESTORES)
        return replace(record, intent=None, restore_at=context.now + wait, restores=restores), [event]
    failure = failed(
        record.component,
        artifact,
        reason,
        before=record.failure,
        now=context.now,
        generation=intent.generation if intent is not None else context.generation,
        cause=cause,
    )
    failure = replace(failure, endpoint=context.endpoint, base=context.base, smoke=smoke)
    changed = replace(record, intent=None, failure=failure, generation=failure.generation)
    return changed, [_event(record, context, "failed", before=record.serving, after=artifact, cause=reason)]


def _foreign(
    record: AdapterRecord, want: DesiredAdapter, context: Context
) -> tuple[AdapterRecord, list[Event]]:
    """Note that a wanted component turned out to be someone else's."""
    live, failure = record.live, record.failure
    if (
        live is None
        or record.owned == live.created
        or context.foreign.get(record.component) != live.created
        or _is_claimed(record, live, context)
        or (
            failure is not None
            and failure.artifact == want.artifact
            and (failure.cause, failure.reason) == (Cause.FOREIGN, why_foreign(record))
        )
    ):
        return record, []
    record = replace(
        record, owned=None, intent=None, serving=None, vouched=None, last_good=None, failure=None
    )
    return with_failure(record, want.artifact, why_foreign(record), context, cause=Cause.FOREIGN)


def _is_claimed(record: AdapterRecord, live: Live, context: Context) -> bool:
    """Tell whether the fleet is to take a component over: someone ordered it, and no stack has it."""
    return context.claims.get(record.component) == live.created and record.other_stack is None


def known_foreign(
    foreign: Mapping[str, float],
    records: Mapping[str, AdapterRecord],
    wanted: Mapping[str, DesiredAdapter],
) -> dict[str, float]:
    """Return the strangers on an endpoint without those whose tags have to be read once more.

    Whose a stranger is, nobody remembers. It has to be said once a manifest has a component of its name.
    """
    return {
        component: created
        for component, created in foreign.items()
        if component not in wanted
        or (
            (record := records.get(component)) is not None
            and record.failure is not None
            and record.failure.cause is Cause.FOREIGN
        )
    }


def why_foreign(record: AdapterRecord) -> str:
    """Say why a component is not the fleet's, and what can be done: what has an owner is never taken over."""
    if record.other_stack is not None:
        return (
            f"a component named {record.component} is there and belongs to stack '{record.other_stack}';"
            " take it out of that stack, or give the adapter another 'component'"
        )
    there = f"a component named {record.component} is there and has"
    if record.other_fleet is None:
        return f"{there} no tag {FLEET_TAG} of this fleet; 'adapters import --take-over' makes it so"
    return (
        f"{there} the tag {FLEET_TAG} of another fleet, {record.other_fleet}; give this fleet another"
        " 'component_prefix', or have the other one give it up first"
    )


def _drift(record: AdapterRecord, context: Context) -> tuple[AdapterRecord, list[Event]]:
    """Note what someone else changed: the artifact, or that it failed by itself."""
    live = record.live
    if (
        record.intent is not None
        or live is None
        or live.doubtful
        or live.status.in_transition
        or record.owned != live.created
        or not live.described
        or record.vouched == live.modified
    ):
        return record, []
    record = replace(
        record,
        endpoint=live.endpoint or record.endpoint,
        base=live.base or record.base,
        vouched=live.modified,
    )
    before, served = record.serving, Artifact(uri=live.artifact_uri or "")
    if live.status is Status.FAILED:
        record = replace(record, serving=None)
        if record.failure is not None or not (before or served).uri:
            return record, []  # of which artifact it is, nothing tells
        reason = live.failure_reason or "the service gave no reason"
        return with_failure(record, before or served, reason, context)
    if before is not None and before.uri == served.uri:
        return record, []
    what = "adopted" if before is None else "drifted"
    drifted = None if before is None else f"serves {served.uri} in the place of {before.uri}"
    failure = record.failure
    if before is None and failure is not None and failure.cause.retried and failure.artifact.same_as(served):
        failure = None  # it was not to be had when no listing showed yet that it is there
    changed = replace(
        record,
        serving=served,
        changed_at=live.modified,
        drifted=drifted,
        failure=failure,
        unconfirmed=None,
    )
    return changed, [_event(record, context, what, before=before, after=served)]


def _good(record: AdapterRecord, want: DesiredAdapter | None) -> AdapterRecord:
    """Note that what is serving is good, once nothing more is asked of it."""
    serving, live = record.serving, record.live
    if (
        want is None
        or serving is None
        or live is None
        or live.status is not Status.IN_SERVICE
        or record.intent is not None
        or record.vouched != live.modified
        or record.drifted is not None
        or record.recheck is not None  # it may have been lost with its base model
        or record.unconfirmed is not None
        or (record.failure is not None and record.failure.artifact.same_as(serving))
        or not _has_passed(record, want)
    ):
        return record
    if serving.digest is None and serving.same_as(want.artifact):
        serving = want.artifact
    if serving == record.last_good and serving == record.serving:
        return record
    passed = serving if record.passed is not None and record.passed.same_as(serving) else record.passed
    # The same adapter at another address is no other version to go back to.
    others = [version for version in record.versions if not version.same_version_as(serving)]
    return replace(
        record,
        serving=serving,
        last_good=serving,
        versions=(serving, *others)[:MOST_VERSIONS],
        passed=passed,
        restore_at=None,
        restores=0,
        not_in_place=False,
    )


def _has_passed(record: AdapterRecord, want: DesiredAdapter) -> bool:
    """Tell whether what serves has given a right answer to the smoke request, if there is any."""
    if want.smoke is None:
        return True
    assert record.serving is not None  # whoever asks knows what serves
    return record.serving.same_as(record.passed) and record.passed_smoke == want.smoke.digest


def _event(
    record: AdapterRecord,
    context: Context,
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


# --- what comes next


def decide(record: AdapterRecord, want: DesiredAdapter | None, context: Context) -> Decision:
    """Return the next step for a component whose record is settled."""
    live = record.live
    if live is None:
        return _decide_absent(record, want, context)
    if live.doubtful:
        return Decision(step=Step.LOOK, why="a listing left it out")
    if record.owned != live.created:
        return _decide_unknown(record, live, want, context)
    if _is_orphan(record, want) and not _releases(record, context):
        return Decision(step=Step.ORPHAN, why="it has the fleet's tag, and no manifest wants it")
    if live.status.in_transition:
        return _decide_moving(record, live, context)
    if record.intent is not None:
        if live.described:
            return Decision(step=Step.WAIT, why="the last write may show yet")
        return Decision(step=Step.LOOK, why="a write ended, or was lost")
    if want is None:
        return _decide_unwanted(record, context)
    if record.vouched != live.modified:
        return Decision(step=Step.LOOK, why="it was modified")
    if _elsewhere(record, context) and record.counted is None:
        return Decision(
            step=Step.ORPHAN,
            why=f"it is on endpoint '{record.endpoint}' and base '{record.base}'; a deployment with"
            " 'allow_base_replacement' deletes and re-creates it",
        )
    if _elsewhere(record, context):
        return _delete(record, context, why="it belongs to another endpoint or base")
    if live.status is Status.FAILED:
        return _decide_failed(record, want, context)
    return _decide_serving(record, want, context)


def _decide_absent(record: AdapterRecord, want: DesiredAdapter | None, context: Context) -> Decision:
    intent = record.intent
    if intent is not None:
        if intent.acknowledged is None or context.now - intent.acknowledged >= SETTLING_SECONDS:
            return Decision(step=Step.LOOK, why="a write was lost")
        return Decision(step=Step.WAIT, why="it does not show yet")
    if want is None:
        return Decision(step=Step.FORGET)
    failing = _failing(record, want, context, updating=False)
    if failing is None:
        return Decision(step=Step.CREATE, artifact=want.artifact)
    return _restore(record, want, failing, context, step=Step.CREATE)


def _decide_unknown(
    record: AdapterRecord, live: Live, want: DesiredAdapter | None, context: Context
) -> Decision:
    # Not before a manifest has it: it would be deleted at once, as the fleet's and not wanted.
    if want is not None and _is_claimed(record, live, context):
        failing = _failing(record, want, context)
        if failing is None or failing.cause is Cause.FOREIGN:
            return Decision(step=Step.CLAIM)
        return Decision(step=Step.FAILED, until=failing.retry_at, why=failing.reason)
    # While it was being taken over, it may have got the tag.
    if context.foreign.get(record.component) == live.created and record.claimed is None:
        return Decision(step=Step.FOREIGN, why="a component of that name is not this fleet's")
    return Decision(step=Step.READ_TAGS)


def _decide_moving(record: AdapterRecord, live: Live, context: Context) -> Decision:
    # Right after a write, what the service last said of the component may be from long before.
    sent = 0.0 if record.intent is None else record.intent.acknowledged or record.intent.at
    since = max(live.modified, sent)
    if context.now - since > STUCK_SECONDS:
        minutes = int((context.now - since) / 60)
        return Decision(
            step=Step.STUCK,
            why=f"{live.status} for {minutes} minutes; the service refuses writes meanwhile",
        )
    return Decision(step=Step.WAIT, why=str(live.status))


def _decide_unwanted(record: AdapterRecord, context: Context) -> Decision:
    failure = record.failure
    if (
        failure is not None
        and failure.generation == context.generation
        and failure.retry_at is not None
        and failure.retry_at > context.now
    ):
        return Decision(step=Step.FAILED, until=failure.retry_at, why=failure.reason)
    if _releases(record, context):
        return Decision(step=Step.RELEASE, why="the import is undone")
    if not context.deletes:
        return Decision(step=Step.HOLD)
    # A listing may be of the one before, and a deletion goes by the name.
    if record.adopted and record.live is not None and not record.live.described:
        return Decision(step=Step.LOOK, why="the fleet did not make it")
    return Decision(step=Step.DELETE)


def _releases(record: AdapterRecord, context: Context) -> bool:
    """Tell whether a component that nobody wants loses the fleet's tag, and stays."""
    # What a person asked to take over is not the fleet's to delete before the manifest has had it.
    asked = context.claims.get(record.component) == record.owned
    undone = record.claimed is not None and context.undone is not None and record.claimed >= context.undone
    return asked or undone


def _is_orphan(record: AdapterRecord, want: DesiredAdapter | None) -> bool:
    """Tell whether a component of the fleet is neither wanted nor counted by a guard.

    A write in flight is the registry's own: its end is waited for first.
    """
    return want is None and record.counted is None and record.intent is None


def _decide_failed(record: AdapterRecord, want: DesiredAdapter, context: Context) -> Decision:
    failing = _failing(record, want, context, updating=False)
    if failing is None:
        return _delete(record, context, why="it failed, and there is another artifact to try")
    return _restore(record, want, failing, context, step=Step.DELETE)


def _decide_serving(record: AdapterRecord, want: DesiredAdapter, context: Context) -> Decision:
    serving = record.serving
    assert serving is not None  # it is vouched for
    failing = _failing(record, want, context)
    if serving.same_as(want.artifact):
        if failing is not None and failing.cause.retried:
            return Decision(step=Step.FAILED, until=failing.retry_at, why=failing.reason)
        if failing is not None and record.recheck is Recheck.SEND and _replaces(failing, context):
            return _delete(record, context, why=_NOT_IN_PLACE)
        if failing is not None:
            return _restore(record, want, failing, context, step=Step.UPDATE)
        if record.recheck is Recheck.SEND:
            return Decision(step=Step.UPDATE, artifact=serving, why="its base model lost it")
        if record.unconfirmed is not None:
            return Decision(step=Step.CONFIRM, artifact=serving)
        if dict(record.tags) != tags_of(want, context):
            return Decision(step=Step.RETAG)
        # Before the smoke request: a base that has lost it says nothing about the artifact.
        if record.recheck is not None:
            return Decision(step=Step.ASK)
        if not _has_passed(record, want):
            return Decision(step=Step.SMOKE)
        return Decision(step=Step.KEEP)
    if failing is None:
        return Decision(step=Step.UPDATE, artifact=want.artifact)
    later = record.restore_at if (record.restore_at or 0) > context.now else None
    if serving.same_as(record.last_good) and record.unconfirmed is not None and record.recheck is None:
        return Decision(step=Step.CONFIRM, artifact=serving, restores=True)
    if serving.same_as(record.last_good) and later is None:
        if record.recheck is Recheck.SEND and _replaces_good(record, context):
            return Decision(step=Step.DELETE, restores=True, why=_NOT_IN_PLACE)
        if record.recheck is Recheck.SEND:
            return Decision(step=Step.UPDATE, artifact=serving, restores=True, why="its base model lost it")
        if record.recheck is not None:
            return Decision(step=Step.ASK)
    if _replaces(failing, context):
        return _delete(record, context, why=_NOT_IN_PLACE)
    if serving.same_as(record.last_good) and record.recheck is not None and later is not None:
        return Decision(step=Step.FAILED, until=later, why=failing.reason)
    return _restore(record, want, failing, context, step=Step.UPDATE)


def _replaces(failing: Failure, context: Context) -> bool:
    """Tell whether an adapter is deleted and created again, as its container takes no update."""
    return failing.cause is Cause.UPDATE_REFUSED and context.update_mode is UpdateMode.REPLACE


def _replaces_good(record: AdapterRecord, context: Context) -> bool:
    return record.not_in_place and context.update_mode is UpdateMode.REPLACE


def _delete(record: AdapterRecord, context: Context, *, why: str) -> Decision:
    failure = record.failure
    if failure is not None and failure.cause.retried and (failure.retry_at or 0) > context.now:
        return Decision(step=Step.FAILED, until=failure.retry_at, why=failure.reason)
    return Decision(step=Step.DELETE, why=why)


def _restore(
    record: AdapterRecord, want: DesiredAdapter, failing: Failure, context: Context, *, step: Step
) -> Decision:
    """Bring back the last good artifact, by this step, unless it serves already or there is none."""
    good = record.last_good
    if good is None or good.same_as(want.artifact) or good.same_as(record.serving):
        return Decision(step=Step.FAILED, until=failing.retry_at, why=failing.reason)
    if record.restore_at is not None and record.restore_at > context.now:
        return Decision(step=Step.FAILED, until=record.restore_at, why=failing.reason)
    if step is Step.UPDATE and _replaces_good(record, context):
        return Decision(step=Step.DELETE, restores=True, why=_NOT_IN_PLACE)
    return Decision(step=step, artifact=good, restores=True, why=failing.reason)


def _failing(
    record: AdapterRecord, want: DesiredAdapter, context: Context, *, updating: bool = True
) -> Failure | None:
    """Return the failure that keeps the wanted artifact from being tried now, by an update or a creation."""
    failure = record.failure
    if failure is not None and failure.cause is Cause.UPDATE_REFUSED and not updating:
        return None
    if failure is not None and failure.cause is Cause.FOREIGN and record.live is None:
        return None  # it is gone
    if failure is None or not failure.artifact.same_as(want.artifact):
        return None
    if failure.retry_at is not None and failure.retry_at <= context.now:
        return None
    return failure


def _elsewhere(record: AdapterRecord, context: Context) -> bool:
    return (record.endpoint not in (None, context.endpoint)) or (record.base not in (None, context.base))


# --- the whole fleet


def pinned(
    desired: Iterable[DesiredAdapter], orders: Iterable[Order], records: Mapping[str, AdapterRecord]
) -> dict[str, DesiredAdapter]:
    """Return what is wanted, by component, with the artifacts that people pinned, and did not unpin.

    A pin counts only for a version that served: whoever may give orders may declare nothing.
    """
    orders = list(orders)
    unpinned = {order.component for order in orders if order.kind is OrderKind.UNPIN}
    pins = {
        order.component: order
        for order in orders
        if order.kind is OrderKind.PIN and order.component not in unpinned
    }
    wanted = {}
    for adapter in desired:
        pin = pins.get(adapter.component)
        if pin is not None and adapter.artifact.same_version_as(pin.replaces):
            known = remembered(records.get(adapter.component), pin.artifact)
            adapter = adapter if known is None else replace(adapter, artifact=known)
        wanted[adapter.component] = adapter
    return wanted


def remembered(record: AdapterRecord | None, artifact: Artifact | None) -> Artifact | None:
    """Return the version that served, and that an artifact names; None where none did."""
    versions = () if record is None else record.versions
    return next((version for version in versions if version.same_as(artifact)), None)


def sighted(
    records: Mapping[str, AdapterRecord], listing: Mapping[str, Live], *, base: str
) -> dict[str, AdapterRecord]:
    """Return the records with what a full listing of the endpoint says; strangers get one without a name.

    A listing may lag behind: what is known to be newer stays, and what it leaves out is doubted, not gone.
    """
    seen = {}
    for component, record in records.items():
        listed = listing.get(component)
        seen[component] = _listed(record, listed) if listed is not None else _left_out(record)
    for component, live in listing.items():
        if component not in seen and component != base:
            seen[component] = AdapterRecord(name="", component=component, live=live)
    return seen


def _listed(record: AdapterRecord, listed: Live) -> AdapterRecord:
    live = record.live
    if live is not None:
        if (listed.created, listed.modified) < (live.created, live.modified):
            return record if not live.doubtful else replace(record, live=replace(live, doubtful=False))
        if (listed.created, listed.modified, listed.status) == (live.created, live.modified, live.status):
            return record if not live.doubtful else replace(record, live=replace(live, doubtful=False))
    return replace(record, live=listed)


def _left_out(record: AdapterRecord) -> AdapterRecord:
    live, intent = record.live, record.intent
    if live is None:
        return record
    if intent is not None and intent.write is Write.DELETE and intent.acknowledged is not None:
        # Gone, as was asked. No listing is ahead of its time.
        return replace(record, live=None, absent_at=intent.acknowledged)
    return replace(record, live=replace(live, doubtful=True))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The next step for every component of a fleet, and the strangers on its endpoint."""

    decisions: Mapping[str, Decision]

    def components(self, *steps: Step) -> list[str]:
        """Return the components with one of these steps next, in the order of their names."""
        return sorted(name for name, decision in self.decisions.items() if decision.step in steps)

    @property
    def changes(self) -> list[str]:
        """The components that it writes on."""
        return sorted(name for name, decision in self.decisions.items() if decision.step.writes)

    @property
    def unknown(self) -> list[str]:
        """The components that have to be looked at before more can be said."""
        return sorted(name for name, decision in self.decisions.items() if decision.step.reads)


def plan(
    records: Mapping[str, AdapterRecord], wanted: Mapping[str, DesiredAdapter], context: Context
) -> Plan:
    """Return the next step for each component that is remembered, seen or wanted."""
    decisions = {}
    for component in sorted(records.keys() | wanted.keys()):
        want = wanted.get(component)
        record = records.get(component) or new_record(component, want)
        record, _ = settle(record, want, context)
        decisions[component] = decide(record, want, context)
    return Plan(decisions=decisions)


def new_record(component: str, want: DesiredAdapter | None) -> AdapterRecord:
    """Return the record of a component of which nothing is known."""
    return AdapterRecord(name=want.name if want is not None else "", component=component)


def adopted(record: AdapterRecord, live: Live, tags: Mapping[str, str]) -> AdapterRecord:
    """Return the record of a component that turned out to be the fleet's, of which nothing else is known."""
    name = record.name or record.component
    record = replace(record, owned=live.created, tags=dict(tags), name=name)
    record = replace(record, other_fleet=None, other_stack=None)
    if record.failure is not None and record.failure.cause is Cause.FOREIGN:
        record = replace(record, failure=None)
    intent = record.intent
    creating = intent is not None and intent.write is Write.CREATE
    if intent is not None and creating and live.created >= intent.at - SETTLING_SECONDS:
        return record  # it is what the fleet has made
    return replace(record, adopted=True, counted=None, serving=None, vouched=None, passed=None, intent=None)


def base_trouble(base: str, live: Live | None) -> str | None:
    """Return why no adapter can be made on a base component now, None where one can be.

    live:
        What a full listing of the endpoint says of it, None where it is left out.
    """
    if live is not None and live.status in (Status.IN_SERVICE, Status.UPDATING):
        return None
    return f"the base component '{base}' is {live.status if live is not None else 'not there'}"


def with_new_attempts(record: AdapterRecord) -> AdapterRecord:
    """Return a record as a new generation begins with it: without the failures that may be mended by now.

    An artifact's own fault waits for another artifact, or for `adapters retry`.
    """
    failure = record.failure
    # Another archive than was recorded costs a look at S3, and people may have put the right one there.
    if failure is not None and (failure.cause.retried or failure.unverified):
        failure = None
    return replace(record, failure=failure, restore_at=None)


def counted(
    records: Mapping[str, AdapterRecord],
    wanted: Mapping[str, DesiredAdapter],
    target: Target,
    *,
    generation: int,
    spares_adopted: bool = False,
) -> dict[str, AdapterRecord]:
    """Return the records whose deletion a generation counts, once its guard let it pass, with that count.

    Those that it does not want, and those that it wants elsewhere.

    spares_adopted:
        Whether components stay that carried the tag before the registry knew them. What takes something
        back deletes only what the fleet itself has made.
    """
    return {
        component: replace(record, counted=generation)
        for component, record in records.items()
        if (record.owned is not None or record.intent is not None)
        and (
            record.endpoint not in (None, target.endpoint) or record.base not in (None, target.base)
            if component in wanted
            else not (spares_adopted and record.adopted)
        )
    }


def refusal(
    records: Mapping[str, AdapterRecord], wanted: Mapping[str, DesiredAdapter], target: Target
) -> str | None:
    """Return why a guard stops this, with the name of the setting that lets it pass; None if none does."""
    owned = {
        component: record
        for component, record in records.items()
        # One that is being made may not show yet.
        if record.owned is not None or record.intent is not None
    }
    if not target.settings.allow_base_replacement:
        for component, record in sorted(owned.items()):
            if record.endpoint not in (None, target.endpoint) or record.base not in (None, target.base):
                return (
                    f"{component} and maybe more are on endpoint '{record.endpoint}' and base"
                    f" '{record.base}', and would have to be deleted and created on '{target.endpoint}'"
                    f" and '{target.base}'; 'allow_base_replacement' lets that happen"
                )
    limit = target.settings.deletions
    deleted = len(owned.keys() - wanted.keys())
    if owned and not wanted and not limit.allow_empty:
        return (
            f"the manifest has no adapters, and the fleet has {len(owned)}; 'deletion_guard' with"
            " 'allow_empty' lets all of them be deleted"
        )
    return _too_many_deletions(deleted, len(owned), limit)


def _too_many_deletions(deleted: int, owned: int, limit: DeletionLimit) -> str | None:
    if owned <= limit.above or deleted <= limit.share * owned:
        return None
    return (
        f"{deleted} of {owned} adapters would be deleted, and 'deletion_guard' allows"
        f" {limit.share:.0%}; a higher share there lets them be deleted"
    )
