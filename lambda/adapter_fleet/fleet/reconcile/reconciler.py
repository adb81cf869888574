"""One pass of the reconciler: observe, plan, apply, for as long as there is time and something to do.

A pass may die at any moment. What it has to know again is in the registry before it acts: an intent before
each write. `docs/adr/0009-reconciler.md` tells why each promise holds.
"""

import itertools
import math
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from random import Random
from typing import Literal, Protocol

from adapter_fleet.common.bounded_text import text_of
from adapter_fleet.common.clock import Clock
from adapter_fleet.fleet.planning.context import PlanContext
from adapter_fleet.fleet.planning.decide import Decision, Step, decide
from adapter_fleet.fleet.planning.guards import (
    count_deletions,
    exceeds_failure_limit,
    failure_reason,
    refusal,
)
from adapter_fleet.fleet.planning.observe import base_trouble, known_foreign, merge_listing, new_record
from adapter_fleet.fleet.planning.pins import apply_pins, served_version
from adapter_fleet.fleet.planning.settle import settle, with_new_attempts
from adapter_fleet.fleet.reconcile.rate_limiter import Pace
from adapter_fleet.fleet.reconcile.step_executor import PROBE, UNKNOWN_ADAPTER, Steps, Taken
from adapter_fleet.fleet.state.components import ObservedBase, ObservedComponent, Status
from adapter_fleet.fleet.state.failures import Cause
from adapter_fleet.fleet.state.generations import (
    Generation,
    Outcome,
    Request,
    Source,
    active_generation,
    newest_not_refused,
    undone_number,
)
from adapter_fleet.fleet.state.orders import Order, OrderKind
from adapter_fleet.fleet.state.records import AdapterRecord, Event, FleetRecord, Recheck, Write
from adapter_fleet.fleet.state.registry import (
    STALLED_SECONDS,
    Lease,
    LeaseLostError,
    OvertakenError,
    Registry,
)
from adapter_fleet.fleet.state.sagemaker_port import (
    ConflictError,
    MissingError,
    RefusedError,
    SageMakerPort,
    ServiceError,
    ThrottledError,
    UnansweredError,
)
from adapter_fleet.fleet.state.settings import DriftAction
from adapter_fleet.manifest.desired import Artifact, DesiredFleet

LEASE_SECONDS = 40.0
PAGE = 100
"""Components that one call lists."""
READ_RATE = 20.0
"""Reads and requests to adapters a second at most. [I] No quota is published."""

TAGS_A_DRIFT_RUN = 100
"""Components whose tags one drift run reads: five seconds at the read rate, and a call for each."""

TAGS_BEFORE_THE_END = 100
"""Tags of strangers that a generation waits for before it ends; the others are read after it."""

MOST_REQUESTS_AT_A_TIME = 4
"""Smoke requests take from the adapters' own callers."""

MOST_ARCHIVES_AT_A_TIME = 2
"""Reading one takes the function's processor; the other workers go on."""

_RENEW_SECONDS = 0.8 * LEASE_SECONDS
_INLINE_WAIT_SECONDS = 10.0
_SLICE_SECONDS = 3.0
_FIRST_POLL_SECONDS = 1.0
_SHORTEST_POLL_SECONDS = 0.1
_AFTERWARDS_SECONDS = 0.05
_NEWEST_SHARE = 0.3
_EARLIER = 0.9
_LONGEST_POLL_SECONDS = 15.0
_LONGEST_LOOK_SECONDS = 60.0
_BUSY_POLL_SECONDS = 10.0
_STUCK_POLL_SECONDS = 60.0
_TROUBLE_SECONDS = 15.0
_LONGEST_TROUBLE_SECONDS = 300.0
_TROUBLE_SHARE = 0.1
_UNREAD_SECONDS = 60.0
_STILL_WAITING = 2.0
_LONGEST_CONFLICT_SECONDS = 10.0
_MOST_DOUBLINGS = 10
_TELLING_SECONDS = 10.0
_MOST_FOREIGN = 5000
_LONGEST_WAIT_SECONDS = 900.0
_FLUSH_RECORDS = 25
_PATIENCE = 8
_SAMPLE_REQUESTS = 4
"""A request reaches one copy of the base, whichever SageMaker picks: of two, 4 miss one in 1 of 16 cases."""
_SAMPLE_SECONDS = 15.0
_FLUSH_SECONDS = 1.0
_SAVE_SECONDS = 5.0
_HEARTBEAT_SECONDS = 60.0
WRITE_OPERATIONS = frozenset(
    {
        "CreateInferenceComponent",
        "UpdateInferenceComponent",
        "DeleteInferenceComponent",
        "AddTags",
        "DeleteTags",
    }
)
READ_OPERATIONS = frozenset({"ListInferenceComponents", "DescribeInferenceComponent", "ListTags"})


_WRITE_OF = {"created": Write.CREATE, "updated": Write.UPDATE, "deleted": Write.DELETE}


def _created(record: AdapterRecord) -> tuple[float, ...]:
    return () if record.live is None else (record.live.created,)


DRIFT_TRIGGER = "drift"

_OF_THE_BASE = frozenset({Cause.ARTIFACT, Cause.SMOKE, Cause.UPDATE_REFUSED})
"""Causes that another base model may do away with."""


class Telemetry(Protocol):
    """Where a pass says what it did."""

    def changed(self, event: Event) -> None:
        """Log one change of an adapter."""

    def measured(
        self, generation: Generation, fleet: FleetRecord, *, age: float, throttles: int, drifted: int
    ) -> None:
        """Emit the fleet's metrics; `age` is for how many seconds it has not been what is wanted."""

    def trouble(self, text: str) -> None:
        """Log what keeps a pass from going on."""

    def unforeseen(self, component: str, error: Exception) -> None:
        """Log an exception that nobody foresaw, with where it came from; it is one component's failure."""

    def failed_pass(self, error: Exception, *, in_a_row: int) -> None:
        """Log that a pass ended with an exception, and emit how many did so in a row."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of the state machine.

    execution, started_at:
        The execution's name and start; the latest one is the runner.
    owner:
        Tells this pass from every other one.
    deadline:
        When it has to have returned.
    listed:
        The generation for which this execution has listed everything.
    """

    execution: str
    started_at: float
    owner: str
    trigger: str
    deadline: float
    listed: int = 0
    passes: int = 0


@dataclass(frozen=True, kw_only=True)
class Result:
    """What the state machine is told: go on after some seconds, or be done."""

    done: bool
    wait_seconds: int = 1
    listed: int = 0


@dataclass(frozen=True, kw_only=True)
class Reconciler:
    """What passes are made of.

    uid:
        The value of the fleet's tag.
    executor:
        Makes calls at the same time; one that runs them at once makes a pass repeatable.
    workers:
        How many calls it makes at the same time.
    """

    uid: str
    registry: Registry
    service: SageMakerPort
    clock: Clock
    executor: Executor
    telemetry: Telemetry
    start_machine: Callable[[str, str], None]
    random: Random = field(default_factory=Random)
    workers: int = 8

    def run(self, call: Call) -> Result:
        """Make one pass."""
        fleet = self.registry.fleet()
        newest = None if fleet is None else self.registry.generation(fleet.generation)
        if fleet is None or newest is None:
            return Result(done=True)
        # A deletion whose time was up may have ended since, and be asked for again.
        if fleet.deleted and newest.outcome is not Outcome.OPEN:
            return Result(done=True)
        reports = False
        if call.trigger == DRIFT_TRIGGER and call.passes == 0:
            current = active_generation(newest, self.registry.generation)
            if current is None:
                return Result(done=True)
            if current.outcome is Outcome.CONVERGED:
                drift = current.request.target.settings.drift
                if drift is None:
                    return Result(done=True)
                reports = drift is DriftAction.REPORT
            elif self.clock.now() - max(fleet.heartbeat, current.request.at) <= STALLED_SECONDS:
                return Result(done=True)  # it makes way for what is under way
        if not reports and not self.registry.become_runner(call.execution, call.started_at):
            return Result(done=True)
        now = self.clock.now()
        lease = self.registry.acquire(call.owner, now, LEASE_SECONDS)
        if lease is None:
            return Result(done=reports, wait_seconds=5, listed=call.listed)
        running = None
        try:
            running = _Pass(self, call, lease, reports=reports)
            return running.run()
        except LeaseLostError as error:
            self.telemetry.trouble(str(error))
            if running is not None:
                running.abandon()
            return Result(done=reports, wait_seconds=5, listed=0)
        except Exception as error:
            if running is not None:
                running.abandon()
            self._note_failed_pass(error, lease)
            raise

    def _note_failed_pass(self, error: Exception, lease: Lease) -> None:
        """Remember that a pass failed, as far as that can be, and give the lease back.

        Where the registry is what fails, neither may be possible: the exception of the pass says more.
        """
        in_a_row = 1
        with suppress(Exception):
            fleet = self.registry.fleet()
            if fleet is not None:
                in_a_row = fleet.failed_passes + 1
                why = f"a pass failed: {text_of(error)}"
                failed = replace(fleet, failed_passes=in_a_row, trouble=why, heartbeat=self.clock.now())
                self.registry.save_fleet(failed, lease)
        with suppress(Exception):
            self.registry.release(lease)
        self.telemetry.failed_pass(error, in_a_row=in_a_row)


class _Halt(Exception):  # noqa: N818 - it is no error of the program
    """The pass cannot go on for now; the message says why."""


class _Pass:
    def __init__(self, reconciler: Reconciler, call: Call, lease: Lease, *, reports: bool) -> None:
        self._r, self._call, self._lease, self._reports = reconciler, call, lease, reports
        self._registry, self._service, self._clock = (
            reconciler.registry,
            reconciler.service,
            reconciler.clock,
        )
        # Read again under the lease: a generation may have come in between.
        fleet = self._registry.fleet()
        if fleet is None:
            raise LeaseLostError("the registry is gone")
        self._fleet = fleet
        newest = self._registry.generation(fleet.generation)
        if newest is None:
            raise LeaseLostError("the registry is gone")
        self._newest = newest
        self._orders = self._registry.orders()
        self._calls_before = self._service.calls.copy()
        self._throttles = 0
        self._listed = False
        self._verified = False
        self._events: list[Event] = []
        self._dirty: set[str] = set()
        self._decisions: dict[str, Decision] = {}
        self._reads: deque[str] = deque()
        self._asks: deque[str] = deque()
        self._writes: deque[str] = deque()
        self._archives: deque[str] = deque()
        self._unverified: dict[str, Artifact] = {}
        self._held: set[str] = set()
        self._waiting: set[str] = set()
        self._looks: dict[str, float] = {}
        self._stuck: set[str] = set()
        self._blocked: dict[str, str] = {}
        self._futures: dict[Future[Taken], str] = {}
        self._samples: dict[Future[set[bool]], str] = {}
        self._pages = 1
        self._base: ObservedComponent | None = None
        self._poll_at: float | None = None
        self._poll_seconds = _FIRST_POLL_SECONDS
        self._goes_on = False
        self._write_seconds = dict(self._fleet.write_seconds)
        self._resume_at = 0.0
        self._over_limit = False
        self._superseded = False
        self._saved_at = self._clock.now()
        self._drifted: set[str] = set()
        self._failing: set[str] = set()
        self._unread: set[str] = set()
        self._strangers: dict[str, AdapterRecord] = {}
        self._surveyed = False
        self._deletes = False
        self._conflicts = 0

    # --- the pass

    def run(self) -> Result:
        active = active_generation(self._newest, self._registry.generation)
        if active is None:
            self._registry.release(self._lease)
            # The pass that ended it may have died before it came to that.
            failed = newest_not_refused(self._newest, self._registry.generation)
            if failed is not None:
                self._take_back(failed)
            return Result(done=True)
        if active.outcome is Outcome.SUPERSEDED:
            active = self._registry.reopen(active.number, self._lease)
        self._listed = self._goes_on = self._call.listed == active.number
        self._generation = active
        settings = active.request.target.settings
        self._write_pace = Pace(ceiling=settings.request_rate, rate=self._fleet.rate, random=self._r.random)
        self._read_pace = Pace(ceiling=READ_RATE, rate=None, random=self._r.random)
        deleting = active.request.source is Source.DELETION
        desired = DesiredFleet() if deleting else self._registry.desired(active.number)
        self._spares_adopted = active.spares_adopted(converged=self._fleet.converged > 0)
        self._declared = {adapter.component: adapter for adapter in desired.adapters}
        self._stored = self._registry.records()
        self._records = dict(self._stored)
        self._wanted = apply_pins(desired.adapters, self._orders, self._records)
        self._changed = self._find_changed()
        self._undone = undone_number(active, self._registry.generation)
        self._foreign = known_foreign(self._fleet.foreign, self._records, self._wanted)
        self._pages = math.ceil((len(self._records) + len(self._foreign) + 1) / PAGE)
        self._fleet = replace(self._fleet, serial=self._fleet.serial and self._listed)
        self._take_orders()
        trouble = None
        try:
            self._observe()
            self._guard()
            if self._reports:
                self._report()
            if self._generation.outcome in (Outcome.OPEN, Outcome.CONVERGED):
                self._check_base()
                if not self._reports:
                    self._prune()
                    self._apply()
                    self._prune()
        except _Halt as halt:
            trouble = str(halt)
            self._r.telemetry.trouble(trouble)
            self._join()
        return self._conclude(trouble)

    def abandon(self) -> None:
        """Let the calls that are under way end, and take nothing in of them."""
        self._superseded = True  # what asks whether there is time stops
        wait(self._futures)
        wait(self._samples)

    def _take_orders(self) -> None:
        retried = [order for order in self._orders if order.kind is OrderKind.RETRY]
        for order in retried:
            record = self._records.get(order.component)
            if record is not None and record.failure is not None:
                self._keep(replace(record, failure=None, restore_at=None))
                self._note(record, "retried")
        unpinned = {order.component: order for order in self._orders if order.kind is OrderKind.UNPIN}
        void = [
            order
            for order in self._orders
            if order.component in unpinned and order.kind in (OrderKind.PIN, OrderKind.UNPIN)
        ]
        if void:
            self._orders = [order for order in self._orders if order not in void]
            self._wanted = apply_pins(self._declared.values(), self._orders, self._records)
        self._flush()
        if retried or void:
            self._registry.take_orders([*retried, *void], self._lease)

    def _prune(self) -> None:
        """Count the deletions that people ordered; an order stays until its orphan is gone, or wanted."""
        done = []
        for order in [order for order in self._orders if order.kind is OrderKind.PRUNE]:
            record = self._records.get(order.component)
            if record is None or record.owned != order.created or order.component in self._wanted:
                done.append(order)
            elif record.counted is None:
                self._keep(replace(record, counted=self._generation.number))
                self._advance(order.component)
        self._flush()
        if done:
            self._registry.take_orders(done, self._lease)
            self._orders = [order for order in self._orders if order not in done]

    def _done_with(self, order: Order) -> bool:
        """Tell whether an order has nothing to say any more, once this generation is in force."""
        declared = self._declared.get(order.component)
        if order.kind is OrderKind.CLAIM:
            record = self._records.get(order.component)
            live = None if record is None else record.live
            there = live is not None and live.created == order.created
            taken = record is not None and record.owned == order.created
            refused = record is not None and record.other_stack is not None
            return declared is not None and (taken or refused or not there)
        # The manifest has moved on from what a pin replaces, or what it names has never served.
        return order.kind is OrderKind.PIN and (
            declared is None
            or not declared.artifact.same_version_as(order.replaces)
            or served_version(self._records.get(order.component), order.artifact) is None
        )

    def _context(self) -> PlanContext:
        """Return what decisions depend on now. It is asked for at every step: orders are many."""
        return replace(
            self._context_of_pass,
            now=self._clock.now(),
            generation=self._generation.number,
            foreign=self._foreign,
            deletes=self._deletes,
        )

    @cached_property
    def _context_of_pass(self) -> PlanContext:
        """The part of it that stays for the whole pass."""
        return PlanContext.of(
            self._generation.request.target,
            now=self._clock.now(),
            generation=self._generation.number,
            foreign=self._foreign,
            orders=self._orders,
            undone=self._undone,
        )

    # --- observe

    def _observe(self) -> None:
        """Find out what there is; no write."""
        if not self._listed:
            self._list()
            self._listed = True
            self._look_at_base()
        self._advance_all()
        if self._call.trigger == DRIFT_TRIGGER and self._call.passes == 0:
            self._read_some_tags()
        self._drive(writes=False)

    def _list(self) -> None:
        """List the endpoint, and take in what it says of every component."""
        listing: dict[str, ObservedComponent] = {}
        endpoint = self._generation.request.target.endpoint
        attempts = 0
        while True:
            listing.clear()
            pages = 0
            try:
                for page in self._service.pages(endpoint):
                    self._read_pace.begin(self._clock.now())
                    self._read_pace.went_well()
                    listing |= page
                    pages += 1
                    self._renew()
                break
            except (ThrottledError, UnansweredError) as error:
                attempts += 1
                self._throttle(error, self._read_pace)
                if attempts >= _PATIENCE or self._clock.now() >= self._call.deadline:
                    raise _Halt(
                        f"the components of endpoint '{endpoint}' cannot be listed: {error}"
                    ) from None
                self._clock.sleep(self._read_pace.wait(self._clock.now()) + 0.1)
                self._renew()
            except MissingError:
                listing.clear()  # with the endpoint, all on it is gone
                break
            except ServiceError as error:
                raise _Halt(f"the components of endpoint '{endpoint}' cannot be listed: {error}") from None
        self._pages = max(1, pages)
        self._base = listing.get(self._generation.request.target.base)
        self._strangers.clear()
        known = self._records.keys() | self._wanted.keys()
        for component, record in merge_listing(
            self._records, listing, base=self._generation.request.target.base
        ).items():
            if self._foreign.get(component) not in (None, *(_created(record))):
                del self._foreign[component]
            if component in known:
                self._keep(record)
            elif component not in self._foreign:
                self._strangers[component] = record
        self._foreign = {name: created for name, created in self._foreign.items() if name in listing}
        self._verified = True

    def _read_some_tags(self) -> None:
        """Have the tags of some wanted components read again, of the others in the next drift runs.

        Whoever takes the fleet's tag off, or puts it back, changes nothing that a listing shows.
        """
        readable = (Step.KEEP, Step.FOREIGN, Step.ORPHAN)
        names = sorted(name for name, decision in self._decisions.items() if decision.step in readable)
        start = bisect_right(names, self._fleet.tags_read)
        chosen = [*names[start:], *names[:start]][:TAGS_A_DRIFT_RUN]
        for component in chosen:
            self._read_tags_of(component)
        if chosen:
            self._fleet = replace(self._fleet, tags_read=chosen[-1])

    def _read_tags_of(self, component: str) -> None:
        if component not in self._reads:
            self._decisions[component] = Decision(step=Step.READ_TAGS)
            self._reads.append(component)

    def _look_at_base(self) -> None:
        """Describe the base, and have adapters asked that it may have lost.

        A listing may still show the base as it was before its update. Whether new copies of a base have the
        adapters of the old ones is not documented.
        """
        target = self._generation.request.target
        if self._generation.request.source is Source.DELETION:
            return
        observed = self._describe_base()
        if observed is None or observed.live.endpoint != target.endpoint:
            self._base = None
            return
        base, fleet = observed.live, self._fleet
        self._base = base
        if base.status is not Status.IN_SERVICE:
            return
        if fleet.base_version not in (None, observed.version):
            self._recheck_all()
            if self._generation.outcome is Outcome.OPEN and self._generation.changes is None:
                self._generation = replace(self._generation, rebased=True)
                self._changed = self._find_changed()
            self._flush()
        elif self._may_have_lost(base):
            self._recheck_what_is_under_way()
            found = self._sample()
            if found is None:
                return  # none could be asked; the next run asks again
            if found:
                self._recheck_all(found)
                self._flush()
        self._fleet = replace(
            self._fleet,
            base_modified=base.modified,
            base_version=observed.version,
            hosting=target.hosting,
        )

    def _may_have_lost(self, base: ObservedComponent) -> bool:
        """Tell whether the base may have new copies though its version is the one before.

        That is so after an update that was rolled back, and after a deployment that changed the instance type
        or the number of copies. Drift checks look in any case, as SageMaker replaces copies by itself.
        """
        fleet = self._fleet
        return (
            self._call.trigger == DRIFT_TRIGGER
            or fleet.base_modified not in (None, base.modified)
            or fleet.hosting not in (None, self._generation.request.target.hosting)
        )

    def _recheck_all(self, recheck: Recheck = Recheck.ASK) -> None:
        """Have every adapter asked, or sent again, and forget failures that another base may do away with."""
        for record in list(self._records.values()):
            failure = record.failure
            if failure is not None and failure.cause in _OF_THE_BASE:
                failure = None
            there = record.live is not None or record.intent is not None
            self._keep(replace(record, failure=failure, recheck=recheck if there else record.recheck))

    def _recheck_what_is_under_way(self) -> None:
        """Have adapters asked once they are in service: they may have loaded before the new copies came."""
        for record in list(self._records.values()):
            under_way = record.live is not None and record.live.status.in_transition
            if record.recheck is None and (under_way or record.intent is not None):
                self._keep(replace(record, recheck=Recheck.ASK))

    def _sample(self) -> Literal[Recheck.ASK, Recheck.SEND, False] | None:
        """Ask a few adapters a few times, and return what all of them need.

        ASK where some were lost; SEND where some copies of the base have them and others do not, so that an
        answer proves nothing; False where all answer; None where none could be asked.
        """
        settled = [
            record
            for record in self._records.values()
            if record.component in self._wanted
            and record.live is not None
            and record.live.status is Status.IN_SERVICE
            and record.owned == record.live.created
            and record.serving is not None
            and (record.intent, record.recheck) == (None, None)
            and (record.failure is None or not record.failure.artifact.same_as(record.serving))
        ]
        if not settled:
            # What is there has failed or is under way: the next run asks.
            return None if any(record.live is not None for record in self._records.values()) else False
        # New copies lose what was loaded before them, so whatever is lost is among the oldest.
        settled.sort(key=lambda record: (record.changed_at or 0.0, record.component))
        some = [record.component for record in settled[:3]]
        answers = self._answers_of(some)
        lost = [component for component in some if False in answers[component]]
        if len(lost) >= min(2, len(some)):
            return Recheck.SEND if any(True in answers[component] for component in lost) else Recheck.ASK
        for component in lost:
            # One alone may have a fault of its own.
            self._keep(replace(self._records[component], recheck=Recheck.ASK))
        return False if any(answers.values()) else None

    def _answers_of(self, components: list[str]) -> dict[str, set[bool]]:
        """Ask adapters side by side, and keep the lease meanwhile: an answer may take longer than that."""
        self._samples = {
            self._r.executor.submit(self._known_to_copies, component): component for component in components
        }
        while not all(sample.done() for sample in self._samples):
            wait(self._samples, timeout=1.0)
            self._renew()
        return {component: sample.result() for sample, component in self._samples.items()}

    def _known_to_copies(self, component: str) -> set[bool]:
        """Ask one adapter as often as it may take to come to each copy; return whether they know it."""
        endpoint, began = self._generation.request.target.endpoint, self._clock.now()
        known = set()
        for request in range(_SAMPLE_REQUESTS):
            if request and self._clock.now() - began > _SAMPLE_SECONDS:
                break
            try:
                problem = self._service.ask(component, endpoint, self._wanted[component].smoke or PROBE)
            except Exception as error:  # Whatever goes wrong with one adapter says nothing about the base.
                self._r.telemetry.trouble(f"{component} could not be asked: {text_of(error)}")
                break
            known.add(problem is None or UNKNOWN_ADAPTER.search(problem) is None)
        return known

    def _describe_base(self) -> ObservedBase | None:
        """Describe the base component; None where there is none."""
        for _ in range(_PATIENCE):
            try:
                observed = self._service.describe_base(self._generation.request.target.base)
            except MissingError:
                return None
            except (ThrottledError, UnansweredError) as error:
                trouble = str(error)
                self._throttle(error, self._read_pace)
                if self._clock.now() >= self._call.deadline:
                    break
                self._clock.sleep(self._read_pace.wait(self._clock.now()) + 0.1)
                self._renew()
            except ServiceError as error:
                trouble = str(error)
                break
            else:
                self._read_pace.went_well()
                return observed
        raise _Halt(f"the base component cannot be described: {trouble}")

    def _guard(self) -> None:
        """Count what the generation changes, and let the guards look at it, before its first write."""
        generation = self._generation
        if generation.outcome is not Outcome.OPEN or generation.changes is not None:
            return
        if self._blocked or self._reads:
            raise _Halt(next(iter(self._blocked.values()), "not everything could be looked at"))
        # An earlier pass may have counted, and have died before it saved that the guard had been passed.
        for record in [record for record in self._records.values() if record.counted == generation.number]:
            self._keep(replace(record, counted=None))
        if not generation.exempt:
            target = generation.request.target
            reason = refusal(self._records, self._wanted, target)
            if reason is not None:
                self._flush()
                self._generation = self._end(generation, Outcome.REFUSED, reason)
                return
        # What an earlier one counted is wanted by now, or counted again.
        for record in [record for record in self._records.values() if record.counted is not None]:
            self._keep(replace(record, counted=None))
        self._count_deletions()
        self._try_again()
        self._advance_all()
        # The count outlives this pass before anything acts on it.
        self._flush()
        gone = self._decisions.keys() - self._wanted.keys()
        changes = len(self._changed) + sum(self._decisions[name].step.writes for name in gone)
        self._generation = self._counted(replace(generation, changes=changes))
        self._registry.save_generation(self._generation, self._lease)
        # What has failed before, and is wanted again, fails without an attempt.
        self._check_limit()

    def _count_deletions(self) -> None:
        """Note what may be deleted: what is not wanted now, as the guard let it pass."""
        for record in count_deletions(
            self._records,
            self._wanted,
            self._generation.request.target,
            generation=self._generation.number,
            spares_adopted=self._spares_adopted,
        ).values():
            self._keep(record)

    def _try_again(self) -> None:
        """Let a new generation try again what time or people may have mended."""
        for component in self._wanted:
            record = self._records.get(component)
            if record is not None:
                self._keep(with_new_attempts(record))

    def _check_base(self) -> None:
        """Halt without a base component: no adapter can be there without."""
        if self._generation.request.source is Source.DELETION or not self._verified:
            return
        trouble = base_trouble(self._generation.request.target.base, self._base)
        if trouble is not None:
            raise _Halt(trouble)

    def _report(self) -> None:
        """Only say what is not as it should be."""
        for component, decision in self._decisions.items():
            record = self._records.get(component)
            if record is None:
                continue
            if record.drifted is not None:
                continue
            if decision.step is Step.ASK:
                self._keep(replace(record, drifted="its base model may have lost it"))
            elif decision.step.writes:
                text = f"needs {decision.step}: {decision.why or 'it is not as the manifest says'}"
                self._keep(replace(record, drifted=text))

    # --- apply

    def _apply(self) -> None:
        while True:
            self._drive(writes=True)
            if self._over_limit:
                self._join()
                if self._told():
                    self._over_limit = False
                    continue
                self._generation = self._end(self._generation, Outcome.FAILED, self._failure_reason())
                return
            if self._held and not (self._in_flight() or self._busy() or self._blocked):
                self._deletes = True
                for component in sorted(self._held):
                    self._doubt_adopted(component)
                    self._advance(component)
                continue
            if self._unsettled() or self._late():
                return
            if not self._verified:
                self._list()
                self._advance_all()
            elif not (self._generation.request.source is Source.DELETION and self._survey_for_deletion()):
                return

    def _doubt_adopted(self, component: str) -> None:
        """Have a component that the fleet did not make described right before it is deleted."""
        record = self._records[component]
        if record.adopted and record.live is not None:
            self._keep(replace(record, live=replace(record.live, described=False)))

    def _drive(self, *, writes: bool) -> None:
        """Take steps until there is nothing to do, or nothing before a while has passed."""
        while True:
            self._collect(seconds=0.0)
            if self._late():
                break
            started = self._start(writes=writes and not self._over_limit)
            if started:
                continue
            now = self._clock.now()
            due = self._next_due(now, writes=writes and not self._over_limit)
            if self._futures:
                self._renew()
                # Not longer than until the next call may begin, however long the ones under way take.
                self._collect(seconds=min(due - now, 1.0) if due is not None and due > now else 1.0)
                continue
            self._renew()
            if due is None:
                break
            if due <= now:
                self._look_again(now)
            elif due - now <= _INLINE_WAIT_SECONDS or self._ready(writes=writes):
                if due - now >= _FLUSH_SECONDS:
                    self._flush()
                self._clock.sleep(min(due - now, _SLICE_SECONDS))
            else:
                break
        self._join()

    def _ready(self, *, writes: bool) -> bool:
        return bool(self._reads or (writes and (self._asks or (self._writes and not self._serial_wait()))))

    def _asking(self) -> int:
        """Return how many requests to adapters are under way."""
        return sum(self._decisions[component].step.asks for component in self._futures.values())

    def _may_look_at_archive(self) -> bool:
        """Tell whether an archive may be copied, read or compared now."""
        under_way = sum(self._decisions[component].step.reads_archive for component in self._futures.values())
        return bool(self._archives) and under_way < MOST_ARCHIVES_AT_A_TIME

    def _serial_wait(self) -> bool:
        return self._fleet.serial and bool(self._in_flight())

    def _next_due(self, now: float, *, writes: bool) -> float | None:
        """Return when something is to be done next, None for not at all."""
        times = []
        if self._reads or (writes and self._asks):
            times.append(now + self._read_pace.wait(now))
        if writes and self._may_look_at_archive():
            times.append(now)
        if writes and self._writes and not self._serial_wait():
            times.append(max(now + self._write_pace.wait(now), self._resume_at))
        if writes:
            times += self._next_look()
        return min(times, default=None)

    def _next_look(self) -> list[float]:
        """Return when to look next at what is under way: no, one or two times."""
        times = list(itertools.islice(self._looks.values(), 1))
        if self._waiting and self._poll_at is not None:
            times.append(self._poll_at)
        return times

    def _start(self, *, writes: bool) -> bool:
        """Begin one call that may begin now; tell whether there was one."""
        if len(self._futures) >= self._r.workers:
            return False
        now = self._clock.now()
        if self._reads and self._read_pace.wait(now) <= 0:
            self._read_pace.begin(now)
            self._submit(self._reads.popleft())
            return True
        if (
            writes
            and self._asks
            and self._asking() < MOST_REQUESTS_AT_A_TIME
            and self._read_pace.wait(now) <= 0
        ):
            self._read_pace.begin(now)
            self._submit(self._asks.popleft())
            return True
        if writes and self._may_look_at_archive():
            self._submit(self._archives.popleft())
            return True
        if (
            writes
            and self._writes
            and not (self._fleet.serial and (self._in_flight() or self._futures))
            and self._write_pace.wait(now) <= 0
            and self._resume_at <= now
        ):
            self._renew()
            self._write_pace.begin(now)
            self._submit(self._writes.popleft())
            return True
        if writes and min(self._next_look(), default=math.inf) <= now:
            self._look_again(now)
            return True
        return False

    def _submit(self, component: str) -> None:
        decision = self._decisions[component]
        record, want = self._records[component], self._wanted.get(component)
        step = Steps(
            uid=self._r.uid,
            registry=self._registry,
            service=self._service,
            clock=self._clock,
            lease=self._lease,
            context=self._context(),
            record=record,
            want=want,
            decision=decision,
            stop=self._late,
        )
        self._futures[self._r.executor.submit(step.take)] = component

    def _collect(self, *, seconds: float) -> None:
        """Take in the calls that have ended; wait some seconds at most for the first."""
        if not self._futures:
            return
        done, _ = wait(self._futures, timeout=seconds, return_when=FIRST_COMPLETED)
        # In the order in which they were begun, so that a pass can be repeated.
        for future in [future for future in self._futures if future in done]:
            self._take_in(self._futures.pop(future), future)
        if len(self._dirty) >= _FLUSH_RECORDS:
            self._flush()
        self._save_progress()

    def _join(self) -> None:
        """Wait for every call that is under way: none goes on after the pass."""
        while self._futures:
            self._renew()
            self._collect(seconds=1.0)

    def _take_in(self, component: str, future: "Future[Taken]") -> None:
        """Take in what became of a call."""
        step = self._decisions[component].step
        reads = step.reads or step.asks or step.reads_archive
        pace = self._read_pace if reads else self._write_pace
        taken = future.result()
        error = taken.error
        self._note_archive(component, taken)
        if taken.unforeseen is not None:
            self._r.telemetry.unforeseen(component, taken.unforeseen)
        self._keep(taken.record)
        if step.writes and not taken.idle:
            self._verified = False
            # The step has written an intent, which may be over by now.
            self._dirty.add(component)
        for event in taken.events:
            self._log(event)
        if isinstance(error, ThrottledError):
            self._throttle(error, pace)
        elif isinstance(error, UnansweredError):
            self._resume_at = max(self._resume_at, self._clock.now() + 0.5)
            if step.reads:
                self._read_pace.throttled(self._clock.now())
        elif isinstance(error, ConflictError):
            self._conflict(component)
        elif isinstance(error, RefusedError) and step.reads:
            self._unreadable(component, str(error))
            return
        elif isinstance(error, RefusedError | MissingError) and taken.blocks:
            self._blocked[component] = str(error)
            self._decisions[component] = replace(self._decisions[component], why=str(error))
            return
        elif error is None:
            pace.went_well()
        if taken.foreign is not None:
            self._foreign[component] = taken.foreign
        first = self._poll_at is None
        self._advance(component)
        if step is Step.READ_TAGS and isinstance(error, ThrottledError | UnansweredError):
            self._read_tags_of(component)  # where nothing but a drift run wants that
        if taken.wrote:
            self._conflicts = 0
            self._wait_for_write(first=first)

    def _note_archive(self, component: str, taken: Taken) -> None:
        """Note whether the archive is to be read first; end a pin whose archive is gone."""
        self._unverified.pop(component, None)
        artifact = self._decisions[component].artifact
        if taken.unread and artifact is not None:
            self._unverified[component] = artifact
        if taken.missing is None or component not in self._declared:
            return
        void = [
            order
            for order in self._orders
            if order.component == component
            and order.kind is OrderKind.PIN
            and order.artifact is not None
            and order.artifact.same_as(artifact)
        ]
        if void:
            self._orders = [order for order in self._orders if order not in void]
            self._wanted |= apply_pins([self._declared[component]], self._orders, self._records)
            self._registry.take_orders(void, self._lease)
            cause = f"the version that it was rolled back to is gone: {taken.missing}"
            self._note(self._records[component], "unpinned", cause=cause)

    def _unreadable(self, component: str, reason: str) -> None:
        """Leave alone, in this pass, what may not be looked at: it must not hold up the rest."""
        record = self._records[component]
        if component not in self._wanted and record.owned is None and record.intent is None:
            # Another team's, in all likelihood.
            self._drop(component)
            return
        self._unread.add(component)
        until = self._clock.now() + _UNREAD_SECONDS
        self._decisions[component] = Decision(step=Step.FAILED, until=until, why=reason)
        self._note_failure(component)

    # --- strangers

    def _survey(self) -> None:
        """Read the tags of strangers, and again those of orphans: who carries the fleet's tag is an orphan.

        What is not read in time stays a stranger.
        """
        surveyed = {*self._strangers}
        if not self._surveyed:
            surveyed |= set(self._orphans()[:TAGS_BEFORE_THE_END])
        self._surveyed = True
        for component in sorted(surveyed):
            if component in self._strangers:
                self._records[component] = self._strangers[component]
            self._read_tags_of(component)
        self._drive(writes=False)
        for component in surveyed - self._strangers.keys():
            self._advance(component)
        unread = {name for name in self._reads if name in self._strangers}
        for component in unread:
            self._drop(component)
        self._strangers = {name: self._strangers[name] for name in unread}
        self._reads.clear()

    def _survey_for_deletion(self) -> bool:
        """Look for components that the registry does not know; tell whether there are any to delete.

        A registry that knows of nothing but the deletion was lost: then it is worth a call for each stranger.
        """
        lost = self._generation.number == 1
        if not self._strangers or self._spares_adopted:
            return False
        if not lost and len(self._strangers) > TAGS_BEFORE_THE_END:
            return False
        self._survey()
        self._count_deletions()
        self._advance_all()
        return self._unsettled()

    def _conflict(self, component: str) -> None:
        """A write was refused for now. Unless the component itself is busy, something beside it is."""
        record = self._records[component]
        if record.live is None or not record.live.status.in_transition:
            self._fleet = replace(self._fleet, serial=True)
        self._conflicts += 1
        longest = min(2.0 ** min(self._conflicts - 1, _MOST_DOUBLINGS), _LONGEST_CONFLICT_SECONDS)
        self._resume_at = max(self._resume_at, self._clock.now() + self._r.random.uniform(0.2, 1.0) * longest)

    def _throttle(self, error: Exception, pace: Pace) -> None:
        if isinstance(error, ThrottledError):
            self._throttles += 1
        pace.throttled(self._clock.now())

    # --- waiting for writes to end

    def _wait_for_write(self, *, first: bool) -> None:
        """Plan when to look at a write that was taken; the first of many shows whether any succeeds."""
        if self._waiting and (first or self._fleet.serial or not self._writes):
            now = self._clock.now()
            self._poll_seconds = _FIRST_POLL_SECONDS
            self._poll_at = self._last_end(now) or now + _FIRST_POLL_SECONDS

    def _last_end(self, now: float) -> float | None:
        """Return when the last write under way should have ended; None where that is past, or not known."""
        ends = [
            (intent.acknowledged or intent.at) + self._takes(intent.write)
            for component in self._waiting - self._stuck
            if (intent := self._records[component].intent) is not None
        ]
        last = max(ends, default=0.0) + _AFTERWARDS_SECONDS
        if not self._write_seconds or last <= now:
            return None
        return min(max(last, now + _SHORTEST_POLL_SECONDS), now + _LONGEST_POLL_SECONDS)

    def _takes(self, write: Write) -> float:
        """Return how long a write should take: as the last ones of its kind, or else of another kind."""
        known = self._write_seconds
        return known.get(write, min(known.values(), default=_FIRST_POLL_SECONDS))

    def _learn(self, event: Event) -> None:
        """Take in how long a write took."""
        write = _WRITE_OF.get(event.what)
        if write is None or event.seconds is None:
            return
        # The end of a deletion is when someone looked: the next time a little earlier.
        took = event.seconds * _EARLIER if write is Write.DELETE else event.seconds
        known = self._write_seconds.get(write, took)
        self._write_seconds[write] = round(known + (took - known) * _NEWEST_SHARE, 3)

    def _look_again(self, now: float) -> None:
        """Look at what is under way as far as that is due."""
        while self._looks and next(iter(self._looks.values())) <= now:
            component = next(iter(self._looks))
            del self._looks[component]
            self._decisions[component] = Decision(step=Step.LOOK)
            self._reads.append(component)
        if self._waiting and self._poll_at is not None and self._poll_at <= now:
            self._poll()

    def _look_due(self, record: AdapterRecord, now: float) -> float | None:
        """Return when an update should have ended, as each has to be described then.

        None where that is past, not known or far away: it is polled like the others then.
        """
        intent = record.intent
        if (
            intent is None
            or intent.write is not Write.UPDATE
            or intent.acknowledged is None
            or self._write_seconds.get(Write.UPDATE, math.inf) > _LONGEST_LOOK_SECONDS
        ):
            return None
        due = intent.acknowledged + self._write_seconds[Write.UPDATE] + _AFTERWARDS_SECONDS
        return due if due > now else None

    def _poll(self) -> None:
        """Look at what is under way: one by one, or by a listing where that takes fewer calls."""
        self._goes_on = False
        waiting = sorted(self._waiting)
        only_stuck = not self._in_flight()
        now = self._clock.now()
        if len(waiting) > self._pages:
            self._list()
            self._advance_all()
        else:
            for component in waiting:
                self._waiting.discard(component)
                self._decisions[component] = Decision(step=Step.LOOK)
                self._reads.append(component)
        ended = len(waiting) - len(self._waiting)
        if only_stuck:
            self._poll_seconds = _STUCK_POLL_SECONDS
        elif self._writes and not self._fleet.serial:
            self._poll_seconds = _BUSY_POLL_SECONDS
        elif ended and len(waiting) > self._pages:
            self._poll_seconds = _FIRST_POLL_SECONDS
        else:
            self._poll_seconds = min(self._poll_seconds * 1.5, _LONGEST_POLL_SECONDS)
        # Those that are described get another time when they are.
        busy = self._writes and not self._fleet.serial
        last_end = None if busy else self._last_end(now)
        self._poll_at = (last_end or now + self._poll_seconds) if self._waiting else None

    # --- one component

    def _advance_all(self) -> None:
        self._reads.clear()
        self._asks.clear()
        self._writes.clear()
        self._archives.clear()
        self._held.clear()
        self._waiting.clear()
        self._looks.clear()
        self._stuck.clear()
        busy = set(self._futures.values())
        for component in self._order():
            if component not in busy:
                self._advance(component)

    def _order(self) -> list[str]:
        """Wanted components in the order of the manifest, then the others."""
        others = sorted(self._records.keys() - self._wanted.keys())
        return [*self._wanted, *others]

    def _advance(self, component: str) -> None:
        """Settle a component, and put it where its next step comes from."""
        self._held.discard(component)
        self._waiting.discard(component)
        self._looks.pop(component, None)
        self._stuck.discard(component)
        try:
            self._decide(component)
        except Exception as error:  # Whatever goes wrong with one is the failure of that one.
            self._r.telemetry.unforeseen(component, error)
            self._records.setdefault(component, new_record(component, self._wanted.get(component)))
            self._unreadable(component, text_of(error))
            return
        self._queue(component)
        self._note_failure(component)

    def _decide(self, component: str) -> None:
        """Take in what is known of a component, and decide what comes next."""
        want = self._wanted.get(component)
        context = self._context()
        record, events = settle(self._records.get(component) or new_record(component, want), want, context)
        if want is not None and record.name != want.name:
            record = replace(record, name=want.name)
        self._keep(record)
        for event in events:
            self._log(event)
            self._learn(event)
        decision = decide(record, want, context)
        if decision.artifact is not None and self._unverified.get(component) == decision.artifact:
            decision = replace(decision, step=Step.VERIFY)
        if decision.step is Step.KEEP and record.drifted is not None:
            # Whoever changed it has changed it back.
            self._keep(replace(record, drifted=None))
        self._decisions[component] = decision

    def _queue(self, component: str) -> None:
        """Put a component where its next step comes from."""
        decision, record = self._decisions[component], self._records[component]
        want, now = self._wanted.get(component), self._clock.now()
        step = decision.step
        if step.reads:
            self._reads.append(component)
        elif step.asks:
            self._asks.append(component)
        elif step is Step.VERIFY:
            self._archives.append(component)
        elif step is Step.CONFIRM:
            # One call; readings may take long.
            self._archives.appendleft(component)
        elif step is Step.HOLD:
            self._held.add(component)
        elif step is Step.WAIT and (due := self._look_due(record, now)) is not None:
            self._looks[component] = due
        elif step in (Step.WAIT, Step.STUCK):
            self._waiting.add(component)
            if step is Step.STUCK:
                self._stuck.add(component)
            if self._poll_at is None:
                soon = now + self._poll_seconds
                # A pass that goes on with an execution was waited for until now.
                self._poll_at = soon if self._goes_on else self._last_end(now) or soon
        elif step is Step.FORGET or (step is Step.FOREIGN and want is None):
            self._drop(component)
        elif not step.settled:
            self._writes.append(component)
        if not self._waiting:
            self._poll_at = None

    def _drop(self, component: str) -> None:
        self._records.pop(component, None)
        self._decisions.pop(component, None)
        self._failing.discard(component)
        if component in self._stored:
            self._dirty.add(component)

    def _note_failure(self, component: str) -> None:
        """Keep up which of the changed components have failed, and notice when they are too many."""
        decision, record = self._decisions.get(component), self._records.get(component)
        final = record is not None and (record.failure is None or record.failure.final)
        if component in self._changed and decision is not None and decision.step.fails and final:
            self._failing.add(component)
            self._check_limit()
        else:
            self._failing.discard(component)

    def _check_limit(self) -> None:
        if exceeds_failure_limit(self._generation, len(self._failing)) and not self._told():
            self._over_limit = True

    def _told(self) -> bool:
        """Tell whether whoever deployed has been told of an end, so that no failure is rolled back any more.

        A little earlier than that: `is_complete` must not say one thing while this says the other.
        """
        request = self._generation.request
        waited = self._clock.now() - request.at
        by_cloudformation = request.source is Source.DEPLOYMENT
        return by_cloudformation and waited > request.target.settings.timeout_seconds - _TELLING_SECONDS

    def _find_changed(self) -> frozenset[str]:
        """Return the components of which this generation wants something else than the one before it.

        Not those that are written on: what failed before is tried again by whichever generation comes next,
        and what was changed by hand is repaired by it.
        """
        before, target = self._before(), self._generation.request.target
        if before is None or self._generation.rebased:
            return frozenset(self._declared)
        if (before.request.target.endpoint, before.request.target.base) != (target.endpoint, target.base):
            return frozenset(self._declared)
        known = {adapter.component: adapter for adapter in self._registry.desired(before.number).adapters}
        return frozenset(
            component
            for component, adapter in self._declared.items()
            if component not in known
            or not adapter.artifact.same_as(known[component].artifact)
            or adapter.smoke != known[component].smoke
        )

    def _before(self) -> Generation | None:
        """Return the last generation of which someone was told that it is in force.

        The others were superseded on the way, refused or rolled back: what they changed is this one's.
        """
        before = self._registry.generation(self._generation.standing)
        while before is not None and not before.reported_success:
            before = self._registry.generation(before.standing)
        return before

    def _failure_reason(self) -> str:
        failed = sorted(self._failing)
        return failure_reason(self._generation, [(self._name(name), self._reason(name)) for name in failed])

    def _name(self, component: str) -> str:
        record = self._records.get(component)
        return record.name if record is not None and record.name else component

    def _reason(self, component: str) -> str:
        record = self._records.get(component)
        if record is not None and record.failure is not None:
            return record.failure.reason
        return self._decisions[component].why

    # --- what is kept

    def _keep(self, record: AdapterRecord) -> None:
        self._records[record.component] = record
        stranger = record.owned is None and record.component not in self._wanted and record.intent is None
        if self._stored.get(record.component) != record and not (
            stranger and record.component not in self._stored
        ):
            self._dirty.add(record.component)

    def _flush(self) -> None:
        """Write what changed to the registry."""
        # A step that is being taken writes its own, and must not be overwritten by what was before it.
        busy = set(self._futures.values())
        written = sorted(self._dirty - busy)
        changed = [self._records[name] for name in written if name in self._records]
        gone = [name for name in written if name not in self._records]
        if changed:
            self._registry.put(changed, self._lease)
        if gone:
            self._registry.forget(gone, self._lease)
        for record in changed:
            self._stored[record.component] = record
        for name in gone:
            self._stored.pop(name, None)
        self._dirty &= busy
        if self._events:
            self._registry.append(self._events)
            self._events.clear()

    def _note(self, record: AdapterRecord, what: str, *, cause: str | None = None) -> None:
        event = Event(
            component=record.component,
            name=record.name,
            at=self._clock.now(),
            what=what,
            generation=self._generation.number,
            cause=cause,
        )
        self._log(event)

    def _log(self, event: Event) -> None:
        self._events.append(event)
        if event.what == "drifted":
            self._drifted.add(event.component)
        self._r.telemetry.changed(event)

    def _renew(self) -> None:
        now = self._clock.now()
        if self._lease.expires - now < _RENEW_SECONDS:
            self._lease = self._registry.renew(self._lease, now, LEASE_SECONDS)

    def _late(self) -> bool:
        """Tell whether the pass has to end: its time is up, or a newer generation waits for it."""
        return self._superseded or self._clock.now() >= self._call.deadline

    # --- the end

    def _in_flight(self) -> set[str]:
        return self._waiting - self._stuck | self._looks.keys()

    def _busy(self) -> bool:
        """Tell whether a step can be taken."""
        return bool(self._reads or self._asks or self._archives or self._writes)

    def _unsettled(self) -> bool:
        if self._generation.request.source is Source.DELETION and any(
            decision.step is not Step.ORPHAN for decision in self._decisions.values()
        ):
            return True  # it is done when nothing of its own is left
        return bool(
            self._in_flight()
            or self._busy()
            or self._held
            or self._blocked
            or any(
                decision.step is Step.FAILED and not self._is_final(component)
                for component, decision in self._decisions.items()
            )
        )

    def _is_settled(self) -> bool:
        """Tell whether a listing has shown that nothing is left to do."""
        return not self._unsettled() and self._verified

    def _is_final(self, component: str) -> bool:
        if component in self._unread:
            return True
        record = self._records.get(component)
        if record is None or record.failure is None:
            return False
        return record.failure.final

    def _end(self, generation: Generation, outcome: Outcome, reason: str | None) -> Generation:
        """End a generation, and return it as it is then: another one may have superseded it before."""
        ended = replace(generation, outcome=outcome, reason=reason, ended=self._clock.now())
        self._registry.save_generation(ended, self._lease)
        stored = self._registry.generation(generation.number)
        return ended if stored is None else replace(ended, outcome=stored.outcome, reason=stored.reason)

    def _counted(self, generation: Generation) -> Generation:
        wanted = [self._decisions[name] for name in self._wanted if name in self._decisions]
        kept = sum(decision.step is Step.KEEP for decision in wanted)
        failed = sum(
            decision.step.fails for decision in self._decisions.values() if not decision.step.left_alone
        ) + sum(decision.step.left_alone for decision in wanted)
        leaving = sum(
            1
            for name, decision in self._decisions.items()
            if name not in self._wanted and not decision.step.settled
        )
        counts = self._service.calls - self._calls_before
        self._calls_before = self._service.calls.copy()
        writes = sum(count for name, count in counts.items() if name in WRITE_OPERATIONS)
        reads = sum(count for name, count in counts.items() if name in READ_OPERATIONS)
        return replace(
            generation,
            desired=len(self._wanted),
            in_service=kept,
            failed=failed,
            pending=len(self._wanted) - kept - sum(decision.step.fails for decision in wanted) + leaving,
            failures=len(self._failing),
            orphans=len(self._orphans()),
            writes=generation.writes + writes,
            reads=generation.reads + reads,
        )

    def _orphans(self) -> list[str]:
        """Return the components that carry the fleet's tag, and that no manifest wants."""
        return [
            name
            for name, decision in self._decisions.items()
            if decision.step is Step.ORPHAN and name not in self._wanted and self._records[name].adopted
        ]

    def _save_progress(self) -> None:
        now = self._clock.now()
        if now - self._fleet.heartbeat >= _HEARTBEAT_SECONDS:
            # A pass may take many minutes, and whoever waits asks whether there is one.
            self._fleet = replace(self._fleet, heartbeat=now)
            self._registry.save_fleet(self._fleet, self._lease)
        if now - self._saved_at >= _SAVE_SECONDS:
            self._saved_at = now
            self._flush()
            fleet = self._registry.fleet()
            self._superseded = fleet is None or fleet.generation != self._newest.number
            self._generation = self._counted(self._generation)
            self._registry.save_generation(self._generation, self._lease)

    def _conclude(self, trouble: str | None) -> Result:
        ended = self._generation.outcome in (Outcome.FAILED, Outcome.REFUSED)
        settled = trouble is None and not ended and self._is_settled()
        surveys = settled and self._generation.request.source is not Source.DELETION
        if surveys and len(self._strangers) <= TAGS_BEFORE_THE_END:
            self._survey()
        self._flush()
        generation = self._counted(self._generation)
        generation = replace(generation, passes=generation.passes + 1)
        held_up = None if settled or ended else trouble or next(iter(self._blocked.values()), None)
        if generation.outcome is Outcome.OPEN:
            if settled:
                reason = None
                if generation.failed:
                    names = [name for name in self._wanted if self._decisions[name].step.fails]
                    reason = "; ".join(f"{self._name(name)}: {self._reason(name)}" for name in names[:20])
                generation = self._end(generation, Outcome.CONVERGED, reason)
                if generation.outcome is Outcome.CONVERGED:
                    self._registry.take_orders(filter(self._done_with, self._orders), self._lease)
            else:
                generation = replace(generation, reason=held_up)
        self._registry.save_generation(generation, self._lease)
        if surveys and self._strangers:
            # Whoever deployed waits no more.
            self._generation = generation
            self._survey()
            self._flush()
            generation = self._counted(self._generation)
            self._registry.save_generation(generation, self._lease)
        converged = generation.outcome is Outcome.CONVERGED
        now = self._clock.now()
        wait_seconds = self._wait_seconds(now, trouble)
        if surveys and self._strangers:
            wait_seconds = 1  # whose they are is still to be read
        newest = generation if generation.number == self._newest.number else self._newest
        whole = settled and newest.outcome is Outcome.CONVERGED
        behind_since = None if whole else self._behind_since(newest, now)
        self._fleet = replace(
            self._fleet,
            rate=self._write_pace.rate,
            write_seconds=self._write_seconds,
            # Very many would not fit into an item; the rest is read again.
            foreign=dict(itertools.islice(self._foreign.items(), _MOST_FOREIGN)),
            heartbeat=now + (wait_seconds or 0),
            behind_since=behind_since,
            trouble=held_up,
            failed_passes=0 if trouble is None else self._fleet.failed_passes + 1,
            pass_ended=now,
            converged=generation.number if converged else self._fleet.converged,
            deleted=converged and generation.request.source is Source.DELETION,
        )
        self._registry.save_fleet(self._fleet, self._lease)
        self._r.telemetry.measured(
            generation,
            self._fleet,
            age=0.0 if behind_since is None else now - behind_since,
            throttles=self._throttles,
            drifted=self._drifted_count(),
        )
        self._registry.release(self._lease)
        if ended and generation.outcome is Outcome.FAILED:
            self._take_back(generation)
        # What a refused one would have superseded goes on.
        refused = generation.outcome is Outcome.REFUSED
        goes_on = refused and active_generation(generation, self._registry.generation) is not None
        done = (ended and not goes_on) or self._reports or (settled and wait_seconds is None)
        return Result(
            done=done,
            wait_seconds=wait_seconds or 1,
            # After trouble, what is known may be too little for the guards.
            listed=self._generation.number
            if self._listed and trouble is None and not (settled and not done)
            else 0,
        )

    def _behind_since(self, newest: Generation, now: float) -> float:
        """Return since when the fleet is not what its newest manifest says, however many have come since.

        A manifest that was refused is not what the fleet is, either.
        """
        if self._fleet.behind_since is not None:
            return self._fleet.behind_since
        return now if newest.outcome is Outcome.CONVERGED else newest.request.at

    def _drifted_count(self) -> int:
        """Count what someone changed by hand, repaired in this pass or not."""
        drifted = {name for name, record in self._records.items() if record.drifted is not None}
        return len(drifted | self._drifted)

    def _take_back(self, generation: Generation) -> None:
        """Bring back the last manifest, where no CloudFormation does."""
        if generation.request.source is not Source.OBJECT or not self._fleet.converged:
            return
        before = self._registry.generation(self._fleet.converged)
        if before is None:
            return
        request = Request(
            delivery=f"undo-{generation.number}",
            source=Source.UNDO,
            target=generation.request.target,
            at=self._clock.now(),
            source_digest=before.request.source_digest,
            previous_digest=generation.request.source_digest,
            manifest_version=generation.request.manifest_version,
        )
        try:
            undo = self._registry.open_generation(
                request, self._registry.desired(before.number), after=self._newest.number
            )
        except OvertakenError:
            return  # what has come since says what is wanted
        # With its time: numbers begin anew after a lost registry, and names of executions do not.
        self._r.start_machine("undo", f"{request.delivery}-{int(undo.request.at)}")

    def _wait_seconds(self, now: float, trouble: str | None) -> int | None:
        """Return the seconds until the next pass, None if there is nothing to come back for."""
        times = []
        if trouble is not None or self._blocked:
            # The longer it lasts, the less often it is looked at.
            lasted = now - self._generation.request.at
            pause = min(max(_TROUBLE_SECONDS, _TROUBLE_SHARE * lasted), _LONGEST_TROUBLE_SECONDS)
            times.append(now + pause)
        # What waits for a write to end comes when someone looks at that.
        writes = self._writes and not self._serial_wait()
        deletes = self._held and not self._in_flight()
        if trouble is None and (self._reads or self._asks or self._archives or writes or deletes):
            times.append(max(now, self._resume_at))
        times += self._next_look()
        retries = [
            decision.until
            for decision in self._decisions.values()
            if decision.step is Step.FAILED and decision.until is not None
        ]
        if retries and not times and self._generation.outcome is Outcome.CONVERGED:
            # Nobody waits: those that come soon after the first are taken along.
            latest = now + _STILL_WAITING * (min(retries) - now)
            times.append(max(retry for retry in retries if retry <= latest or retry == min(retries)))
        times += retries if not times else [min(retries)] if retries and self._unsettled() else []
        if not times:
            return None
        # The state machine waits whole seconds; what is left of one is waited for by the pass.
        return max(1, min(math.floor(min(times) - now), int(_LONGEST_WAIT_SECONDS)))
