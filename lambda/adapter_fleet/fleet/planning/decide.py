"""Decisions: the next step for one component, from what is wanted, stored and observed."""

from dataclasses import dataclass
from enum import StrEnum

from adapter_fleet.fleet.planning.context import PlanContext, is_elsewhere, tags_of
from adapter_fleet.fleet.planning.deletion_guard import is_orphan
from adapter_fleet.fleet.planning.observe import SETTLING_SECONDS, is_claimed
from adapter_fleet.fleet.planning.proof import has_passed, is_proven
from adapter_fleet.fleet.state.components import ObservedComponent, Status
from adapter_fleet.fleet.state.failures import Cause, Failure
from adapter_fleet.fleet.state.records import AdapterRecord, Recheck
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter

STUCK_SECONDS = 1800.0
"""After this long in transition a component counts as failed, though it is still observed. [T] A creation can
take very long. Saved notebooks have two minutes for a creation and nine for an update."""

_LOST_BY_BASE = "its base model lost it"
_REPLACED = "another answers in its place"
_NO_COPY = "the base model has no copy; the next one is asked whether it has the adapter"
_SPARED = "'adapters apply --retry NAME', a deployment, or a drift check with 'repair' restores it"


class Lane(StrEnum):
    """Which calls a step makes. How many of a lane run at a time, and its rate: `reconcile.work_queue`."""

    NONE = "none"
    READ = "read"
    """It reads SageMaker, or an archive's head, before the next decision."""
    ASK = "ask"
    """It sends a request to the adapter."""
    PROBE = "probe"
    """It sends requests to the adapter, and runs alone."""
    ARCHIVE = "archive"
    """It reads the archive in S3 and calls nothing else."""
    WRITE = "write"
    """It changes something in SageMaker."""
    LAST = "last"
    """It writes once everything else is settled."""


class Standing(StrEnum):
    """What a step says of its component."""

    MOVES = "moves"
    RESTS = "rests"
    """There is nothing to do, for now or at all."""
    FAILS = "fails"
    """It is not as wanted, and nothing more is done about it now."""
    APART = "apart"
    """The fleet may not touch it. Only a wanted component fails by that."""


class Step(StrEnum):
    """The next step for a component, with its lane and its standing."""

    lane: Lane
    standing: Standing

    def __new__(cls, text: str, lane: Lane = Lane.NONE, standing: Standing = Standing.MOVES) -> "Step":
        """Make a step."""
        step = str.__new__(cls, text)
        step._value_, step.lane, step.standing = text, lane, standing
        return step

    KEEP = "keep", Lane.NONE, Standing.RESTS
    """Nothing: it is in service as wanted."""
    LOOK = "look", Lane.READ
    """Describe it."""
    READ_TAGS = "read-tags", Lane.READ
    """Read its tags to find out whose it is."""
    CLAIM = "claim", Lane.WRITE
    """Put the fleet's tag on it, as a person ordered."""
    CREATE = "create", Lane.WRITE
    UPDATE = "update", Lane.WRITE
    DELETE = "delete", Lane.WRITE
    RETAG = "retag", Lane.WRITE
    SMOKE = "smoke", Lane.ASK
    """Send the smoke request."""
    PROBE = "probe", Lane.PROBE
    """Send the probe: does the adapter itself answer, on every copy?"""
    ASK = "ask", Lane.ASK
    """Send any request: the base model changed, and may have lost the adapter."""
    VERIFY = "verify", Lane.ARCHIVE
    """Copy or read its archive before a write. This takes too long for the step that writes."""
    CHECK_ARCHIVE = "check-archive", Lane.READ
    """Look whether the archive of what serves is still there. Nobody decides that: drift checks do it."""
    CONFIRM = "confirm", Lane.ARCHIVE
    """Compare its archive with the version that was verified before the write."""
    WAIT = "wait"
    """Wait for a write that is under way."""
    ASLEEP = "asleep", Lane.NONE, Standing.RESTS
    """Nothing until the base model has a copy. Then it is asked, or tried again."""
    STUCK = "stuck", Lane.NONE, Standing.FAILS
    """Look at it now and then: a write has been under way for too long, and nothing waits for it."""
    HOLD = "hold", Lane.LAST
    """Delete it once everything else is settled."""
    FAILED = "failed", Lane.NONE, Standing.FAILS
    """Nothing before `until`, or nothing at all."""
    SPARED = "spared", Lane.NONE, Standing.RESTS
    """Nothing: somebody changed it by hand, and this pass does not repair that."""
    FOREIGN = "foreign", Lane.NONE, Standing.APART
    """Nothing: it belongs to someone else."""
    ORPHAN = "orphan", Lane.NONE, Standing.APART
    """Nothing: it carries the fleet's tag, but no guard has counted its deletion."""
    FORGET = "forget", Lane.NONE, Standing.RESTS
    """Forget its record: it is gone, as wanted."""

    @property
    def writes(self) -> bool:
        """True if the step changes something in SageMaker."""
        return self.lane in (Lane.WRITE, Lane.LAST)

    @property
    def asks(self) -> bool:
        """True if the step sends a request to the adapter."""
        return self.lane in (Lane.ASK, Lane.PROBE)

    @property
    def reads(self) -> bool:
        """True if SageMaker, or an archive's head, has to be read before the next decision."""
        return self.lane is Lane.READ

    @property
    def settled(self) -> bool:
        """True if there is nothing to do, for now or at all."""
        return self.standing is not Standing.MOVES

    @property
    def fails(self) -> bool:
        """True if a wanted component is not as wanted, and nothing more is done about it now."""
        return self.standing in (Standing.FAILS, Standing.APART)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The next step for one component.

    artifact:
        The artifact to create or update it with, also after a deletion, or to confirm.
    until:
        When a failed component is tried again, or the tags of a foreign one are read again.
    restores:
        True if `artifact` is the last good one instead of the wanted one. For a deletion: True if the
        component is deleted to be re-created with the last good one.
    """

    step: Step
    artifact: Artifact | None = None
    until: float | None = None
    restores: bool = False
    why: str = ""


def decide(record: AdapterRecord, want: DesiredAdapter | None, context: PlanContext) -> Decision:
    """Return the next step for a component whose record is settled."""
    decision = _decide(record, want, context)
    if want is None:
        return decision
    spares = context.spares_changes and not record.ordered and decision.step.writes
    if spares and _is_changed_by_hand(record, want, decision):
        found = record.drifted or "somebody changed its tags"
        return Decision(step=Step.SPARED, why=f"{found}; {_SPARED}")
    if context.has_copies or not _needs_copy(record, decision):
        return decision
    return Decision(step=Step.ASLEEP, why=_NO_COPY)


def _is_changed_by_hand(record: AdapterRecord, want: DesiredAdapter, decision: Decision) -> bool:
    """Return True if a write would take back what somebody did by hand.

    It would not if the fleet's own artifact serves and is only sent again, or if an attempt is repeated. And
    if it sends another version than the last good one, somebody ordered that since.
    """
    if decision.step is Step.RETAG:
        return record.failure is None
    if decision.artifact is not None and not decision.artifact.same_as(record.last_good):
        return False
    serving = record.serving
    own = serving is not None and (serving.same_as(want.artifact) or serving.same_as(record.last_good))
    return record.drifted is not None and not own


def _needs_copy(record: AdapterRecord, decision: Decision) -> bool:
    """Return True if only a copy of the base model helps. For want of one, no adapter fails."""
    if decision.step is Step.FAILED:
        return record.failure is not None and record.failure.cause is Cause.CAPACITY
    return decision.step.asks or decision.step is Step.STUCK


def _decide(record: AdapterRecord, want: DesiredAdapter | None, context: PlanContext) -> Decision:
    live = record.live
    if live is None:
        return _decide_absent(record, want, context)
    if live.doubtful:
        return Decision(step=Step.LOOK, why="a listing left it out")
    if record.owned != live.created:
        return _decide_unowned(record, live, want, context)
    if is_orphan(record, want):
        return Decision(step=Step.ORPHAN, why="it has the fleet's tag, and no manifest wants it")
    if live.status.in_transition:
        return _decide_in_transition(record, live, context)
    if record.intent is not None:
        if live.described:
            return Decision(step=Step.WAIT, why="the last write may not be visible yet")
        return Decision(step=Step.LOOK, why="its last write may have ended")
    if want is None:
        return _decide_unwanted(record, live, context)
    return _decide_wanted(record, live, want, context)


def _decide_absent(record: AdapterRecord, want: DesiredAdapter | None, context: PlanContext) -> Decision:
    intent = record.intent
    if intent is not None:
        if intent.acknowledged is None or context.now - intent.acknowledged >= SETTLING_SECONDS:
            return Decision(step=Step.LOOK, why="its write is not confirmed")
        return Decision(step=Step.WAIT, why="it is not visible yet")
    if want is None:
        return Decision(step=Step.FORGET)
    failing = _failing(record, want, context)
    if failing is None:
        return Decision(step=Step.CREATE, artifact=want.artifact)
    return _restore(record, want, failing, context, step=Step.CREATE)


def _decide_unowned(
    record: AdapterRecord, live: ObservedComponent, want: DesiredAdapter | None, context: PlanContext
) -> Decision:
    """Decide on a component that is not known to be the fleet's."""
    # A claim waits for a manifest that wants it. An unwanted component of the fleet would be deleted at once.
    if want is not None and is_claimed(record, live, context):
        failing = _failing(record, want, context)
        if failing is None or failing.cause is Cause.FOREIGN:
            return Decision(step=Step.CLAIM)
        return _failed(failing, until=failing.retry_at)
    # A claim that was interrupted may have put the tag on it.
    if context.foreign.get(record.component) != live.created or record.claimed is not None:
        return Decision(step=Step.READ_TAGS)
    failure = record.failure
    until = failure.retry_at if failure is not None and failure.cause is Cause.FOREIGN else None
    if until is not None and until <= context.now:
        return Decision(step=Step.READ_TAGS)
    return Decision(step=Step.FOREIGN, until=until, why="a component of that name is not this fleet's")


def _decide_in_transition(record: AdapterRecord, live: ObservedComponent, context: PlanContext) -> Decision:
    # Right after a write, the newest observation may be from long before it.
    sent = 0.0 if record.intent is None else record.intent.acknowledged or record.intent.at
    since = max(live.modified, sent)
    if context.now - since > STUCK_SECONDS:
        minutes = int((context.now - since) / 60)
        return Decision(
            step=Step.STUCK,
            why=f"{live.status} for {minutes} minutes; the service refuses writes meanwhile",
        )
    return Decision(step=Step.WAIT, why=str(live.status))


def _decide_unwanted(record: AdapterRecord, live: ObservedComponent, context: PlanContext) -> Decision:
    failure = record.failure
    if failure is not None and failure.generation == context.generation and _is_due_later(failure, context):
        return _failed(failure, until=failure.retry_at)
    if not context.deletes:
        return Decision(step=Step.HOLD)
    # A deletion goes by the name, and a listing may show an earlier component of that name.
    if record.adopted and not live.described:
        return Decision(step=Step.LOOK, why="the fleet did not create it")
    return Decision(step=Step.DELETE)


def _decide_wanted(
    record: AdapterRecord, live: ObservedComponent, want: DesiredAdapter, context: PlanContext
) -> Decision:
    """Decide on a wanted component of the fleet with no write under way."""
    if not record.is_vouched:
        return Decision(step=Step.LOOK, why="it was modified")
    if is_elsewhere(record, context.target):
        if record.counted is None:
            return Decision(
                step=Step.ORPHAN,
                why=f"it is on endpoint '{record.endpoint}' and base '{record.base}'; a deployment with"
                " 'allow_base_replacement' deletes and re-creates it",
            )
        return _delete(record, context, why="it belongs to another endpoint or base")
    if live.status is Status.FAILED:
        failing = _failing(record, want, context)
        if failing is None:
            return _delete(record, context, why="it failed, and there is another artifact to try")
        return _restore(record, want, failing, context, step=Step.DELETE)
    return _decide_in_service(record, want, context)


def _decide_in_service(record: AdapterRecord, want: DesiredAdapter, context: PlanContext) -> Decision:
    """Decide by two facts: whether the wanted artifact serves, and whether it is failing."""
    serving = record.serving
    assert serving is not None  # SageMaker has confirmed it
    match serving.same_as(want.artifact), _failing(record, want, context):
        case True, None:
            return _check_serving(record, serving, want, context)
        case False, None:
            return Decision(step=Step.UPDATE, artifact=want.artifact)
        case True, Failure() as failing:
            return _decide_serving_but_failing(record, want, failing, context)
        case _, failing:
            assert failing is not None  # the only case left
            return _decide_serving_another(record, serving, want, failing, context)


def _check_serving(
    record: AdapterRecord, serving: Artifact, want: DesiredAdapter, context: PlanContext
) -> Decision:
    """The wanted artifact serves: do what is left to do for it, one step after the other."""
    if record.recheck is Recheck.SEND:
        return Decision(step=Step.UPDATE, artifact=serving, why=_LOST_BY_BASE)
    if record.recheck is Recheck.RESEND:
        return Decision(step=Step.UPDATE, artifact=serving, why=_REPLACED)
    if record.unconfirmed is not None:
        return Decision(step=Step.CONFIRM, artifact=serving)
    if dict(record.tags) != tags_of(want, context):
        return Decision(step=Step.RETAG)
    # Before the smoke request: an adapter that its base lost fails that request, whatever the artifact.
    if record.recheck is not None:
        return Decision(step=Step.ASK)
    if not has_passed(record, want):
        return Decision(step=Step.SMOKE)
    if not is_proven(record, want):
        return Decision(step=Step.PROBE)
    return Decision(step=Step.KEEP)


def _decide_serving_but_failing(
    record: AdapterRecord, want: DesiredAdapter, failing: Failure, context: PlanContext
) -> Decision:
    """The wanted artifact serves, but it failed a request, a check of its archive, or a new attempt."""
    if failing.cause.retried:
        return _failed(failing, until=failing.retry_at)
    if record.recheck is Recheck.RESEND and failing.cause is Cause.IDENTITY:
        return Decision(step=Step.UPDATE, artifact=want.artifact, why=_REPLACED)
    return _restore(record, want, failing, context, step=Step.UPDATE)


def _decide_serving_another(
    record: AdapterRecord, serving: Artifact, want: DesiredAdapter, failing: Failure, context: PlanContext
) -> Decision:
    """Another artifact serves, and the wanted one fails: see to the last good one, if that serves."""
    if not serving.same_as(record.last_good):
        return _restore(record, want, failing, context, step=Step.UPDATE)
    delayed = _restores_later(record, context)
    if record.recheck is None:
        if record.unconfirmed is not None:
            return Decision(step=Step.CONFIRM, artifact=serving, restores=True)
        if is_proven(record, want):
            return _failed(failing, until=failing.retry_at)
    elif not delayed:
        return _recheck_last_good(record, serving)
    if delayed or not context.has_copies:
        return _failed(failing, until=record.restore_at)
    return Decision(step=Step.PROBE)


def _recheck_last_good(record: AdapterRecord, serving: Artifact) -> Decision:
    """The last good artifact serves, and the base model changed."""
    if record.recheck is Recheck.RESEND:
        return Decision(step=Step.UPDATE, artifact=serving, restores=True, why=_REPLACED)
    if record.recheck is not Recheck.SEND:
        return Decision(step=Step.ASK)
    return Decision(step=Step.UPDATE, artifact=serving, restores=True, why=_LOST_BY_BASE)


def _restore(
    record: AdapterRecord, want: DesiredAdapter, failing: Failure, context: PlanContext, *, step: Step
) -> Decision:
    """Restore the last good artifact by this step, unless it serves already or there is none."""
    good = record.last_good
    if good is None or good.same_as(want.artifact) or good.same_as(record.serving):
        return _failed(failing, until=failing.retry_at)
    if _restores_later(record, context):
        return _failed(failing, until=record.restore_at)
    return Decision(step=step, artifact=good, restores=True, why=failing.reason)


def _delete(record: AdapterRecord, context: PlanContext, *, why: str) -> Decision:
    """Delete a component to re-create it, unless an attempt failed and the next one is due later."""
    failure = record.failure
    if failure is not None and failure.cause.retried and _is_due_later(failure, context):
        return _failed(failure, until=failure.retry_at)
    return Decision(step=Step.DELETE, why=why)


def _failed(failure: Failure, *, until: float | None) -> Decision:
    return Decision(step=Step.FAILED, until=until, why=failure.reason)


def _failing(record: AdapterRecord, want: DesiredAdapter, context: PlanContext) -> Failure | None:
    """Return the failure that keeps the fleet from trying the wanted artifact now; None if it may try."""
    live, failure = record.live, record.failure
    if failure is None or not failure.artifact.same_as(want.artifact):
        return None
    if failure.cause is Cause.UPDATE_REFUSED and (live is None or live.status is Status.FAILED):
        return None  # the next attempt is a creation
    if failure.cause is Cause.FOREIGN and live is None:
        return None  # the foreign component is gone
    if failure.cause is Cause.IDENTITY and _was_replaced(failure.artifact, record):
        return None
    return failure if failure.retry_at is None or _is_due_later(failure, context) else None


def _was_replaced(artifact: Artifact, record: AdapterRecord) -> bool:
    """Return True if an artifact that was right before is not what serves: somebody changed or deleted it.

    A stale listing hides that from the probe, whose failure is no fault of the artifact then.
    """
    return artifact.same_as(record.last_good) and not artifact.same_as(record.serving)


def _is_due_later(failure: Failure, context: PlanContext) -> bool:
    return failure.retry_at is not None and failure.retry_at > context.now


def _restores_later(record: AdapterRecord, context: PlanContext) -> bool:
    return record.restore_at is not None and record.restore_at > context.now
