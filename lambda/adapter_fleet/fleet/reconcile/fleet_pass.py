"""One pass for one generation: observe, plan, apply, for as long as there is time and something to do.

A pass may die at any moment. Whatever the next pass needs is in the registry before this one acts: an intent
before each write. docs/design.md explains why each promise holds.
"""

import itertools
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from random import Random

from adapter_fleet.common.bounded_text import text_of
from adapter_fleet.fleet.planning.context import PlanContext
from adapter_fleet.fleet.planning.decide import Decision, Lane, Step
from adapter_fleet.fleet.planning.deletion_guard import components_an_hour_before, count_deletions, refusal
from adapter_fleet.fleet.planning.desired_state import DesiredState, claims_of, find_changed
from adapter_fleet.fleet.planning.observe import new_record
from adapter_fleet.fleet.planning.plan import next_step
from adapter_fleet.fleet.planning.progress import (
    Progress,
    exceeds_failure_limit,
    failure_reason,
    seconds_after_trouble,
    seconds_until_copies,
    time_of_retries,
    wait_seconds,
)
from adapter_fleet.fleet.planning.releases import by_adapter, proven_artifact
from adapter_fleet.fleet.planning.settle import may_be_asked_again, with_failure, with_new_attempts
from adapter_fleet.fleet.planning.surveys import (
    adapters_to_probe,
    answers_of,
    archives_to_check,
    drifted_records,
    tags_to_read,
)
from adapter_fleet.fleet.reconcile.base_check import BaseCheck
from adapter_fleet.fleet.reconcile.observation import Observation
from adapter_fleet.fleet.reconcile.polling import Polling
from adapter_fleet.fleet.reconcile.rate_limiter import CallLimits
from adapter_fleet.fleet.reconcile.record_cache import RecordCache
from adapter_fleet.fleet.reconcile.route_cache import RouteCache
from adapter_fleet.fleet.reconcile.session import PassHaltedError, PassResult, Session
from adapter_fleet.fleet.reconcile.work_queue import QueuedStep, WorkQueue
from adapter_fleet.fleet.state.configuration import TAGS_BEFORE_THE_END
from adapter_fleet.fleet.state.failures import Cause
from adapter_fleet.fleet.state.generations import Outcome, Source, active_generation
from adapter_fleet.fleet.state.records import AdapterRecord, Order, OrderKind, Recheck, Write
from adapter_fleet.fleet.state.sagemaker_port import (
    READ_OPERATIONS,
    WRITE_OPERATIONS,
    ConflictError,
    LimitReachedError,
    MissingError,
    RefusedError,
    ThrottledError,
    UnansweredError,
)
from adapter_fleet.fleet.steps.executor import execute
from adapter_fleet.fleet.steps.task import (
    Accepted,
    NeedsArchive,
    NotSent,
    StepOutcome,
    StepTask,
    Stopped,
    Strange,
)
from adapter_fleet.manifest.desired import Artifact, DesiredFleet

_INLINE_WAIT_SECONDS = 10.0
"""A pass waits this long itself, as starting another one reads every record again."""
_LAST_LISTING_SHARE = 0.25
"""A run needs a last listing anyway. It comes at once where describes would take this share of its calls."""
_SLICE_SECONDS = 3.0
_FLUSH_SECONDS = 1.0
_SAVE_SECONDS = 5.0
_TIMEOUT_MARGIN_SECONDS = 10.0
_UNREADABLE_SECONDS = 60.0
_READ_SECONDS = 120.0
"""For so long a read that fails is repeated. Then the component is left alone."""

_MAX_FOREIGN = 5000
"""More would not fit into an item of the registry; the tags of the others are read again."""


class Pass:
    """One pass for one generation.

    Each part owns its state and returns what it found. Only the pass changes more than one part.

    reports:
        True if the pass only reports drift: it writes nothing to SageMaker.
    """

    def __init__(
        self, session: Session, *, executor: Executor, random: Random, workers: int, reports: bool
    ) -> None:
        self._session, self._reports = session, reports
        registry, generation = session.registry, session.generation
        desired = DesiredFleet() if session.deleting else registry.desired(generation.number)
        declared = {adapter.component: adapter for adapter in desired.adapters}
        self._limits = CallLimits(
            write_ceiling=session.target.settings.request_rate,
            write_rate=session.fleet.rate,
            clock=session.clock,
            random=random,
        )
        self._queue = WorkQueue(executor, workers, self._limits)
        in_use = self._queue.under_way.components
        self._records = RecordCache(session, declared=declared.keys(), in_use=in_use)
        # Before the orders: a rollback writes both at once.
        self._routes = RouteCache(session)
        orders, unreadable = registry.read_orders()
        for why in unreadable.values():
            session.telemetry.trouble(f"an order is left alone: {why}")
        self._desired = DesiredState.of(
            desired.adapters,
            orders,
            self._records,
            routes=self._routes.read(desired.adapters, self._records, orders),
            target=session.target,
            now=session.clock.now(),
            unreadable=self._routes.unreadable,
        )
        for record in self._desired.left_alone(self._records):
            session.telemetry.trouble(f"{record.component} is left alone: {record.unreadable}")
            self._records.put(record)
        # A report leaves them to the execution that the person started.
        self._retries = [] if reports else self._desired.retries
        # The retry of a rollback or an import restores what was changed by hand, and tries nothing again.
        others = {(order.component, order.at) for order in orders if order.kind is not OrderKind.RETRY}
        self._attempts = [order for order in self._retries if (order.component, order.at) not in others]
        self._records.declare(self._desired.wanted)
        self._routes.follow_versions(self._desired.versions)
        # Made once: there may be many orders, and every step needs the claims among them.
        self._claims = claims_of(orders)
        self._changed = self._desired.components_of(find_changed(declared, generation, registry))
        self._names = frozenset(adapter.name for adapter in desired.adapters)
        self._polling = Polling(
            session.clock, write_seconds=session.fleet.write_seconds, resumes=session.resumes
        )
        self._observation = Observation(session, self._limits, self._records)
        self._base_check = BaseCheck(session, self._records, executor)
        self._failing: set[str] = set()
        # When the reads of a component began to fail.
        self._unread_since: dict[str, float] = {}
        # Why the service did not take the newest write.
        self._not_taken: str | None = None
        # More of the changed adapters have failed than the failure policy allows.
        self._over_limit = False
        # What is not wanted is deleted now: everything else is done.
        self._deletes = False
        # The generation is admitted: routes may be written.
        self._routes_open = False
        # The next pass reads the routes again.
        self._plans_again = False
        # Artifacts that have to be read before they are sent.
        self._unverified: dict[str, Artifact] = {}
        self._orphans_read = False
        # The copies are looked at once more.
        self._looks_again = False
        self._counted_calls = session.service.calls.copy()
        self._saved_at = session.clock.now()

    def run(self) -> PassResult:
        """Run the pass from its first look to the release of its lease."""
        session, trouble = self._session, None
        checks_drift = session.pass_input.starts_drift_check
        self._take_orders()
        try:
            if not self._observation.listed:
                self._observation.list_or_halt()
                self._check_copies()
            self._ask_as_ordered()
            if self._reports:
                self._routes.publish(self._records)
            else:
                self._routes.judge()
            self._advance_all()
            if checks_drift:
                self._check_archives()
                self._queue_tags()
            self._take_steps(writes=False)
            self._end_canaries()
            probed = self._queue_probes() if checks_drift and self._base_check.steady else []
            self._admit_or_refuse()
            if self._reports:
                self._take_steps(writes=False, asks=self._base_check.steady)
                self._forget_unasked_probes(probed)
                for record in drifted_records(self._queue.decisions, self._records):
                    self._records.put(record)
            if session.generation.outcome in (Outcome.OPEN, Outcome.CONVERGED):
                self._observation.check_base()
                if not self._reports:
                    self._prune()
                    self._apply()
                    self._note_routes()
                    self._prune()
                if self._progress.lacks_capacity and not self._finds_copies():
                    self._advance_all()  # those asked meanwhile wait for the next copy
        except PassHaltedError as halted:
            trouble = str(halted)
            session.telemetry.trouble(trouble)
            self._join()
        return self._conclude(trouble)

    def abandon(self) -> None:
        """Wait until the calls under way have ended, and ignore their results."""
        self._session.abandon()
        self._queue.under_way.join()
        self._base_check.join()

    # --- before the first look

    def _take_orders(self) -> None:
        """Forget failures that people ordered to retry, and remove pins that they ordered to remove."""
        named = self._desired.names_of([*self._retries, *self._desired.unpinned], self._records)
        for known in list(self._records.values()):
            if known.name in named:
                self._records.put(replace(known, ordered=True))
        for order in self._attempts:
            record = self._records.get(order.component)
            if record is not None and record.failure is not None:
                self._records.put(replace(record, failure=None, restore_at=None))
        self._records.flush()
        self._remove_orders(self._desired.unpinned)

    def _ask_as_ordered(self) -> None:
        """Ask the adapters again that people ordered to retry: a copy may have lost one, or another answers.

        Not before the copies are checked, which asks adapters that nobody else is about to ask. The first
        copy after none is asked for every adapter anyway.
        """
        for order in self._attempts:
            record = self._records.get(order.component)
            if record is None:
                continue
            self._records.note(record, "retried")
            if record.live is None:
                self._records.put(replace(record, drifted=None))  # it is about to be mended
            elif self._session.fleet.base_copies:
                record = record.to_be_asked()
                # Each order may send it again once.
                probed = None if record.probed is None else replace(record.probed, resent=False)
                self._records.put(replace(record, probed=probed, drifted=None))
        self._records.flush()
        self._remove_orders(self._retries)

    # --- the base model

    def _check_copies(self) -> None:
        """Mark the adapters that the base model may have lost.

        The base is described: a listing may still show it as it was before its update.
        """
        observed = None if self._session.deleting else self._observation.describe_base()
        if observed is not None:
            self._base_check.run(observed, self._desired.wanted)
        if self._session.generation.rebased:
            self._changed = self._desired.components_of(self._desired.declared)

    def _finds_copies(self) -> bool:
        """Describe the base again; return False if it has no copy any more."""
        observed = None if self._session.deleting else self._observation.describe_base()
        if observed is not None:
            self._base_check.note_copies(observed)
        return self._session.fleet.base_copies > 0

    # --- deciding

    @property
    def _context(self) -> PlanContext:
        """What decisions depend on now, beside the component."""
        session = self._session
        return PlanContext(
            now=session.clock.now(),
            generation=session.generation.number,
            target=session.target,
            foreign=self._observation.foreign,
            claims=self._claims,
            deletes=self._deletes,
            has_copies=session.fleet.base_copies > 0,
            spares_changes=session.spares_changes,
            since=session.pass_input.started_at,
        )

    def _advance_all(self) -> None:
        """Decide again for every component: the wanted ones in the order of the manifest, then the others.

        Those to create come first, as they show whether the account has room for more.
        """
        self._queue.clear()
        self._polling.clear()
        in_use, wanted = set(self._queue.under_way.components), self._desired.wanted
        ordered = sorted(wanted, key=self._exists)
        for component in [*ordered, *sorted(self._records.keys() - wanted.keys())]:
            if component not in in_use:
                self._advance(component)

    def _exists(self, component: str) -> bool:
        record = self._records.get(component)
        return record is not None and record.live is not None

    def _advance(self, component: str) -> None:
        """Decide the next step of a component, and queue it."""
        try:
            decision = self._decide(component)
        except Exception as error:  # An error with one component must not stop the others.
            self._session.telemetry.unexpected(component, error)
            if component not in self._records:
                self._records.add_unsaved(new_record(component, self._desired.wanted.get(component)))
            self._leave_alone(component, text_of(error))
            return
        record = self._records[component]
        self._queue.put(component, decision, lacks_room=self._lacks_room(record, decision))
        self._polling.track(record, decision.step)
        # Only a component that the fleet may have made is waited for, as its tags may come late.
        foreign = decision.step is Step.FOREIGN and (decision.until is None or record.intent is None)
        if decision.step is Step.FORGET or (foreign and component not in self._desired.wanted):
            self._forget(component)
        self._note_failure(component)

    def _decide(self, component: str) -> Decision:
        """Settle the record of a component, and decide what comes next."""
        want = self._desired.wanted.get(component)
        record, events, decision = next_step(component, self._records.get(component), want, self._context)
        self._records.put(record)
        for event in events:
            self._records.log(event)
            self._polling.learn(event)
        if decision.artifact is not None and self._unverified.get(component) == decision.artifact:
            decision = replace(decision, step=Step.VERIFY)
        decision = self._routes.follow(record, decision, self._records)
        if decision.step is Step.KEEP and (record.drifted is not None or record.ordered):
            # Someone has reverted the change by hand, or there was none.
            self._records.put(replace(record, drifted=None, ordered=False))
        return decision

    def _lacks_room(self, record: AdapterRecord, decision: Decision) -> bool:
        """Return True if a step has to wait for room, as this pass has met a limit of the account.

        What serves is not deleted to be created again either: another creation may take its place.
        """
        if self._queue.limit is None or record.component not in self._desired.wanted:
            return False
        replaces = decision.step is Step.DELETE and record.serving is not None
        return replaces or decision.step is Step.CREATE

    def _look(self, component: str) -> None:
        """Describe a component next."""
        self._queue.put(component, Decision(step=Step.LOOK))

    def _read_tags(self, component: str) -> None:
        """Read the tags of a component next."""
        if component not in self._queue.reads:
            self._queue.put(component, Decision(step=Step.READ_TAGS))

    def _leave_alone(self, component: str, reason: str) -> None:
        """Leave a component that cannot be read alone in this pass, so that the others go on."""
        self._polling.discard(component)
        record = self._records[component]
        if component not in self._desired.wanted and not record.is_own:
            # Another team's, in all likelihood.
            self._forget(component)
            return
        until = self._session.clock.now() + _UNREADABLE_SECONDS
        self._queue.leave_alone(component, Decision(step=Step.FAILED, until=until, why=reason))
        self._note_failure(component)

    def _forget(self, component: str) -> None:
        """Forget a component that is gone, or that is not the fleet's."""
        self._records.drop(component)
        self._queue.forget(component)
        self._failing.discard(component)

    # --- what a drift check looks at

    def _queue_tags(self) -> None:
        """Read the tags of some known components again."""
        chosen = tags_to_read(self._queue.decisions, after=self._session.fleet.tags_read)
        for component in chosen:
            self._read_tags(component)
        if chosen:
            self._session.update_fleet(tags_read=chosen[-1])

    def _check_archives(self) -> None:
        """Look at the archives of some adapters in service: a new copy of the base model would load them."""
        fleet, now = self._session.fleet, self._session.clock.now()
        after, seconds = fleet.archives_read, now - fleet.archives_at
        chosen = archives_to_check(self._records, self._queue.decisions, after=after, seconds=seconds)
        for component in chosen:
            self._queue.put(component, Decision(step=Step.CHECK_ARCHIVE))
        self._take_steps(writes=False)
        if chosen and not self._queue.reads:
            self._session.update_fleet(archives_read=chosen[-1], archives_at=now)

    def _queue_probes(self) -> list[AdapterRecord]:
        """Begin a new series of probes for as many adapters as the settings say; return their old records."""
        found = adapters_to_probe(
            self._records,
            self._desired.wanted,
            self._queue.decisions,
            copies=self._session.fleet.base_copies,
            reports=self._reports,
        )
        most = self._session.target.settings.probes_per_drift_run
        if most is not None:
            most = max(0, most - len(self._queue.lanes[Lane.PROBE]))  # some may be left from an earlier run
        probed = found[:most]
        for record in probed:
            check = record.probed
            assert check is not None  # a record without one is asked anyway
            # It is in the record, not in the queue alone: a pass that lists again decides again.
            failure = None if may_be_asked_again(record) else record.failure
            self._queue_again(replace(record, probed=check.begin_again(), failure=failure, recheck=None))
        return probed

    def _forget_unasked_probes(self, probed: list[AdapterRecord]) -> None:
        """Leave those alone that this check had no time for: the next check asks them first.

        probed:
            Their records before this check.
        """
        for before in probed:
            decision = self._queue.decisions.get(before.component)
            record = self._records.get(before.component)
            if decision is None or record is None:
                continue
            if decision.step is Step.PROBE:
                self._queue_again(
                    replace(record, probed=before.probed, failure=before.failure, recheck=before.recheck)
                )
            elif before.recheck is not None and not _has_ended_since(before, record):
                # The next run that repairs sends it again: the base has lost it.
                self._records.put(replace(record, recheck=before.recheck))

    def _queue_again(self, record: AdapterRecord) -> None:
        self._records.put(record)
        self._queue.withdraw(record.component)
        self._advance(record.component)

    # --- admission

    def _admit_or_refuse(self) -> None:
        """Refuse a new generation, or count what it changes; nothing for one that was checked before."""
        generation, registry = self._session.generation, self._session.registry
        if generation.outcome is not Outcome.OPEN or generation.changes is not None:
            return
        if self._queue.blocked or self._queue.reads:
            why = next(iter(self._queue.blocked.values()), "not everything could be looked at")
            raise PassHaltedError(why)
        # An earlier pass may have died after it counted and before it saved that the guard had been passed.
        self._uncount(generation.number)
        reason = None
        if not generation.exempt:
            before = registry.generation(generation.standing)
            hour_ago = components_an_hour_before(generation.request.at, before, registry)
            records = by_adapter(self._desired.versions, self._records)
            reason = refusal(records, self._desired.declared, generation.request.target, hour_ago=hour_ago)
            reason = reason or self._desired.versions.clash
        if reason is not None:
            self._records.flush()
            self._session.end_generation(Outcome.REFUSED, reason)
            return
        # What an earlier generation counted is wanted now, or counted again.
        self._uncount(None)
        self._count_deletions()
        # Time or people may have removed what failed before.
        for component in self._desired.wanted:
            record = self._records.get(component)
            if record is not None:
                self._records.put(with_new_attempts(record))
        self._advance_all()
        self._records.flush()  # before any deletion
        decisions = self._queue.decisions
        gone = decisions.keys() - self._desired.wanted.keys()
        leaving = {
            component: self._records[component] for component in gone if decisions[component].step.writes
        }
        deleted = by_adapter(self._desired.versions, leaving).keys() - self._desired.declared.keys()
        # A generation whose changes are saved has passed its guard.
        self._session.update_generation(changes=len(self._changed) + len(deleted))
        self._count()
        self._session.save_generation()
        # An adapter that failed before, and is wanted again, fails without another attempt.
        self._check_failure_limit()

    def _count_deletions(self) -> None:
        """Note which components this generation may delete: those that it does not want."""
        generation = self._session.generation
        for record in count_deletions(
            self._records,
            self._desired.wanted,
            self._session.target,
            generation=generation.number,
            spares_adopted=generation.spares_adopted(converged=self._session.fleet.converged > 0),
        ).values():
            self._records.put(record)

    def _uncount(self, number: int | None) -> None:
        """Take back which components a generation may delete; None for all generations."""
        for record in list(self._records.values()):
            if record.counted is not None and number in (None, record.counted):
                self._records.put(replace(record, counted=None))

    # --- applying

    def _prune(self) -> None:
        """Count the deletions of orphans that people ordered."""
        done, uncounted = self._desired.prunes(self._records)
        self._remove_orders(done)
        for component in uncounted:
            number = self._session.generation.number
            self._records.put(replace(self._records[component], counted=number))
            self._advance(component)
        self._records.flush()

    def _remove_orders(self, orders: list[Order]) -> None:
        if orders:
            self._desired = self._desired.without(orders)
            self._session.registry.take_orders(orders, self._session.lease)

    def _apply(self) -> None:
        """Take steps until nothing is left to do, or nothing before the next pass."""
        self._follow_routes()
        while True:
            self._take_steps(writes=True)
            if self._looks_again and not self._session.is_late():
                self._looks_again = False
                self._check_copies()
                self._advance_all()
            elif self._over_limit:
                if self._fails():
                    return
            elif self._waits_only_for_deletions and not self._session.is_late():
                self._begin_deletions()
            elif self._is_unsettled or self._session.is_late():
                return
            elif not self._observation.complete:
                if not self._observation.list():
                    return
                self._advance_all()
            elif not (self._session.deleting and self._finds_more_to_delete()):
                return

    def _follow_routes(self) -> None:
        """Write the routes, and count the deletions of versions that nobody is sent to any more."""
        self._routes_open = True
        mended = self._routes.mend(self._records, self._desired.pins)
        self._routes.flush()
        if mended:
            self._records.flush()
            self._plans_again = True
            self._session.abandon()  # other components are wanted now
            return
        for record in self._routes.superseded(list(self._records.values())):
            self._records.put(replace(record, counted=self._session.generation.number))
            self._advance(record.component)
        self._note_routes()
        self._records.flush()

    def _end_canaries(self) -> None:
        """Note the failure of canaries that did worse. Then their share goes."""
        for component, (artifact, why) in self._routes.worse.items():
            record = self._records.get(component)
            if record is None or record.serving is None or record.intent is not None:
                continue  # it is judged again after a step
            if not record.is_vouched or not artifact.same_version_as(record.serving):
                continue  # somebody changed it by hand, and answers of another artifact may count
            record, events = with_failure(record, record.serving, why, self._context, cause=Cause.CANARY)
            self._records.put(record)
            for event in events:
                self._records.log(event)
            self._queue.withdraw(component)
            self._advance(component)
        self._records.flush()  # before the routes, so that it begins no second time

    def _note_routes(self) -> None:
        for record, told in list(self._routes.news(self._records)):
            self._records.put(record)
            self._records.note(record, "routed", cause=told)

    def _fails(self) -> bool:
        """Fail the generation, as too many adapters have failed; return False if it has timed out before."""
        if self._timed_out:
            self._over_limit = False
            return False
        reason = failure_reason(self._session.generation, self._progress.reasons(sorted(self._failing)))
        self._session.end_generation(Outcome.FAILED, reason)
        return True

    def _begin_deletions(self) -> None:
        """Delete the components that are not wanted, now that everything else is done."""
        self._deletes = True
        if self._routes.forget_undeclared({self._records[component].name for component in self._queue.held}):
            self._session.update_generation(applied=True)
        for component in sorted(self._queue.held):
            record = self._records[component]
            if record.adopted and record.live is not None:
                # The fleet did not make it: it is described right before it is deleted.
                self._records.put(replace(record, live=replace(record.live, described=False)))
            self._advance(component)

    def _finds_more_to_delete(self) -> bool:
        """Read the tags of strangers before a deletion ends; return whether any are to be deleted.

        A listing may have left out a component whose record cannot be read: it is described.
        """
        unseen = [
            component
            for component, record in self._records.items()
            if record.unreadable is not None and record.live is None and record.absent_at is None
        ]
        if not (unseen or self._observation.unread_strangers):
            return False
        for component in unseen:
            self._look(component)
        self._read_strangers()
        self._count_deletions()
        self._advance_all()
        return self._is_unsettled

    # --- taking steps

    def _take_steps(self, *, writes: bool, asks: bool = False) -> None:
        """Take steps until nothing is due soon: all of them, or without `writes` only reads.

        asks:
            True if requests are sent without `writes`, too.
        """
        queue, clock = self._queue, self._session.clock
        while True:
            self._collect(seconds=0.0)
            if self._looks_again or self._session.is_late():
                break
            now, writing = clock.now(), writes and not self._over_limit
            looks = self._polling.next_times() if writing else []
            steps = queue.next_steps(now, asks=asks or writing, writes=writing, waits=self._waits_for_write)
            if not queue.is_full and self._begin(steps, looks, now):
                continue
            due = min([*looks, *(step.at for step in steps)], default=None)
            self._session.renew()
            if queue.under_way:
                # Not longer than until the next call may begin, however long the calls under way take.
                self._collect(seconds=min(due - now, 1.0) if due is not None and due > now else 1.0)
            elif due is None or not (steps or due - now <= _INLINE_WAIT_SECONDS):
                break
            else:
                if due - now >= _FLUSH_SECONDS:
                    self._records.flush()
                clock.sleep(min(due - now, _SLICE_SECONDS))
        self._join()

    def _join(self) -> None:
        """Wait for every call under way, and take in its result: none goes on after the pass."""
        while self._queue.under_way:
            self._session.renew()
            self._collect(seconds=1.0)

    def _begin(self, steps: list[QueuedStep], looks: list[float], now: float) -> bool:
        """Begin one call that may begin now; return False if there is none."""
        step = next((step for step in steps if step.at <= now), None)
        if step is not None:
            component = step.queue.popleft()
            if step.rate is not None:
                step.rate.begin(now)
            if self._queue.decisions[component].step.writes:
                self._session.renew()
            self._queue.under_way.begin(component, partial(execute, self._task(component)))
        elif looks and min(looks) <= now:
            self._look_again(now)
        else:
            return False
        return True

    def _task(self, component: str) -> StepTask:
        """Return the next step of a component."""
        session, decision = self._session, self._queue.decisions[component]
        return StepTask(
            uid=session.uid,
            registry=session.registry,
            service=session.service,
            clock=session.clock,
            leased=lambda: session.lease,
            context=self._context,
            record=self._records[component],
            want=self._desired.wanted.get(component),
            decision=decision,
            wanted=self._desired.wanted,
            answers=answers_of(self._records) if decision.step is Step.PROBE else {},
            copies=session.fleet.base_copies,
            repairs=not self._reports,
            stop=session.is_late,
        )

    @property
    def _waits_for_write(self) -> bool:
        """True if the next write has to wait for one under way, as the service takes one at a time."""
        return self._session.fleet.serial and (bool(self._polling.in_flight) or self._queue.is_writing)

    # --- their results

    def _collect(self, *, seconds: float) -> None:
        """Take in the results of calls that have ended; wait for the first, some seconds at most."""
        if not self._queue.under_way:
            return
        for component, result in self._queue.under_way.take_ended(seconds=seconds):
            self._take_in(component, result)
        self._records.flush_if_full()
        if self._routes_open:
            self._routes.flush()
        self._save_progress()

    def _take_in(self, component: str, result: StepOutcome) -> None:
        """Keep the result of a step, and decide what comes next."""
        step = self._queue.decisions[component].step
        self._note_archive(component, result)
        for _ in range(result.requests - 1):
            self._limits.reads.begin(self._session.clock.now())
        if result.unexpected is not None:
            self._session.telemetry.unexpected(component, result.unexpected)
        self._records.put(result.record)
        error = result.error if isinstance(result, Stopped) else None
        if step.writes and not isinstance(result, NotSent):
            self._not_taken = None if error is None else str(error)
            self._observation.note_write()
            self._records.note_written(component)
        for event in result.events:
            self._records.log(event)
        self._note_unanswered(step, result.record)
        if self._ends_here(component, step, result):
            return
        if isinstance(result, Strange):
            self._observation.note_foreign(component, result.created)
        first = not self._polling.is_planned
        self._advance(component)
        if step is Step.READ_TAGS and isinstance(error, ThrottledError | UnansweredError):
            self._read_tags(component)  # a drift check wants the tags though no decision does
        if isinstance(result, Accepted):
            self._note_accepted(component, first=first)

    def _note_unanswered(self, step: Step, record: AdapterRecord) -> None:
        """Let this pass look at the copies, once, if an adapter in service does not itself answer a retry."""
        if not step.asks or not record.ordered or self._reports or self._base_check.doubted:
            return
        self._base_check.doubted = self._looks_again = record.recheck in (Recheck.SEND, Recheck.RESEND)

    def _note_accepted(self, component: str, *, first: bool) -> None:
        """Note that SageMaker took a write, and plan when to look at it."""
        if self._changes(component):
            self._session.update_generation(applied=True)
        self._limits.write_accepted()
        # Poll early: the first of many writes shows whether any succeeds.
        if first or self._session.fleet.serial or not self._queue.writes:
            self._polling.plan_after_write(last=not self._queue.writes)

    def _note_archive(self, component: str, result: StepOutcome) -> None:
        """Note whether the archive has to be read first; follow what answers if that of a pin is missing."""
        self._unverified.pop(component, None)
        artifact = self._queue.decisions[component].artifact
        if isinstance(result, NeedsArchive) and artifact is not None:
            self._unverified[component] = artifact
        missing = result.missing if isinstance(result, NotSent) else None
        pins = [] if missing is None else self._desired.pins_to(component, artifact)
        if pins:
            self._move_pins(pins, self._records[component], result, missing)

    def _move_pins(
        self, pins: list[Order], record: AdapterRecord, result: StepOutcome, missing: str | None
    ) -> None:
        """Pin what answers instead of a version that is gone; without any, the rollback stays and fails."""
        answers = self._routes.answering(record.name) or proven_artifact(record)
        given_up = [artifact for pin in pins for artifact in (pin.replaces, pin.artifact)]
        if answers is None or any(map(answers.same_version_as, given_up)):
            failure = result.record.failure
            if failure is not None and failure.reason == missing:
                reason = (
                    f"{failure.reason}; it is rolled back to that version: publish another one, or run"
                    f" 'adapters rollback {record.name} --undo'"
                )
                result.record = replace(result.record, failure=replace(failure, reason=reason))
            return
        kept = [replace(pin, artifact=answers) for pin in pins]
        for pin, other in zip(pins, kept, strict=True):
            self._session.registry.replace_order(pin, other, self._session.lease)
        orders = [order for order in self._desired.orders if order not in pins]
        self._desired = replace(self._desired, orders=[*orders, *kept])
        if self._desired.versions.has_routes:
            self._session.abandon()  # other components are wanted now
        else:
            self._desired = self._desired.with_pins_of(record.component, self._records)
        cause = f"the version that it was rolled back to is gone: {missing}"
        self._records.note(record, "unpinned", cause=f"{cause}; {answers.version} goes on answering")

    def _ends_here(self, component: str, step: Step, result: StepOutcome) -> bool:
        """Adapt the rates to the result of a call; return True if nothing more can be done in this pass."""
        limits = self._limits
        limiter = limits.reads if step.reads or step.asks or step.lane is Lane.ARCHIVE else limits.writes
        if not isinstance(result, Stopped):
            limiter.succeeded(sent=not (step.writes and isinstance(result, NeedsArchive)))
            self._unread_since.pop(component, None)
            return False
        match result.error:
            case ThrottledError():
                limits.back_off(result.error, limiter)
            case UnansweredError() | ConflictError() | LimitReachedError() if step.reads:
                limits.pause_after_lost_answer()
                limits.back_off(result.error, limits.reads)
                return self._gives_up_reading(component, str(result.error))
            case UnansweredError():
                limits.pause_after_lost_answer()
            case ConflictError():
                self._note_conflict(component)
            case LimitReachedError():
                for other in self._queue.stop_creating(str(result.error)):
                    self._advance(other)
            case RefusedError() if step.reads:
                self._leave_alone(component, str(result.error))
                return True
            case RefusedError() | MissingError() if result.blocks:
                self._queue.block(component, str(result.error))
                return True
        return False

    def _gives_up_reading(self, component: str, reason: str) -> bool:
        """Leave a component alone whose reads have failed for long; return True then."""
        now = self._session.clock.now()
        if now - self._unread_since.setdefault(component, now) < _READ_SECONDS:
            return False
        self._leave_alone(component, reason)
        return True

    def _note_conflict(self, component: str) -> None:
        """Slow down after a write that was refused for now."""
        live = self._records[component].live
        # If the component itself is not in transition, another one is: the service takes one write at a time.
        if live is None or not live.status.in_transition:
            self._session.update_fleet(serial=True)
        self._limits.pause_after_conflict()

    # --- writes under way

    def _look_again(self, now: float) -> None:
        """Look at components whose writes should have ended by now."""
        for component in self._polling.take_due(now):
            self._look(component)
        polled = self._polling.begin_poll(now)
        if polled:
            self._poll(polled)

    def _poll(self, polled: list[str]) -> None:
        """Look at the components whose writes are under way, with as few calls as possible.

        Components that are being created are described, or listed with all that came after them. Others are
        described, or the whole endpoint is listed. With nothing left to write, that listing is the last one.
        """
        queue, observation = self._queue, self._observation
        now = self._session.clock.now()
        only_stuck = not self._polling.in_flight
        writing = bool(queue.writes) and not self._session.fleet.serial
        deleting = writing and self._deletes
        last = not (observation.complete or queue.has_steps or queue.held)
        created = [component for component in polled if self._is_created(component)]
        recent_pages = observation.recent_pages(created) if created else 0
        calls = len(polled) - len(created) + min(len(created), recent_pages)
        listed: list[str] = []
        if calls > observation.pages * (_LAST_LISTING_SHARE if last else 1):
            listed, calls = polled, observation.pages
            if not observation.list():
                return
            self._advance_all()
        elif len(created) > recent_pages:
            listed = created
            if not observation.list_recent(created):
                return
            for component in created:
                self._advance(component)
        if not deleting:
            for component in sorted(set(polled).difference(listed)):
                self._polling.discard(component)
                self._look(component)
        self._polling.end_poll(
            now,
            seconds=max(calls / self._limits.reads.rate, self._session.clock.now() - now),
            listed=listed,
            only_stuck=only_stuck,
            writing=writing,
            deleting=deleting,
        )

    def _is_created(self, component: str) -> bool:
        """Return True if a component is being created."""
        intent = self._records[component].intent
        return intent is not None and intent.write is Write.CREATE

    # --- the tags of strangers

    def _read_strangers(self) -> None:
        """Read the tags of strangers, and in the first call those of orphans; a tagged stranger is an orphan.

        A stranger whose tags are not read in time stays one.
        """
        strangers = self._observation.unread_strangers
        orphans = set() if self._orphans_read else set(self._progress.orphans[:TAGS_BEFORE_THE_END])
        self._orphans_read = True
        for component in sorted(strangers.keys() | orphans):
            if component in strangers:
                self._records.add_unsaved(strangers[component])
            self._read_tags(component)
        self._take_steps(writes=False)
        for component in orphans - strangers.keys():
            self._advance(component)
        unread = {name for name in self._queue.reads if name in strangers}
        for component in unread:
            self._forget(component)
        self._observation.keep_strangers(unread)
        self._queue.reads.clear()

    # --- progress

    @property
    def _progress(self) -> Progress:
        return Progress(
            decisions=self._queue.decisions,
            records=self._records,
            wanted=self._desired.answering,
            skipped=self._queue.unreadable,
            deleting=self._session.deleting,
        )

    @property
    def _waits_only_for_deletions(self) -> bool:
        """True if everything is done but the deletions, which come last."""
        queue = self._queue
        return bool(queue.held) and not (self._polling.in_flight or queue.has_steps or queue.blocked)

    @property
    def _is_unsettled(self) -> bool:
        """True if the generation waits for any component."""
        queue = self._queue
        return bool(
            self._polling.in_flight
            or queue.has_steps
            or queue.held
            or queue.waiting
            or queue.blocked
            or (self._routes_open and self._routes.unsent)
            or self._progress.waits_for_components
        )

    @property
    def _timed_out(self) -> bool:
        """True if the deployment has ended by timeout, after which no failure rolls it back any more.

        This begins some seconds before the timeout, so that `is_complete` never contradicts it.
        """
        request = self._session.generation.request
        timeout = request.target.settings.timeout_seconds - _TIMEOUT_MARGIN_SECONDS
        return request.source is Source.DEPLOYMENT and self._session.clock.now() - request.at > timeout

    def _note_failure(self, component: str) -> None:
        """Count a changed component that has failed for good, and check the failure policy."""
        if component in self._changed and self._progress.has_failed(component):
            self._failing.add(component)
            self._check_failure_limit()
        else:
            self._failing.discard(component)

    def _check_failure_limit(self) -> None:
        """Note whether too many of the changed adapters have failed."""
        exceeds = exceeds_failure_limit(self._session.generation, len(self._failing))
        if exceeds and not self._timed_out:
            self._over_limit = True

    def _changes(self, component: str) -> bool:
        """Return True if the generation changes a component, or deletes it with its adapter."""
        gone = component not in self._desired.wanted and self._records[component].name not in self._names
        return gone or component in self._changed

    def _count(self) -> None:
        """Bring the counts of the generation up to date."""
        # One snapshot: calls go on meanwhile.
        made = self._session.service.calls.copy()
        calls, self._counted_calls = made - self._counted_calls, made
        generation, counts = self._session.generation, self._progress.counts
        if generation.outcome is Outcome.REFUSED:
            counts["failed"] = 0  # none of its adapters was tried
        self._session.update_generation(
            **counts,
            failures=len(self._failing),
            applied=generation.applied or self._progress.has_begun(filter(self._changes, self._records)),
            waiting=self._progress.waiting,
            writes=generation.writes + sum(calls[name] for name in WRITE_OPERATIONS),
            reads=generation.reads + sum(calls[name] for name in READ_OPERATIONS),
        )

    def _save_progress(self) -> None:
        """Save how far the generation is, every few seconds, and look for a newer one."""
        session, now = self._session, self._session.clock.now()
        session.beat()
        if now - self._saved_at >= _SAVE_SECONDS:
            self._saved_at = now
            self._records.flush()
            session.look_for_newer_generation()
            self._count()
            if session.generation.outcome is Outcome.OPEN:
                reason = self._queue.limit or self._not_taken or session.generation.reason
                session.update_generation(reason=reason)
            session.save_generation()

    # --- the end of the pass

    def _conclude(self, trouble: str | None) -> PassResult:
        """End the generation if it is done, save everything, and release the lease.

        trouble:
            What the pass could not get past.
        """
        session, observation = self._session, self._observation
        ended = session.generation.outcome in (Outcome.FAILED, Outcome.REFUSED)
        unread = session.deleting and bool(observation.unread_strangers)
        settled = (
            trouble is None
            and not (ended or unread)
            and not self._is_unsettled
            and observation.complete  # a listing has shown that nothing is left to do
        )
        nobody_waits = session.generation.outcome is Outcome.CONVERGED
        surveys = settled and not session.deleting
        if surveys and len(observation.unread_strangers) <= TAGS_BEFORE_THE_END:
            self._read_strangers()
        blocked = next(iter(self._queue.blocked.values()), None)
        held_up = None if settled or ended else trouble or blocked or self._queue.limit or self._not_taken
        self._save_generation(settled=settled, held_up=held_up)
        if surveys and observation.unread_strangers:
            # The deployment has ended by now, and need not wait for this.
            nobody_waits = session.generation.outcome is Outcome.CONVERGED
            self._read_strangers()
            self._records.flush()
            self._count()
            session.save_generation()
        now = session.clock.now()
        wait = wait_seconds(self._next_times(now, trouble, nobody_waits=nobody_waits), now)
        if surveys and observation.unread_strangers:
            wait = 1  # their tags are still to be read
        self._save_fleet(wait, trouble, held_up, settled=settled)
        session.registry.release(session.lease)
        generation = session.generation
        # The generation that a refused one had superseded goes on.
        refused = generation.outcome is Outcome.REFUSED
        goes_on = refused and active_generation(generation, session.registry.generation) is not None
        done = (ended and not goes_on) or self._reports or (settled and wait is None)
        # After trouble, too little may be known for the guards. The base is looked at again where it may have
        # no copy left, or new ones.
        keeps_listing = (
            observation.listed
            and trouble is None
            and not self._plans_again
            and not (settled and not done)
            and not self._progress.lacks_capacity
            and self._base_check.next_look is None
        )
        return PassResult(done=done, wait_seconds=wait or 1, listed=generation.number if keeps_listing else 0)

    def _save_generation(self, *, settled: bool, held_up: str | None) -> None:
        """Save how far the generation is; end it if nothing is left to do."""
        session = self._session
        if settled:
            self._confirm_imports()
            if self._routes_open:
                self._routes.forget_undeclared()
        self._records.flush()
        self._count()
        session.update_generation(passes=session.generation.passes + 1)
        if session.generation.outcome is Outcome.OPEN:
            incomplete = self._progress.reason_of_incomplete_deletion
            if settled and incomplete is not None:
                session.end_generation(Outcome.FAILED, incomplete)
            elif settled:
                outcome = session.end_generation(Outcome.CONVERGED, self._progress.reason_of_converged)
                if outcome is Outcome.CONVERGED:
                    void = self._desired.void_orders(self._records, session.target)
                    session.registry.take_orders(void, session.lease)
            else:
                session.update_generation(reason=held_up)
        session.save_generation()

    def _confirm_imports(self) -> None:
        """Note that this generation keeps what it imported. A later one that drops it may delete it."""
        for component in self._desired.wanted:
            record = self._records.get(component)
            if record is not None and record.owned is not None and record.claimed is not None:
                self._records.put(replace(record, claimed=None))

    def _save_fleet(
        self, wait: int | None, trouble: str | None, held_up: str | None, *, settled: bool
    ) -> None:
        """Save what this pass learned, and emit the metrics."""
        session, now = self._session, self._session.clock.now()
        generation, fleet = session.generation, session.fleet
        newest = generation if generation.number == session.newest.number else session.newest
        converged = generation.outcome is Outcome.CONVERGED
        in_force = newest.outcome is Outcome.CONVERGED
        # A newer manifest does not reset the time, nor does one that is refused.
        since = fleet.behind_since or (now if in_force else newest.request.at)
        behind_since = None if settled and in_force else since
        session.update_fleet(
            rate=self._limits.writes.rate,
            write_seconds=self._polling.write_seconds,
            foreign=dict(itertools.islice(self._observation.settled_foreign().items(), _MAX_FOREIGN)),
            heartbeat=now + (wait or 0),
            behind_since=behind_since,
            trouble=held_up,
            failed_passes=0 if trouble is None else fleet.failed_passes + 1,
            pass_ended=now,
            converged=generation.number if converged else fleet.converged,
            deleted=converged and session.deleting,
        )
        session.registry.save_fleet(session.fleet, session.lease)
        session.telemetry.measured(
            generation,
            session.fleet,
            age=0.0 if behind_since is None else now - behind_since,
            throttles=self._limits.throttles,
            drifted=self._records.drifted,
            asleep=self._progress.asleep,
            misidentified=self._progress.misidentified,
            lost_archives=self._records.lost_archives,
        )

    # --- the next pass

    def _next_times(self, now: float, trouble: str | None, *, nobody_waits: bool) -> list[float]:
        """Return when something is due after this pass."""
        lasted = now - self._session.generation.request.at
        times = [*self._times_of_steps(now, trouble), *self._routes.next_times()]
        if trouble is not None or self._queue.blocked or self._queue.waiting:
            times.append(now + seconds_after_trouble(lasted))
        decisions = self._queue.decisions.values()
        retries = [decision.until for decision in decisions if decision.until is not None]
        if retries and (not times or self._is_unsettled):
            together = nobody_waits and not times and not self._is_unsettled
            times.append(time_of_retries(retries, now, together=together))
        look = self._base_check.next_look
        if look is not None:
            times.append(now + look)
        elif self._progress.asleep or self._routes.waits_for_copy:
            times.append(now + seconds_until_copies(lasted))
        return times

    def _times_of_steps(self, now: float, trouble: str | None) -> list[float]:
        """Return when queued steps may begin, and when to look at the writes under way."""
        queue, times = self._queue, self._polling.next_times()
        # Steps that wait for a write to end come after the next poll.
        writes = queue.writes and not self._waits_for_write
        deletes = queue.held and not self._polling.in_flight
        if trouble is None and (
            (self._routes_open and self._routes.unsent)
            or any(waiting for lane, waiting in queue.lanes.items() if lane is not Lane.WRITE)
            or writes
            or deletes
        ):
            times.append(max(now, self._limits.paused_until))
        return times


def _has_ended_since(before: AdapterRecord, record: AdapterRecord) -> bool:
    """Return True if an adapter has answered its probe since a record of it."""
    check, earlier = record.probed, before.probed
    return check is not None and (earlier is None or check.ended != earlier.ended)
