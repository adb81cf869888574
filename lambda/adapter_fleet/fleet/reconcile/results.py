"""What a pass makes of the results of steps."""

from dataclasses import replace

from adapter_fleet.fleet.planning.decide import Lane, Step
from adapter_fleet.fleet.planning.releases import proven_artifact
from adapter_fleet.fleet.reconcile.base_check import BaseCheck
from adapter_fleet.fleet.reconcile.board import Board
from adapter_fleet.fleet.reconcile.journal import Journal
from adapter_fleet.fleet.reconcile.rate_limiter import CallLimits
from adapter_fleet.fleet.reconcile.session import Session
from adapter_fleet.fleet.state.records import AdapterRecord, Order, Recheck
from adapter_fleet.fleet.state.sagemaker_port import (
    ConflictError,
    LimitReachedError,
    MissingError,
    RefusedError,
    ThrottledError,
    UnansweredError,
)
from adapter_fleet.fleet.steps.task import Accepted, NeedsArchive, NotSent, StepOutcome, Stopped, Strange

_READ_SECONDS = 120.0
"""For so long a read that fails is repeated. Then the component is left alone."""


class Results:
    """Keeps the results of steps, adapts the rates to them, and lets the board decide again."""

    def __init__(
        self,
        session: Session,
        board: Board,
        journal: Journal,
        limits: CallLimits,
        base_check: BaseCheck,
        *,
        reports: bool,
    ) -> None:
        self._session, self._board, self._journal = session, board, journal
        self._limits, self._base_check, self._reports = limits, base_check, reports
        # When the reads of a component began to fail.
        self._unread_since: dict[str, float] = {}

    def take_in(self, component: str, result: StepOutcome) -> None:
        """Keep the result of a step, and decide what comes next."""
        board, records = self._board, self._board.records
        step = board.queue.decisions[component].step
        self._note_archive(component, result)
        for _ in range(result.requests - 1):
            self._limits.reads.begin(self._session.clock.now())
        if result.unexpected is not None:
            self._session.telemetry.unexpected(component, result.unexpected)
        records.put(result.record)
        error = result.error if isinstance(result, Stopped) else None
        if step.writes and not isinstance(result, NotSent):
            self._journal.not_taken = None if error is None else str(error)
            board.observation.note_write()
            records.note_written(component)
        for event in result.events:
            records.log(event)
        self._note_unanswered(step, result.record)
        if self._ends_here(component, step, result):
            return
        if isinstance(result, Strange):
            board.observation.note_foreign(component, result.created)
        first = not board.polling.is_planned
        board.decide(component)
        if step is Step.READ_TAGS and isinstance(error, ThrottledError | UnansweredError):
            board.read_tags(component)  # a drift check wants the tags though no decision does
        if isinstance(result, Accepted):
            self._note_accepted(component, first=first)

    def _note_unanswered(self, step: Step, record: AdapterRecord) -> None:
        """Let this pass look at the copies if an adapter in service does not itself answer a retry."""
        sent_again = record.recheck in (Recheck.SEND, Recheck.RESEND)
        if step.asks and record.ordered and sent_again and not self._reports:
            self._base_check.doubt()

    def _note_accepted(self, component: str, *, first: bool) -> None:
        """Note that SageMaker took a write, and plan when to look at it."""
        board = self._board
        if board.changes(component):
            self._session.update_generation(applied=True)
        self._limits.write_accepted()
        # Poll early: the first of many writes shows whether any succeeds.
        if first or self._session.fleet.serial or not board.queue.writes:
            board.polling.plan_after_write(last=not board.queue.writes)

    # --- archives

    def _note_archive(self, component: str, result: StepOutcome) -> None:
        """Note whether the archive has to be read first; follow what answers if that of a pin is missing."""
        board = self._board
        board.unverified.pop(component, None)
        artifact = board.queue.decisions[component].artifact
        if isinstance(result, NeedsArchive) and artifact is not None:
            board.unverified[component] = artifact
        missing = result.missing if isinstance(result, NotSent) else None
        pins = [] if missing is None else board.desired.pins_to(component, artifact)
        if pins:
            self._move_pins(pins, board.records[component], result, missing)

    def _move_pins(
        self, pins: list[Order], record: AdapterRecord, result: StepOutcome, missing: str | None
    ) -> None:
        """Pin what answers instead of a version that is gone; without any, the rollback stays and fails."""
        board = self._board
        answers = board.routes.answering(record.name) or proven_artifact(record)
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
            self._session.registry.orders.replace(pin, other, self._session.lease)
        orders = [order for order in board.desired.orders if order not in pins]
        board.desired = replace(board.desired, orders=[*orders, *kept])
        if board.desired.versions.has_routes:
            self._session.abandon()  # other components are wanted now
        else:
            board.desired = board.desired.with_pins_of(record.component, board.records)
        cause = f"the version that it was rolled back to is gone: {missing}"
        board.records.note(record, "unpinned", cause=f"{cause}; {answers.version} goes on answering")

    # --- errors

    def _ends_here(self, component: str, step: Step, result: StepOutcome) -> bool:
        """Adapt the rates to the result of a call; return True if nothing more can be done in this pass."""
        board, limits = self._board, self._limits
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
                for other in board.queue.stop_creating(str(result.error)):
                    board.decide(other)
            case RefusedError() if step.reads:
                board.leave_alone(component, str(result.error))
                return True
            case RefusedError() | MissingError() if result.blocks:
                board.queue.block(component, str(result.error))
                return True
        return False

    def _gives_up_reading(self, component: str, reason: str) -> bool:
        """Leave a component alone whose reads have failed for long; return True then."""
        now = self._session.clock.now()
        if now - self._unread_since.setdefault(component, now) < _READ_SECONDS:
            return False
        self._board.leave_alone(component, reason)
        return True

    def _note_conflict(self, component: str) -> None:
        """Slow down after a write that was refused for now."""
        live = self._board.records[component].live
        # If the component itself is not in transition, another one is: the service takes one write at a time.
        if live is None or not live.status.in_transition:
            self._session.update_fleet(serial=True)
        self._limits.pause_after_conflict()
