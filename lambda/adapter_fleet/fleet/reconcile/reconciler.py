"""Runs the passes of a fleet: each under the lease, for the generation that is in force or to come."""

from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from random import Random

from adapter_fleet.common.bounded_text import text_of
from adapter_fleet.common.clock import Clock
from adapter_fleet.fleet.reconcile.fleet_pass import Pass
from adapter_fleet.fleet.reconcile.session import PassInput, PassResult, Session
from adapter_fleet.fleet.state.configuration import LEASE_SECONDS, STALLED_SECONDS
from adapter_fleet.fleet.state.fleet_settings import DriftAction
from adapter_fleet.fleet.state.generations import (
    Generation,
    Outcome,
    Request,
    Source,
)
from adapter_fleet.fleet.state.records import FleetRecord
from adapter_fleet.fleet.state.registry import Registry
from adapter_fleet.fleet.state.rows.generation_rows import OvertakenError
from adapter_fleet.fleet.state.rows.leased_table import Lease, LeaseLostError
from adapter_fleet.fleet.state.rows.row import UnreadableError
from adapter_fleet.fleet.state.sagemaker_port import SageMakerPort
from adapter_fleet.fleet.state.telemetry import FleetTelemetry

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
    telemetry: FleetTelemetry
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
        newest = None if fleet is None else self.registry.generations.find(fleet.generation)
        if fleet is None or newest is None:
            return PassResult(done=True)
        # A deletion that timed out may have ended since; CloudFormation may ask for it again.
        if fleet.deleted and newest.outcome is not Outcome.OPEN:
            return PassResult(done=True)
        reports = False
        if pass_input.starts_drift_check or pass_input.starts_look:
            drift = self._drift_check(fleet, newest, pass_input)
            if drift is None:
                return PassResult(done=True)
            reports = drift is DriftAction.REPORT
        if not reports and not self.registry.become_runner(pass_input.execution, pass_input.started_at):
            return PassResult(done=True)
        lease = self.registry.acquire(pass_input.owner, self.clock.now(), LEASE_SECONDS)
        if lease is None:
            return PassResult(done=reports, wait_seconds=_LEASE_TAKEN_SECONDS, listed=pass_input.listed)
        return self._run_with_lease(pass_input, lease, reports=reports)

    def _drift_check(
        self, fleet: FleetRecord, newest: Generation, pass_input: PassInput
    ) -> DriftAction | None:
        """Return what a drift check or a look does; None for nothing: another execution is at work."""
        current = self.registry.lineage.active(newest)
        if current is None:
            return None
        if current.outcome is Outcome.CONVERGED:
            # A look sends again what the base lost, and spares what people changed.
            return DriftAction.REPAIR if pass_input.starts_look else current.request.target.settings.drift
        stalled = self.clock.now() - max(fleet.heartbeat, current.request.at) > STALLED_SECONDS
        return DriftAction.REPAIR if stalled else None

    def _run_with_lease(self, pass_input: PassInput, lease: Lease, *, reports: bool) -> PassResult:
        session: Session | None = None
        current: Pass | None = None
        try:
            session = Session(
                uid=self.uid,
                registry=self.registry,
                service=self.service,
                telemetry=self.telemetry,
                clock=self.clock,
                pass_input=pass_input,
                lease=lease,
            )
            active = self._generation_for(session, reports=reports)
            if active is None:
                return PassResult(done=True)
            session.begin(active)
            current = Pass(
                session, executor=self.executor, random=self.random, workers=self.workers, reports=reports
            )
            result = current.run()
            if session.generation.outcome is Outcome.FAILED:
                self._undo(session.generation, newest=session.newest)
            return result
        except LeaseLostError as error:
            self.telemetry.trouble(str(error))
            if current is not None:
                current.abandon()
            with suppress(Exception):
                # It may be the pass's own still, with too little time left for a write.
                self.registry.release(lease)
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

    def _generation_for(self, session: Session, *, reports: bool) -> Generation | None:
        """Return the generation to work on; None, with the lease given back, if this pass has none."""
        active = self.registry.lineage.active(session.newest)
        # A drift check that only reports leaves a deployment that came meanwhile to its own passes.
        if active is not None and not (reports and active.outcome is not Outcome.CONVERGED):
            return active
        self.registry.release(session.lease)
        # The pass that ended the generation may have died before it opened the undo.
        failed = self.registry.lineage.newest_not_refused(session.newest) if active is None else None
        if failed is not None:
            self._undo(failed, newest=session.newest)
        return None

    def _undo(self, failed: Generation, *, newest: Generation) -> None:
        """Go back to the last manifest in force after one from S3 failed.

        CloudFormation does that for a deployment only.
        """
        before = self.registry.lineage.restored_by_undo(failed)
        if before is None:
            return
        request = Request(
            delivery=f"undo-{failed.number}",
            source=Source.UNDO,
            target=failed.request.target,
            at=self.clock.now(),
            source_digest=before.request.source_digest,
            previous_digest=failed.request.source_digest,
            manifest_version=failed.request.manifest_version,
        )
        try:
            undo = self.registry.generations.open(
                request, self.registry.generations.desired(before.number), after=newest.number
            )
        except OvertakenError:
            return  # a newer generation says what is wanted
        # The time makes the name unique: after a registry was lost, generation numbers repeat.
        self.start_machine("undo", f"{request.delivery}-{int(undo.request.at)}")

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
