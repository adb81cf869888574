"""Takes steps: begins each call when its rate allows it, and takes in the results."""

from functools import partial

from adapter_fleet.fleet.planning.decide import Step
from adapter_fleet.fleet.planning.surveys import answers_of
from adapter_fleet.fleet.reconcile.base_check import BaseCheck
from adapter_fleet.fleet.reconcile.board import Board
from adapter_fleet.fleet.reconcile.journal import Journal
from adapter_fleet.fleet.reconcile.looking import Looking
from adapter_fleet.fleet.reconcile.results import Results
from adapter_fleet.fleet.reconcile.session import Session
from adapter_fleet.fleet.reconcile.work_queue import QueuedStep
from adapter_fleet.fleet.steps.executor import execute
from adapter_fleet.fleet.steps.task import StepTask

_INLINE_WAIT_SECONDS = 10.0
"""A pass waits this long itself, as starting another one reads every record again."""
_SLICE_SECONDS = 3.0
_FLUSH_SECONDS = 1.0


class StepTaking:
    """Takes the steps that the board has decided.

    reports:
        True if the pass only reports drift: it writes nothing to SageMaker.
    """

    def __init__(
        self,
        session: Session,
        board: Board,
        journal: Journal,
        *,
        looking: Looking,
        results: Results,
        base_check: BaseCheck,
        reports: bool,
    ) -> None:
        self._session, self._board, self._journal = session, board, journal
        self._looking, self._results = looking, results
        self._base_check, self._reports = base_check, reports

    def take(self, *, writes: bool, asks: bool = False) -> None:
        """Take steps until nothing is due soon: all of them, or without `writes` only reads.

        asks:
            True if requests are sent without `writes`, too.
        """
        board, queue, clock = self._board, self._board.queue, self._session.clock
        while True:
            self._collect(seconds=0.0)
            if self._base_check.looks_again or self._session.is_late():
                break
            now, writing = clock.now(), writes and not board.failures.over_limit
            looks = board.polling.next_times() if writing else []
            steps = queue.next_steps(now, asks=asks or writing, writes=writing, waits=board.waits_for_write)
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
                    board.records.flush()
                clock.sleep(min(due - now, _SLICE_SECONDS))
        self.join()

    def join(self) -> None:
        """Wait for every call under way, and take in its result: none goes on after the pass."""
        while self._board.queue.under_way:
            self._session.renew()
            self._collect(seconds=1.0)

    def _begin(self, steps: list[QueuedStep], looks: list[float], now: float) -> bool:
        """Begin one call that may begin now; return False if there is none."""
        queue = self._board.queue
        step = next((step for step in steps if step.at <= now), None)
        if step is not None:
            component = step.queue.popleft()
            if step.rate is not None:
                step.rate.begin(now)
            if queue.decisions[component].step.writes:
                self._session.renew()
            queue.under_way.begin(component, partial(execute, self._task(component)))
        elif looks and min(looks) <= now:
            self._looking.look_again(now)
        else:
            return False
        return True

    def _task(self, component: str) -> StepTask:
        """Return the next step of a component."""
        session, board = self._session, self._board
        decision, wanted = board.queue.decisions[component], board.desired.wanted
        return StepTask(
            uid=session.uid,
            registry=session.registry,
            service=session.service,
            clock=session.clock,
            leased=lambda: session.lease,
            context=board.context,
            record=board.records[component],
            want=wanted.get(component),
            decision=decision,
            wanted=wanted,
            answers=answers_of(board.records) if decision.step is Step.PROBE else {},
            copies=session.fleet.base_copies,
            repairs=not self._reports,
            stop=session.is_late,
        )

    def _collect(self, *, seconds: float) -> None:
        """Take in the results of calls that have ended; wait for the first, some seconds at most."""
        if not self._board.queue.under_way:
            return
        for component, result in self._board.queue.under_way.take_ended(seconds=seconds):
            self._results.take_in(component, result)
        self._board.records.flush_if_full()
        self._board.routes.flush()
        self._journal.save_now_and_then()
