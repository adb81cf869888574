"""The steps of a plan, taken: a few calls for one component, an intent in the registry before a write."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from adapter_fleet.common.bounded_text import text_of
from adapter_fleet.common.clock import Clock
from adapter_fleet.common.naming import FLEET_TAG, stack_of
from adapter_fleet.fleet.planning.context import PlanContext, tags_of
from adapter_fleet.fleet.planning.decide import Decision, Step
from adapter_fleet.fleet.planning.observe import adopt, is_own, with_description, with_tags
from adapter_fleet.fleet.planning.settle import with_failure
from adapter_fleet.fleet.reconcile import verification
from adapter_fleet.fleet.state.archive_version import ArchiveVersion
from adapter_fleet.fleet.state.components import ObservedComponent, Status
from adapter_fleet.fleet.state.failures import Cause, cause_of
from adapter_fleet.fleet.state.records import AdapterRecord, Event, Intent, Recheck, Write
from adapter_fleet.fleet.state.registry import Lease, LeaseLostError, Registry
from adapter_fleet.fleet.state.sagemaker_port import (
    ConflictError,
    ExistsError,
    MissingError,
    RefusedError,
    SageMakerPort,
    ServiceError,
    ThrottledError,
    UnansweredError,
)
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter, SmokeRequest

CALL_SECONDS = 25.0
"""The longest that one call may take, by the timeouts of the clients."""

ASK_SECONDS = 65.0
"""The longest that one request to an adapter may take, by the timeouts of the runtime's client."""

_SMOKE_ATTEMPTS = 3
_SMOKE_SECONDS = 15.0
_SMOKE_PAUSE_SECONDS = 1.0

LONGEST_STEP_SECONDS = max(3 * CALL_SECONDS, _SMOKE_SECONDS + _SMOKE_PAUSE_SECONDS + ASK_SECONDS)
"""The longest that a step may take: a look at the archive, a write and a look at the tags where that is
refused; or smoke requests, of which the last one begins when the others have taken their time."""

# [I] The container that has the adapter may take other bodies only.
_OTHERWISE_ANSWERED = re.compile(
    r"client error \((400|415|422)\)(?!.*(adapter|lora))", re.IGNORECASE | re.DOTALL
)
# What LMI and SageMaker say of an adapter that the container has lost. Any other answer comes from an adapter
# that is there, and wrong as it may be, to send it again would not help.
UNKNOWN_ADAPTER = re.compile(
    r"\b404\b|(adapter|lora)\b.*\b(not found|not registered|unknown)", re.IGNORECASE | re.DOTALL
)
PROBE = SmokeRequest(body={"inputs": "Hello", "parameters": {"max_new_tokens": 1}})


@dataclass(kw_only=True)
class Taken:
    """A step that was taken, and what it came to.

    error:
        What kept it from being done.
    blocks:
        Whether nothing can be done for the component for now.
    wrote:
        Whether a write was taken whose end is to be waited for.
    idle:
        Whether nothing was sent.
    foreign:
        The creation time of a component that turned out to be someone else's.
    unread:
        Whether the archive has to be copied or read before the step can be taken.
    missing:
        Why there is no archive to send; None where there is one.
    unforeseen:
        The exception that nobody foresaw; the record says what it came to.
    """

    record: AdapterRecord
    error: ServiceError | None = None
    events: list[Event] = field(default_factory=list)
    blocks: bool = False
    wrote: bool = False
    idle: bool = False
    foreign: float | None = None
    unread: bool = False
    missing: str | None = None
    unforeseen: Exception | None = None


class Steps:
    """Takes one step for one component; runs in a thread, and shares nothing that changes.

    A write does not begin when less of the lease is left than the longest call takes: LeaseLostError.
    """

    def __init__(
        self,
        *,
        uid: str,
        registry: Registry,
        service: SageMakerPort,
        clock: Clock,
        lease: Lease,
        context: PlanContext,
        record: AdapterRecord,
        want: DesiredAdapter | None,
        decision: Decision,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._uid, self._registry, self._service, self._clock = uid, registry, service, clock
        self._lease, self._context = lease, context
        self._record, self._want, self._decision = record, want, decision
        self._stop = stop

    def take(self) -> Taken:
        """Take the step of the decision. Whatever goes wrong is in the result; LeaseLostError is raised."""
        step = self._decision.step
        try:
            if step in _WRITES:
                return self._write(_WRITES[step])
            return _STEPS[step](self)
        except (ThrottledError, UnansweredError, ConflictError) as error:
            return Taken(record=self._record, error=error)
        except MissingError as error:
            # It went in the meantime: look again.
            live = self._record.live
            if live is None:
                return Taken(record=self._record, error=error, blocks=True)
            return Taken(record=replace(self._record, live=replace(live, doubtful=True)), error=error)
        except RefusedError as error:
            return Taken(record=self._record, error=error, blocks=True)
        except LeaseLostError:
            raise
        except Exception as error:  # One adapter must not stop the others.
            return replace(self._failed_by(error), unforeseen=error)

    def _failed_by(self, error: Exception) -> Taken:
        """Note an exception that nobody foresaw, before any write was sent."""
        record, reason = self._record, text_of(error)
        if self._decision.step.reads:
            return Taken(record=record, error=RefusedError(reason))
        if self._decision.step is Step.DELETE:
            return self._not_deleted(record, reason)
        wanted = self._want.artifact if self._want is not None else None
        asked = record.serving if self._decision.step.asks else None
        artifact = asked or self._decision.artifact or wanted or Artifact(uri="")
        record, events = with_failure(record, artifact, reason, self._context, cause=Cause.UNEXPECTED)
        return Taken(record=record, events=events)

    # --- reads

    def _look(self) -> Taken:
        record = self._record
        live = self._service.describe(record.component)
        return Taken(record=with_description(record, live, now=self._clock.now()))

    def _read_tags(self) -> Taken:
        record, live = self._record, self._live()
        return self._with_tags(live, self._service.tags(record.component, live))

    def _with_tags(self, live: ObservedComponent, tags: Mapping[str, str]) -> Taken:
        """Take in whose a component is."""
        record = with_tags(self._record, live, tags, uid=self._uid)
        if record.owned is None:
            return Taken(record=record, foreign=live.created, idle=True)
        return Taken(record=record)

    def _live(self) -> ObservedComponent:
        live = self._record.live
        if live is None:
            raise MissingError(f"{self._record.component} is gone")
        return live

    # --- writes

    def _write(self, write: Write) -> Taken:
        artifact, archive = self._decision.artifact, None
        if artifact is not None:
            verdict = self._looked_at(artifact)
            if verdict.unread:
                return Taken(record=self._record, idle=True, unread=True)
            if verdict.problem is not None:
                return self._not_usable(artifact, verdict)
            archive = verdict.version
        record = self._intended(write, artifact, archive)
        # The intent first: should the rest be lost, the next pass looks.
        self._registry.put([record], self._lease)
        self._check_lease()
        try:
            return self._send(record, write, artifact)
        except ThrottledError as error:
            return Taken(record=self._record, error=error)
        except UnansweredError as error:
            return Taken(record=_unanswered(record, str(error)), error=error)
        except ExistsError:
            return Taken(record=record)
        except ConflictError as error:
            live = self._record.live
            doubted = None if live is None else replace(live, doubtful=True)
            return Taken(record=replace(self._record, live=doubted), error=error)
        except MissingError as error:
            if write is Write.CREATE:
                return Taken(record=self._record, error=error, blocks=True)
            return Taken(record=replace(record, live=None, absent_at=self._clock.now()))
        except RefusedError as error:
            foreign = self._foreign_after_all(record)
            if foreign is not None:
                return foreign
            if write is Write.DELETE and artifact is None:
                return self._not_deleted(record, str(error))
            return self._refused(record, artifact or record.serving or Artifact(uri=""), str(error))
        except LeaseLostError:
            raise
        except Exception as error:  # One adapter must not stop the others.
            # It may have been sent: the next look tells.
            reason = text_of(error)
            taken = Taken(record=_unanswered(record, reason), error=UnansweredError(reason))
            return replace(taken, unforeseen=error)

    def _foreign_after_all(self, record: AdapterRecord) -> Taken | None:
        """Look whether a write was refused since the component is not the fleet's, as its policy has it."""
        live = record.live
        try:
            if live is None or is_own(self._service.tags(record.component, live), uid=self._uid):
                return None
        except ServiceError:
            return None
        # Described once more first: whose it is goes by its creation time.
        return Taken(record=replace(record, intent=None, owned=None, live=replace(live, doubtful=True)))

    # --- the archive

    def _looked_at(self, artifact: Artifact) -> verification.Verdict:
        """Look at an archive; that S3 does not answer is a failure of its adapter, and no other's."""
        try:
            return verification.look(artifact, self._service, self._registry)
        except (ThrottledError, UnansweredError) as error:
            return _unanswered_by_s3(artifact, error)

    def _not_usable(self, artifact: Artifact, verdict: verification.Verdict) -> Taken:
        """Note why an archive cannot be sent: that is the failure of this adapter alone."""
        assert verdict.problem is not None  # that is what is noted
        record, events = self._unverified(self._record, artifact, verdict.problem, verdict)
        missing = verdict.problem if verdict.missing else None
        return Taken(record=record, events=events, idle=True, missing=missing)

    def _verify(self) -> Taken:
        """Copy or read the archive; the step that sends it then finds it verified."""
        artifact, began = self._decision.artifact, self._clock.now()
        assert artifact is not None  # there is nothing else to verify

        def late() -> bool:
            return self._clock.now() - began > verification.LONGEST_READ_SECONDS

        try:
            verdict = verification.read(
                artifact, self._service, self._registry, lambda: self._stop() or late()
            )
        except (ThrottledError, UnansweredError) as error:
            if self._stop():
                raise  # the pass ends; the next one goes on
            verdict = _unanswered_by_s3(artifact, error)
        if verdict.unanswered and late():
            verdict = replace(
                verdict,
                problem=f"{verdict.problem}; a manifest that 'adapters publish' wrote has the archive's"
                " checksum, with which it need not be read",
            )
        # Of another archive than was recorded the step that comes next knows by what was read.
        if verdict.problem is not None and not verdict.mismatch:
            return self._not_usable(artifact, verdict)
        return Taken(record=self._record, idle=True)

    def _confirm(self) -> Taken:
        """Compare the archive with the version that was verified before the write."""
        record, artifact = self._record, self._decision.artifact
        before = record.unconfirmed
        assert artifact is not None and before is not None  # noqa: PT018 - that is what is compared
        verdict = self._looked_at(artifact)
        if verdict.unread and verdict.version is None:
            # A copy of the fleet's own that is gone.
            verdict = verification.Verdict(problem=f"NoSuchKey: {artifact.uri} does not exist")
        same = verdict.version is not None and verdict.version.same_content(before)
        if verdict.unread and not same:
            return Taken(record=record, idle=True, unread=True)
        if same or verdict.problem is None:
            failure = record.failure
            if failure is not None and failure.artifact.same_as(artifact):
                record = replace(record, failure=None)
            return Taken(record=replace(record, unconfirmed=None), idle=True)
        reason = verdict.problem
        if verdict.mismatch:
            reason = f"{reason}; it was replaced while SageMaker loaded it: {before} is {verdict.version} now"
            # What it serves is not known: once it is tried again, it is sent again.
            record = replace(record, unconfirmed=None, recheck=Recheck.SEND)
        record, events = self._unverified(record, artifact, reason, verdict)
        return Taken(record=record, events=events, idle=True)

    def _unverified(
        self, record: AdapterRecord, artifact: Artifact, reason: str, verdict: verification.Verdict
    ) -> tuple[AdapterRecord, list[Event]]:
        record, events = with_failure(record, artifact, reason, self._context, cause=verdict.cause)
        failure = record.failure
        if verdict.mismatch and failure is not None and failure.artifact.same_as(artifact):
            record = replace(record, failure=replace(failure, unverified=True))
        return record, events

    # --- how a write is sent

    def _intended(
        self, write: Write, artifact: Artifact | None, archive: ArchiveVersion | None
    ) -> AdapterRecord:
        record, live = self._record, self._record.live
        intent = Intent(
            write=write,
            at=self._clock.now(),
            generation=self._context.generation,
            artifact=artifact,
            modified_before=live.modified if live is not None else None,
            failure_reason_before=live.failure_reason if live is not None else None,
            restores=self._decision.restores,
            endpoint=self._context.endpoint,
            base=self._context.base,
            archive=archive,
        )
        return replace(
            record,
            intent=intent,
            absent_at=None,
            live=None if live is None else replace(live, described=False),
        )

    def _send(self, record: AdapterRecord, write: Write, artifact: Artifact | None) -> Taken:
        service, intent, want = self._service, record.intent, self._want
        assert intent is not None  # it was just made
        live = record.live
        if write is Write.DELETE:
            service.delete(record.component)
            status = Status.DELETING
        elif write is Write.UPDATE:
            assert artifact is not None  # an update has one
            service.update(record.component, artifact)
            status = Status.UPDATING
        else:
            assert artifact is not None and want is not None  # noqa: PT018 - only what is wanted is created
            tags = tags_of(want, self._context)
            service.create(
                record.component,
                endpoint=self._context.endpoint,
                base=self._context.base,
                artifact=artifact,
                tags={**tags, FLEET_TAG: self._uid},
            )
            record = replace(record, tags=tags, endpoint=self._context.endpoint, base=self._context.base)
            status = Status.CREATING
        intent = replace(intent, acknowledged=self._clock.now())
        if live is not None:
            live = replace(live, status=status)
        return Taken(record=replace(record, intent=intent, live=live), wrote=True)

    def _refused(self, record: AdapterRecord, artifact: Artifact, reason: str) -> Taken:
        """Note that the service would not begin: unlike what it says after a try, that blames no artifact."""
        cause = cause_of(reason)
        record, events = with_failure(
            record,
            artifact,
            reason,
            self._context,
            cause=Cause.REFUSED if cause is Cause.ARTIFACT else cause,
        )
        return Taken(record=record, events=events)

    def _not_deleted(self, record: AdapterRecord, reason: str) -> Taken:
        """Note that a deletion was refused: whatever the cause, it can only be tried again later."""
        known = record.failure
        # Of one that is wanted to be away, what it serves is not to blame: it may be wanted again.
        served = record.serving if self._want is not None else None
        artifact = known.artifact if known is not None else served or Artifact(uri="")
        cause = cause_of(reason)
        cause = cause if cause.retried else Cause.ACCESS
        if self._decision.restores and record.last_good is not None:
            record, events = with_failure(record, record.last_good, reason, self._context, cause=cause)
            return Taken(record=record, events=events)
        record, events = with_failure(
            # Not as a last good one that could not be brought back.
            replace(record, last_good=None),
            artifact,
            reason,
            self._context,
            cause=cause,
        )
        return Taken(record=replace(record, last_good=self._record.last_good), events=events)

    def _claim(self) -> Taken:
        live = self._service.describe(self._record.component)
        if live is None or live.created != self._live().created:
            # A listing may lag behind, and this is another one by now.
            return Taken(record=replace(self._record, live=live, absent_at=self._clock.now()), idle=True)
        try:
            present = self._service.tags(self._record.component, live)
        except RefusedError as error:
            return self._not_tagged(str(error))
        # A stack may have made it after someone had ordered this.
        if stack_of(present) is not None:
            return self._with_tags(live, present)
        # Before it has the tag: whoever finds it with that has to know whose it was.
        record = self._record = replace(self._record, claimed=self._context.generation)
        self._registry.put([record], self._lease)
        tags = tags_of(self._want, self._context) if self._want is not None else dict(self._context.tags)
        self._check_lease()
        try:
            self._service.tag(record.component, live, {**tags, FLEET_TAG: self._uid})
        except RefusedError as error:
            return self._not_tagged(str(error))
        # Nothing that the fleet has sent was about this one, which someone else has made.
        return Taken(record=adopt(replace(record, intent=None, failure=None), live, tags))

    def _release(self) -> Taken:
        record, live = self._record, self._live()
        self._check_lease()
        try:
            self._service.untag(record.component, live, [FLEET_TAG])
        except RefusedError:
            # Of what has the tag no more, since an earlier try took it off, the policy lets nothing be taken.
            if self._service.tags(record.component, live).get(FLEET_TAG) == self._uid:
                raise
        return Taken(record=replace(record, owned=None, claimed=None), foreign=live.created)

    def _not_tagged(self, reason: str) -> Taken:
        """Note that tags were refused, which says nothing about the artifact: it is tried again later."""
        assert self._want is not None  # only what is wanted has tags to be wanted
        cause = cause_of(reason)
        record, events = with_failure(
            self._record,
            self._want.artifact,
            reason,
            self._context,
            cause=cause if cause.retried else Cause.QUOTA,
        )
        return Taken(record=record, events=events)

    def _retag(self) -> Taken:
        record, live, want = self._record, self._live(), self._want
        assert want is not None  # only what is wanted has tags to be wanted
        tags = tags_of(want, self._context)
        # First: whoever goes on has to know which there may be. The fleet's own is in no wish.
        record = self._record = replace(record, tags={**record.tags, **tags, FLEET_TAG: self._uid})
        self._registry.put([record], self._lease)
        # Those of AWS stay: they cannot be taken off.
        gone = sorted(
            key for key in record.tags.keys() - tags.keys() - {FLEET_TAG} if not key.startswith("aws:")
        )
        try:
            if tags:
                self._check_lease()
                self._service.tag(record.component, live, tags)
            if gone:
                self._check_lease()
                self._service.untag(record.component, live, gone)
        except RefusedError as error:
            return self._foreign_after_all(record) or self._not_tagged(str(error))
        return Taken(record=replace(record, tags=tags, generation=self._context.generation))

    def _check_lease(self) -> None:
        now = self._clock.now()
        if self._lease.expires - now < CALL_SECONDS:
            raise LeaseLostError(f"the lease ends in {self._lease.expires - now:.0f} s, too soon for a write")

    # --- requests to the adapter

    def _smoke(self) -> Taken:
        record, want = self._record, self._want
        assert want is not None and want.smoke is not None and record.serving is not None  # noqa: PT018
        try:
            problem = self._asked(want.smoke)
        except (UnansweredError, RefusedError) as error:
            return self._not_asked(error)
        if problem is None:
            return Taken(record=_answered(record, want.smoke))
        record, events = with_failure(
            record,
            record.serving,
            f"the smoke request failed: {problem}",
            self._context,
            cause=Cause.SMOKE,
            smoke=want.smoke.digest,
        )
        return Taken(record=record, events=events)

    def _ask(self) -> Taken:
        smoke = self._want.smoke if self._want is not None else None
        try:
            problem = self._asked(smoke or PROBE)
        except (UnansweredError, RefusedError) as error:
            return self._not_asked(error)
        if problem is None or (smoke is None and _OTHERWISE_ANSWERED.search(problem)):
            return Taken(record=_answered(self._record, smoke))
        record = replace(self._record, recheck=Recheck.SEND)
        if self._record.recheck is not Recheck.SENT:
            return Taken(record=record)
        assert record.serving is not None  # only what serves is asked
        words = self._live().failure_reason
        record, events = with_failure(
            record, record.serving, words or f"it does not answer: {problem}", self._context
        )
        return Taken(record=record, events=events)

    def _not_asked(self, error: ServiceError) -> Taken:
        """Note that an adapter could not be asked, which says nothing about it: it is asked again later."""
        record = self._record
        assert record.serving is not None  # only what serves is asked
        cause = cause_of(str(error))
        record, events = with_failure(
            record,
            record.serving,
            f"the smoke request got no answer: {error}",
            self._context,
            cause=cause if cause.retried else Cause.CAPACITY,
        )
        return Taken(record=record, events=events)

    def _asked(self, smoke: SmokeRequest) -> str | None:
        problem, began = None, self._clock.now()
        for attempt in range(_SMOKE_ATTEMPTS):
            if attempt and self._clock.now() - began > _SMOKE_SECONDS:
                break
            if attempt:
                self._clock.sleep(_SMOKE_PAUSE_SECONDS)
            problem = self._service.ask(self._record.component, self._context.endpoint, smoke)
            if problem is None:
                break
        return problem


def _unanswered_by_s3(artifact: Artifact, error: ServiceError) -> verification.Verdict:
    return verification.Verdict(problem=f"S3 gave no answer for {artifact.uri}: {error}", unanswered=True)


def _unanswered(record: AdapterRecord, why: str) -> AdapterRecord:
    """Return the record with the reason why nobody knows what became of the write in flight."""
    intent = record.intent
    return record if intent is None else replace(record, intent=replace(intent, error=why))


def _answered(record: AdapterRecord, smoke: SmokeRequest | None) -> AdapterRecord:
    """Return the record once the artifact that serves has answered, to a smoke request where there is one."""
    record = replace(record, recheck=None)
    if smoke is not None:
        record = replace(record, passed=record.serving, passed_smoke=smoke.digest)
    failure = record.failure
    if failure is None or not failure.artifact.same_as(record.serving):
        return record
    return replace(record, failure=None)


_WRITES = {Step.CREATE: Write.CREATE, Step.UPDATE: Write.UPDATE, Step.DELETE: Write.DELETE}

_STEPS: dict[Step, Callable[[Steps], Taken]] = {
    Step.LOOK: Steps._look,
    Step.READ_TAGS: Steps._read_tags,
    Step.CLAIM: Steps._claim,
    Step.RELEASE: Steps._release,
    Step.RETAG: Steps._retag,
    Step.SMOKE: Steps._smoke,
    Step.ASK: Steps._ask,
    Step.VERIFY: Steps._verify,
    Step.CONFIRM: Steps._confirm,
}
