"""One pass of the reconciler: observe, plan, apply, for as long as there is time and something to do.

A pass may die at any moment. Whatever the next pass needs is in the registry before this one acts: an intent
before each write. `docs/adr/0009-reconciler.md` explains why each promise holds, and which part does what.
"""

from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random

from adapter_fleet.common.bounded_text import text_of
from adapter_fleet.common.clock import Clock
from adapter_fleet.fleet.planning.decide import Step
from adapter_fleet.fleet.reconcile.admission import Admission
from adapter_fleet.fleet.reconcile.base_check import Answer, BaseCheck
from adapter_fleet.fleet.reconcile.call_pool import CallPool
from adapter_fleet.fleet.reconcile.conclusion import Conclusion, undo_failed_manifest
from adapter_fleet.fleet.reconcile.desired_state import DesiredState
from adapter_fleet.fleet.reconcile.observation import Observation
from adapter_fleet.fleet.reconcile.planner import Planner
from adapter_fleet.fleet.reconcile.polling import Polling
from adapter_fleet.fleet.reconcile.probe_survey import ProbeSurvey
from adapter_fleet.fleet.reconcile.progress import Progress
from adapter_fleet.fleet.reconcile.rate_limiter import CallLimits
from adapter_fleet.fleet.reconcile.record_cache import RecordCache
from adapter_fleet.fleet.reconcile.scheduler import Scheduler
from adapter_fleet.fleet.reconcile.session import (
    LEASE_SECONDS,
    PassHaltedError,
    PassInput,
    PassResult,
    Session,
)
from adapter_fleet.fleet.reconcile.tag_survey import TagSurvey
from adapter_fleet.fleet.reconcile.telemetry import Telemetry
from adapter_fleet.fleet.reconcile.work_queue import WorkQueue
from adapter_fleet.fleet.state.fleet_settings import DriftAction
from adapter_fleet.fleet.state.generations import Generation, Outcome, active_generation, newest_not_refused
from adapter_fleet.fleet.state.records import FleetRecord
from adapter_fleet.fleet.state.registry import (
    STALLED_SECONDS,
    Lease,
    LeaseLostError,
    Registry,
    UnreadableError,
)
from adapter_fleet.fleet.state.sagemaker_port import SageMakerPort
from adapter_fleet.fleet.steps.executor import execute
from adapter_fleet.fleet.steps.task import StepResult, StepTask
from adapter_fleet.manifest.desired import DesiredFleet

_LEASE_TAKEN_SECONDS = 5


@dataclass(frozen=True, kw_only=True)
class Reconciler:
    """Runs passes.

    uid:
        The value of the fleet's tag.
    executor:
        Runs calls side by side. One that runs each call at once makes a pass repeatable.
    workers:
        How many calls run at the same time.
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

    def run(self, pass_input: PassInput) -> PassResult:
        """Run one pass. No pass follows if this one cannot read the registry."""
        try:
            return self._run(pass_input)
        except UnreadableError as error:
            self.telemetry.failed_pass(error, in_a_row=1)
            return PassResult(done=True)

    def _run(self, pass_input: PassInput) -> PassResult:
        fleet = self.registry.fleet()
        newest = None if fleet is None else self.registry.generation(fleet.generation)
        if fleet is None or newest is None:
            return PassResult(done=True)
        # A deletion that timed out may have ended since; CloudFormation may ask for it again.
        if fleet.deleted and newest.outcome is not Outcome.OPEN:
            return PassResult(done=True)
        reports = False
        if pass_input.starts_drift_check:
            drift = self._drift_check(fleet, newest)
            if drift is None:
                return PassResult(done=True)
            reports = drift is DriftAction.REPORT
        if not reports and not self.registry.become_runner(pass_input.execution, pass_input.started_at):
            return PassResult(done=True)
        lease = self.registry.acquire(pass_input.owner, self.clock.now(), LEASE_SECONDS)
        if lease is None:
            return PassResult(done=reports, wait_seconds=_LEASE_TAKEN_SECONDS, listed=pass_input.listed)
        return self._run_with_lease(pass_input, lease, reports=reports)

    def _drift_check(self, fleet: FleetRecord, newest: Generation) -> DriftAction | None:
        """Return what a scheduled run does; None if it does nothing, as another execution is at work."""
        current = active_generation(newest, self.registry.generation)
        if current is None:
            return None
        if current.outcome is Outcome.CONVERGED:
            return current.request.target.settings.drift
        stalled = self.clock.now() - max(fleet.heartbeat, current.request.at) > STALLED_SECONDS
        return DriftAction.REPAIR if stalled else None

    def _run_with_lease(self, pass_input: PassInput, lease: Lease, *, reports: bool) -> PassResult:
        session: Session | None = None
        current: Pass | None = None
        try:
            session = Session(self.registry, self.clock, pass_input, lease)
            active = active_generation(session.newest, self.registry.generation)
            if active is None:
                session.release()
                # The pass that ended the generation may have died before it opened the undo.
                failed = newest_not_refused(session.newest, self.registry.generation)
                if failed is not None:
                    undo_failed_manifest(session, failed, self.start_machine)
                return PassResult(done=True)
            session.begin(active)
            current = Pass(self, session)
            return current.run(reports=reports)
        except LeaseLostError as error:
            self.telemetry.trouble(str(error))
            if current is not None:
                current.abandon()
            return PassResult(done=reports, wait_seconds=_LEASE_TAKEN_SECONDS)
        except UnreadableError as error:
            if current is not None:
                current.abandon()
            return self._stop(error, session, lease)
        except Exception as error:
            if current is not None:
                current.abandon()
            self._note_failed_pass(error, lease)
            raise

    def _stop(self, error: UnreadableError, session: Session | None, lease: Lease) -> PassResult:
        """End the generation, as no pass can go on with it."""
        with suppress(Exception):
            if session is not None and session.generation.outcome is Outcome.OPEN:
                session.end_generation(Outcome.FAILED, str(error))
        self._note_failed_pass(error, lease)
        return PassResult(done=True)

    def _note_failed_pass(self, error: Exception, lease: Lease) -> None:
        """Count the failed pass in the fleet's record, and release the lease.

        If the registry is what fails, neither may be possible; the pass's own exception matters more.
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


class Pass:
    """One pass for one generation. Each part that it strings together owns its own state."""

    def __init__(self, reconciler: Reconciler, session: Session) -> None:
        self._reconciler, self._session, self._reports = reconciler, session, False
        telemetry, service = reconciler.telemetry, reconciler.service
        wanted = DesiredFleet() if session.deleting else session.registry.desired(session.generation.number)
        declared = {adapter.component: adapter for adapter in wanted.adapters}
        self._calls: CallPool[StepResult] = CallPool(reconciler.executor)
        self._samples: CallPool[set[Answer]] = CallPool(reconciler.executor)
        in_use = self._calls.components
        limits = CallLimits(
            write_ceiling=session.target.settings.request_rate,
            write_rate=session.fleet.rate,
            clock=reconciler.clock,
            random=reconciler.random,
        )
        self._queue = queue = WorkQueue()
        self._records = records = RecordCache(session, telemetry, declared=declared.keys(), in_use=in_use)
        self._desired = desired = DesiredState(session, records, declared)
        polling = Polling(session, records)
        self._observation = observation = Observation(session, service, limits, records, desired)
        self._base_check = BaseCheck(
            session, service, telemetry.trouble, self._samples, observation, records, desired
        )
        self._progress = progress = Progress(session, service, records, desired, observation, queue, polling)
        desired.take_orders()
        for why in session.registry.unreadable_orders().values():
            telemetry.trouble(f"an order is left alone: {why}")
        self._planner = planner = Planner(
            session, telemetry, records, desired, observation, queue, polling, progress, in_use
        )
        self._admission = Admission(session, records, desired, queue, progress, planner)
        self._scheduler = scheduler = Scheduler(
            session,
            telemetry,
            self._new_step,
            self._calls,
            reconciler.workers,
            records,
            observation,
            queue,
            polling,
            limits,
            progress,
            planner,
        )
        self._survey = survey = TagSurvey(session, records, observation, queue, progress, planner, scheduler)
        self._probe_survey = ProbeSurvey(session, records, desired, queue, planner)
        self._conclusion = Conclusion(
            session,
            telemetry,
            reconciler.start_machine,
            records,
            desired,
            observation,
            queue,
            polling,
            limits,
            progress,
            survey,
            self._base_check,
        )

    def _new_step(self, component: str) -> Callable[[], StepResult]:
        """Return the call that takes the next step of a component."""
        task = StepTask(
            uid=self._reconciler.uid,
            registry=self._reconciler.registry,
            service=self._reconciler.service,
            clock=self._reconciler.clock,
            lease=self._session.lease,
            context=self._planner.context,
            record=self._records[component],
            want=self._desired.wanted.get(component),
            decision=self._queue.decisions[component],
            wanted=self._desired.wanted,
            copies=self._session.fleet.base_copies,
            repairs=not self._reports,
            stop=self._session.is_late,
        )
        return partial(execute, task)

    def run(self, *, reports: bool) -> PassResult:
        """Run the pass. One that only reports drift writes nothing to SageMaker."""
        trouble, self._reports = None, reports
        try:
            self._observe()
            self._admission.admit_or_refuse()
            if reports:
                self._scheduler.run(writes=False, asks=self._base_check.steady)
                self._probe_survey.forget_unasked()
                self._report()
            if self._session.generation.outcome in (Outcome.OPEN, Outcome.CONVERGED):
                self._observation.check_base()
                if not reports:
                    self._prune()
                    self._apply()
                    self._prune()
                if self._progress.lacks_capacity and not self._base_check.finds_copies():
                    self._planner.advance_all()  # those asked meanwhile wait for the next copy
        except PassHaltedError as halted:
            trouble = str(halted)
            self._reconciler.telemetry.trouble(trouble)
            self._scheduler.join()
        return self._conclusion.conclude(trouble, reports=reports)

    def abandon(self) -> None:
        """Wait until the calls under way have ended, and ignore their results."""
        self._session.abandon()
        self._calls.join()
        self._samples.join()

    def _observe(self) -> None:
        """Find out what exists; no write."""
        if not self._observation.listed:
            if not self._observation.list():
                raise PassHaltedError("the pass ended before it had listed all components of the endpoint")
            self._base_check.run()
        self._planner.advance_all()
        if self._session.pass_input.starts_drift_check:
            self._survey.queue_some()
        self._scheduler.run(writes=False)
        if self._session.pass_input.starts_drift_check and self._base_check.steady:
            self._probe_survey.queue_some(reports=self._reports)

    def _report(self) -> None:
        """Note what is not as the manifest says, and repair nothing."""
        for component, decision in self._queue.decisions.items():
            record = self._records.get(component)
            if record is None or record.drifted is not None:
                continue
            if decision.step is Step.ASK:
                self._records.put(replace(record, drifted="its base model may have lost it"))
            elif decision.step.writes and (record.failure is None or record.recheck is not None):
                # Whoever repeats a failed attempt takes nothing back that people changed.
                text = f"needs {decision.step}: {decision.why or 'it is not as the manifest says'}"
                self._records.put(replace(record, drifted=text))

    def _prune(self) -> None:
        """Count the deletions of orphans that people ordered."""
        for component in self._desired.take_prunes():
            number = self._session.generation.number
            self._records.put(replace(self._records[component], counted=number))
            self._planner.advance(component)
        self._records.flush()

    # --- apply

    def _apply(self) -> None:
        """Take steps until nothing is left to do, or nothing before the next pass."""
        progress = self._progress
        while True:
            self._scheduler.run(writes=True)
            if progress.over_limit:
                if self._fails():
                    return
            elif progress.waits_only_for_deletions:
                self._begin_deletions()
            elif progress.is_unsettled or self._session.is_late():
                return
            elif not self._observation.complete:
                if not self._observation.list():
                    return
                self._planner.advance_all()
            elif not (self._session.deleting and self._finds_more_to_delete()):
                return

    def _fails(self) -> bool:
        """Fail the generation, as too many adapters have failed; return False if it has timed out before."""
        if self._progress.timed_out:
            self._progress.over_limit = False
            return False
        self._session.end_generation(Outcome.FAILED, self._progress.failure_reason)
        return True

    def _begin_deletions(self) -> None:
        """Delete the components that are not wanted, now that everything else is done."""
        self._planner.deletes = True
        for component in sorted(self._queue.held):
            record = self._records[component]
            if record.adopted and record.live is not None:
                # The fleet did not make it: it is described right before it is deleted.
                self._records.put(replace(record, live=replace(record.live, described=False)))
            self._planner.advance(component)

    def _finds_more_to_delete(self) -> bool:
        """Read the tags of strangers before a deletion ends; return whether any are to be deleted.

        A listing may have left out a component whose record cannot be read: it is described.
        """
        unseen = [
            component
            for component, record in self._records.items()
            if record.unreadable is not None and record.live is None and record.absent_at is None
        ]
        if not (unseen or self._survey.strangers):
            return False
        for component in unseen:
            self._planner.look(component)
        self._survey.read_strangers()
        self._admission.count_deletions()
        self._planner.advance_all()
        return self._progress.is_unsettled
