"""Decides the next step of each component in this pass, and queues it."""

from collections.abc import Collection
from dataclasses import replace

from adapter_fleet.common.bounded_text import text_of
from adapter_fleet.fleet.planning.context import PlanContext
from adapter_fleet.fleet.planning.decide import Decision, Step
from adapter_fleet.fleet.planning.observe import new_record
from adapter_fleet.fleet.planning.plan import next_step
from adapter_fleet.fleet.reconcile.desired_state import DesiredState
from adapter_fleet.fleet.reconcile.observation import Observation
from adapter_fleet.fleet.reconcile.polling import Polling
from adapter_fleet.fleet.reconcile.progress import Progress
from adapter_fleet.fleet.reconcile.record_cache import RecordCache
from adapter_fleet.fleet.reconcile.session import Session
from adapter_fleet.fleet.reconcile.telemetry import Telemetry
from adapter_fleet.fleet.reconcile.work_queue import WorkQueue
from adapter_fleet.fleet.steps.task import StepResult
from adapter_fleet.manifest.desired import Artifact

_UNREADABLE_SECONDS = 60.0


class Planner:
    """Decides what comes next for a component, whenever more is known of it.

    deletes:
        True if components that are not wanted are deleted now. That comes after everything else.
    """

    def __init__(
        self,
        session: Session,
        telemetry: Telemetry,
        records: RecordCache,
        desired: DesiredState,
        observation: Observation,
        queue: WorkQueue,
        polling: Polling,
        progress: Progress,
        in_use: Collection[str],
    ) -> None:
        self._session, self._telemetry = session, telemetry
        self._records, self._desired, self._observation = records, desired, observation
        self._queue, self._polling, self._progress = queue, polling, progress
        self._in_use = in_use
        self.deletes = False
        self._unverified: dict[str, Artifact] = {}
        # Made once: it holds every order, and a context is needed for every step.
        self._base_context = PlanContext.of(
            session.target,
            now=session.clock.now(),
            generation=session.generation.number,
            foreign=observation.foreign,
            orders=desired.orders,
        )

    @property
    def context(self) -> PlanContext:
        """What decisions depend on now, beside the component."""
        return replace(
            self._base_context,
            now=self._session.clock.now(),
            foreign=self._observation.foreign,
            deletes=self.deletes,
            has_copies=self._session.fleet.base_copies > 0,
            spares_changes=self._session.spares_changes,
        )

    # --- deciding

    def advance_all(self) -> None:
        """Decide anew for every component: the wanted ones in the order of the manifest, then the others.

        Those to create come first, as they show whether the account has room for more.
        """
        self._queue.clear()
        self._polling.clear()
        in_use, wanted = set(self._in_use), self._desired.wanted
        ordered = sorted(wanted, key=self._exists)
        for component in [*ordered, *sorted(self._records.keys() - wanted.keys())]:
            if component not in in_use:
                self.advance(component)

    def _exists(self, component: str) -> bool:
        record = self._records.get(component)
        return record is not None and record.live is not None

    def advance(self, component: str) -> None:
        """Decide the next step of a component, and queue it."""
        self._queue.held.discard(component)
        self._polling.discard(component)
        try:
            decision = self._decide(component)
        except Exception as error:  # An error with one component must not stop the others.
            self._telemetry.unexpected(component, error)
            if component not in self._records:
                self._records.add_unsaved(new_record(component, self._desired.wanted.get(component)))
            self.skip_unreadable(component, text_of(error))
            return
        self._queue.put(component, decision, lacks_room=self._lacks_room(component, decision))
        self._polling.track(self._records[component], decision.step)
        # Only a component that the fleet may have made is waited for, as its tags may come late.
        record = self._records[component]
        foreign = decision.step is Step.FOREIGN and (decision.until is None or record.intent is None)
        if decision.step is Step.FORGET or (foreign and component not in self._desired.wanted):
            self.forget(component)
        self._progress.note_decision(component)

    def _decide(self, component: str) -> Decision:
        """Settle the record of a component, and decide what comes next."""
        want = self._desired.wanted.get(component)
        record, events, decision = next_step(component, self._records.get(component), want, self.context)
        self._records.put(record)
        for event in events:
            self._records.log(event)
            self._polling.learn(event)
        if decision.artifact is not None and self._unverified.get(component) == decision.artifact:
            decision = replace(decision, step=Step.VERIFY)
        if decision.step is Step.KEEP and record.drifted is not None:
            # Someone has reverted the change by hand.
            self._records.put(replace(record, drifted=None))
        return decision

    def stop_creating(self, limit: str) -> None:
        """Create nothing more in this pass, as a limit of the account is reached."""
        self._queue.limit = limit
        writes = list(self._queue.writes)
        self._queue.writes.clear()
        for component in writes:
            self.advance(component)

    def _lacks_room(self, component: str, decision: Decision) -> bool:
        """Return True if a step has to wait for room, as this pass has met a limit of the account.

        What serves is not deleted to be created again either: another creation may take its place.
        """
        if self._queue.limit is None or component not in self._desired.wanted:
            return False
        replaces = decision.step is Step.DELETE and self._records[component].serving is not None
        return replaces or decision.step is Step.CREATE

    # --- other next steps

    def look(self, component: str) -> None:
        """Describe a component next."""
        self._queue.put(component, Decision(step=Step.LOOK))

    def read_tags(self, component: str) -> None:
        """Read the tags of a component next."""
        if component not in self._queue.reads:
            self._queue.put(component, Decision(step=Step.READ_TAGS))

    def note_archive(self, component: str, result: StepResult) -> None:
        """Note whether the archive has to be read first; remove a pin whose archive is missing."""
        self._unverified.pop(component, None)
        artifact = self._queue.decisions[component].artifact
        if result.unread and artifact is not None:
            self._unverified[component] = artifact
        if result.missing is not None:
            self._desired.remove_pin(component, artifact, missing=result.missing)

    def skip_unreadable(self, component: str, reason: str) -> None:
        """Leave a component that cannot be read alone in this pass, so that the others go on."""
        record = self._records[component]
        if component not in self._desired.wanted and record.owned is None and record.intent is None:
            # Another team's, in all likelihood.
            self.forget(component)
            return
        self._queue.unreadable.add(component)
        until = self._session.clock.now() + _UNREADABLE_SECONDS
        self._queue.decisions[component] = Decision(step=Step.FAILED, until=until, why=reason)
        self._progress.note_decision(component)

    def forget(self, component: str) -> None:
        """Forget a component that is gone, or that is not the fleet's."""
        self._records.drop(component)
        self._queue.forget(component)
        self._progress.forget(component)
