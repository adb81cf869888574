"""The board of a pass: the record of each component, the decision about it, and what waits for it."""

from dataclasses import replace

from adapter_fleet.common.bounded_text import text_of
from adapter_fleet.fleet.planning.context import PlanContext
from adapter_fleet.fleet.planning.decide import Decision, Step
from adapter_fleet.fleet.planning.desired_state import DesiredState, find_changed
from adapter_fleet.fleet.planning.fleet_view import FleetView
from adapter_fleet.fleet.planning.observe import new_record
from adapter_fleet.fleet.planning.progress import Progress
from adapter_fleet.fleet.reconcile.failed_changes import FailedChanges
from adapter_fleet.fleet.reconcile.observation import Observation
from adapter_fleet.fleet.reconcile.polling import Polling
from adapter_fleet.fleet.reconcile.rate_limiter import CallLimits
from adapter_fleet.fleet.reconcile.record_cache import RecordCache
from adapter_fleet.fleet.reconcile.route_cache import RouteCache
from adapter_fleet.fleet.reconcile.route_store import RouteStore
from adapter_fleet.fleet.reconcile.session import Session
from adapter_fleet.fleet.reconcile.work_queue import WorkQueue
from adapter_fleet.fleet.state.records import AdapterRecord
from adapter_fleet.manifest.desired import Artifact, DesiredFleet

_UNREADABLE_SECONDS = 60.0


class Board:
    """What a pass knows and has decided about each component. Only the board decides.

    unverified:
        By component, the artifact that has to be read before it is sent.
    deletes:
        True if what is not wanted is deleted now: everything else is done.
    """

    def __init__(self, session: Session, queue: WorkQueue, limits: CallLimits) -> None:
        self._session, self.queue = session, queue
        registry, generation = session.registry, session.generation
        manifest = DesiredFleet() if session.deleting else registry.generations.desired(generation.number)
        declared = {adapter.component: adapter for adapter in manifest.adapters}
        self.records = RecordCache(session, declared=declared.keys(), in_use=queue.under_way.components)
        # Before the orders: a rollback writes both at once.
        store = RouteStore(session)
        orders, unreadable = registry.orders.read()
        for why in unreadable.values():
            session.telemetry.trouble(f"an order is left alone: {why}")
        self.desired = DesiredState.of(
            manifest.adapters,
            orders,
            self.records,
            routes=store.rebuild(manifest.adapters, self.records, orders),
            target=session.target,
            now=session.clock.now(),
            unreadable=store.unreadable,
        )
        for record in self.desired.left_alone(self.records):
            session.telemetry.trouble(f"{record.component} is left alone: {record.unreadable}")
            self.records.put(record)
        self.records.declare(self.desired.wanted)
        self.routes = RouteCache(session, store, self.desired.versions)
        changed = self.desired.components_of(find_changed(declared, generation, registry))
        self.failures = FailedChanges(session, changed)
        self.polling = Polling(
            session.clock, write_seconds=session.fleet.write_seconds, resumes=session.resumes
        )
        self.observation = Observation(session, limits, self.records)
        self.unverified: dict[str, Artifact] = {}
        self.deletes = False

    @property
    def view(self) -> FleetView:
        """What the pass plans by, as it is now."""
        return FleetView(desired=self.desired, records=self.records, context=self.context)

    @property
    def context(self) -> PlanContext:
        """What decisions depend on now, beside the component."""
        session = self._session
        return PlanContext(
            now=session.clock.now(),
            generation=session.generation.number,
            target=session.target,
            foreign=self.observation.foreign,
            claims=self.desired.claims,
            deletes=self.deletes,
            has_copies=session.fleet.base_copies > 0,
            spares_changes=session.spares_changes,
            since=session.pass_input.started_at,
        )

    # --- deciding

    def decide_all(self) -> None:
        """Decide again for every component: the wanted ones in the order of the manifest, then the others.

        Those to create come first, as they show whether the account has room for more.
        """
        self.queue.clear()
        self.polling.clear()
        in_use, wanted = set(self.queue.under_way.components), self.desired.wanted
        ordered = sorted(wanted, key=self._exists)
        for component in [*ordered, *sorted(self.records.keys() - wanted.keys())]:
            if component not in in_use:
                self.decide(component)

    def decide(self, component: str) -> None:
        """Decide the next step of a component, and queue it."""
        try:
            decision = self._next(component)
        except Exception as error:  # An error with one component must not stop the others.
            self._session.telemetry.unexpected(component, error)
            if component not in self.records:
                self.records.add_unsaved(new_record(component, self.desired.wanted.get(component)))
            self.leave_alone(component, text_of(error))
            return
        record = self.records[component]
        self.queue.put(component, decision, lacks_room=self._lacks_room(record, decision))
        self.polling.track(record, decision.step)
        # Only a component that the fleet may have made is waited for, as its tags may come late.
        foreign = decision.step is Step.FOREIGN and (decision.until is None or record.intent is None)
        if decision.step is Step.FORGET or (foreign and component not in self.desired.wanted):
            self.forget(component)
        self._note_failure(component)

    def redo(self, record: AdapterRecord) -> None:
        """Keep a record, and decide about its component instead of what is queued for it."""
        self.records.put(record)
        self.queue.withdraw(record.component)
        self.decide(record.component)

    def look(self, component: str) -> None:
        """Describe a component next."""
        self.queue.put(component, Decision(step=Step.LOOK))

    def read_tags(self, component: str) -> None:
        """Read the tags of a component next."""
        if component not in self.queue.reads:
            self.queue.put(component, Decision(step=Step.READ_TAGS))

    def leave_alone(self, component: str, reason: str) -> None:
        """Leave a component that cannot be read alone in this pass, so that the others go on."""
        self.polling.discard(component)
        record = self.records[component]
        if component not in self.desired.wanted and not record.is_own:
            # Another team's, in all likelihood.
            self.forget(component)
            return
        until = self._session.clock.now() + _UNREADABLE_SECONDS
        self.queue.leave_alone(component, Decision(step=Step.FAILED, until=until, why=reason))
        self._note_failure(component)

    def forget(self, component: str) -> None:
        """Forget a component that is gone, or that is not the fleet's."""
        self.records.drop(component)
        self.queue.forget(component)
        self.failures.note(component, failed=False)

    def _next(self, component: str) -> Decision:
        """Settle the record of a component, and return what comes next."""
        record, events, decision = self.view.next_step(component)
        self.records.put(record)
        for event in events:
            self.records.log(event)
            self.polling.learn(event)
        if decision.artifact is not None and self.unverified.get(component) == decision.artifact:
            decision = replace(decision, step=Step.VERIFY)
        decision = self.routes.follow(record, decision, self.records)
        if decision.step is Step.KEEP and (record.drifted is not None or record.ordered):
            # Someone has reverted the change by hand, or there was none.
            self.records.put(replace(record, drifted=None, ordered=False))
        return decision

    def _exists(self, component: str) -> bool:
        record = self.records.get(component)
        return record is not None and record.live is not None

    def _lacks_room(self, record: AdapterRecord, decision: Decision) -> bool:
        """Return True if a step has to wait for room, as this pass has met a limit of the account.

        What serves is not deleted to be created again either: another creation may take its place.
        """
        if self.queue.limit is None or record.component not in self.desired.wanted:
            return False
        replaces = decision.step is Step.DELETE and record.serving is not None
        return replaces or decision.step is Step.CREATE

    def _note_failure(self, component: str) -> None:
        self.failures.note(component, failed=self.progress.has_failed(component))

    # --- how far the pass is

    @property
    def progress(self) -> Progress:
        """How far the generation is, by the decisions."""
        return Progress(
            decisions=self.queue.decisions,
            records=self.records,
            wanted=self.desired.answering,
            skipped=self.queue.unreadable,
            deleting=self._session.deleting,
        )

    @property
    def is_unsettled(self) -> bool:
        """True if the generation waits for any component."""
        queue = self.queue
        return bool(
            self.polling.in_flight
            or queue.has_steps
            or queue.held
            or queue.waiting
            or queue.blocked
            or self.routes.unsent
            or self.progress.waits_for_components
        )

    @property
    def waits_only_for_deletions(self) -> bool:
        """True if everything is done but the deletions, which come last."""
        queue = self.queue
        return bool(queue.held) and not (self.polling.in_flight or queue.has_steps or queue.blocked)

    @property
    def waits_for_write(self) -> bool:
        """True if the next write has to wait for one under way, as the service takes one at a time."""
        return self._session.fleet.serial and (bool(self.polling.in_flight) or self.queue.is_writing)

    def changes(self, component: str) -> bool:
        """Return True if the generation changes a component, or deletes it with its adapter."""
        desired = self.desired
        gone = component not in desired.wanted and self.records[component].name not in desired.names
        return gone or component in self.failures.changed
