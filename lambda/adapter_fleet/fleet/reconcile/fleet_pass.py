"""One pass for one generation: observe, plan, apply, for as long as there is time and something to do.

A pass may die at any moment. Whatever the next pass needs is in the registry before this one acts: an intent
before each write. docs/design.md explains why each promise holds.
"""

from concurrent.futures import Executor
from dataclasses import replace
from random import Random

from adapter_fleet.fleet.reconcile.admission import Admission
from adapter_fleet.fleet.reconcile.base_check import BaseCheck
from adapter_fleet.fleet.reconcile.board import Board
from adapter_fleet.fleet.reconcile.drift_check import DriftCheck
from adapter_fleet.fleet.reconcile.ending import Ending
from adapter_fleet.fleet.reconcile.journal import Journal
from adapter_fleet.fleet.reconcile.looking import Looking
from adapter_fleet.fleet.reconcile.order_taking import OrderTaking
from adapter_fleet.fleet.reconcile.rate_limiter import CallLimits
from adapter_fleet.fleet.reconcile.results import Results
from adapter_fleet.fleet.reconcile.route_following import RouteFollowing
from adapter_fleet.fleet.reconcile.session import PassHaltedError, PassResult, Session
from adapter_fleet.fleet.reconcile.step_taking import StepTaking
from adapter_fleet.fleet.reconcile.strangers import Strangers
from adapter_fleet.fleet.reconcile.work_queue import WorkQueue
from adapter_fleet.fleet.state.configuration import TAGS_BEFORE_THE_END
from adapter_fleet.fleet.state.generations import Outcome


class Pass:
    """One pass for one generation.

    Each part owns its state. The board alone decides; only the pass knows the order of things.

    reports:
        True if the pass only reports drift: it writes nothing to SageMaker.
    """

    def __init__(
        self, session: Session, *, executor: Executor, random: Random, workers: int, reports: bool
    ) -> None:
        self._session, self._reports = session, reports
        limits = CallLimits(
            write_ceiling=session.target.settings.request_rate,
            write_rate=session.fleet.rate,
            clock=session.clock,
            random=random,
        )
        board = self._board = Board(session, WorkQueue(executor, workers, limits), limits)
        self._base_check = BaseCheck(session, board.records, executor)
        self._journal = Journal(session, board)
        results = Results(session, board, self._journal, limits, self._base_check, reports=reports)
        self._steps = StepTaking(
            session,
            board,
            self._journal,
            looking=Looking(session, board, limits),
            results=results,
            base_check=self._base_check,
            reports=reports,
        )
        self._strangers = Strangers(board, self._steps)
        self._admission = Admission(session, board, self._journal)
        self._routes = RouteFollowing(session, board)
        self._ending = Ending(session, board, self._journal, limits, self._base_check)

    def run(self) -> PassResult:
        """Run the pass from its first look to the release of its lease."""
        session, board, trouble = self._session, self._board, None
        checks_drift = session.pass_input.starts_drift_check
        orders = OrderTaking(session, board, reports=self._reports)
        drift = DriftCheck(session, board, self._steps, reports=self._reports)
        orders.take()
        try:
            if not board.observation.listed:
                board.observation.list_or_halt()
                self._check_copies()
            orders.ask()
            if self._reports:
                board.routes.publish(board.records)
            else:
                board.routes.judge()
            board.decide_all()
            if checks_drift:
                drift.check_archives()
                drift.queue_tags()
            self._steps.take(writes=False)
            self._routes.end_canaries()
            if checks_drift and self._base_check.steady:
                drift.queue_probes()
            self._admission.admit_or_refuse()
            if self._reports:
                drift.report(asks=self._base_check.steady)
            if session.generation.outcome in (Outcome.OPEN, Outcome.CONVERGED):
                board.observation.check_base()
                if not self._reports:
                    orders.prune()
                    self._apply()
                    self._routes.note()
                    orders.prune()
                if board.progress.lacks_capacity and not self._finds_copies():
                    board.decide_all()  # those asked meanwhile wait for the next copy
        except PassHaltedError as halted:
            trouble = str(halted)
            session.telemetry.trouble(trouble)
            self._steps.join()
        return self._conclude(trouble)

    def abandon(self) -> None:
        """Wait until the calls under way have ended, and ignore their results."""
        self._session.abandon()
        self._board.queue.under_way.join()
        self._base_check.join()

    # --- the base model

    def _check_copies(self) -> None:
        """Mark the adapters that the base model may have lost.

        The base is described: a listing may still show it as it was before its update.
        """
        board = self._board
        observed = board.observation.describe_base()
        if observed is not None:
            self._base_check.run(observed, board.desired.wanted)
        if self._session.generation.rebased:
            board.failures.changed = board.desired.components_of(board.desired.declared)

    def _finds_copies(self) -> bool:
        """Describe the base again; return False if it has no copy any more."""
        observed = self._board.observation.describe_base()
        if observed is not None:
            self._base_check.note_copies(observed)
        return self._session.fleet.base_copies > 0

    # --- applying

    def _apply(self) -> None:
        """Take steps until nothing is left to do, or nothing before the next pass."""
        session, board = self._session, self._board
        self._routes.open()
        while True:
            self._steps.take(writes=True)
            if self._base_check.looks_again and not session.is_late():
                self._base_check.looks_again = False
                self._check_copies()
                board.decide_all()
            elif board.failures.over_limit:
                if self._ending.fail_generation():
                    return
            elif board.waits_only_for_deletions and not session.is_late():
                self._begin_deletions()
            elif board.is_unsettled or session.is_late():
                return
            elif not board.observation.complete:
                if not board.observation.list():
                    return
                board.decide_all()
            elif not (session.deleting and self._finds_more_to_delete()):
                return

    def _begin_deletions(self) -> None:
        """Delete the components that are not wanted, now that everything else is done."""
        board = self._board
        board.deletes = True
        if board.routes.forget_undeclared({board.records[component].name for component in board.queue.held}):
            self._session.update_generation(applied=True)
        for component in sorted(board.queue.held):
            record = board.records[component]
            if record.adopted and record.live is not None:
                # The fleet did not make it: it is described right before it is deleted.
                board.records.put(replace(record, live=replace(record.live, described=False)))
            board.decide(component)

    def _finds_more_to_delete(self) -> bool:
        """Read the tags of strangers before a deletion ends; return whether any are to be deleted.

        A listing may have left out a component whose record cannot be read: it is described.
        """
        board = self._board
        unseen = [
            component
            for component, record in board.records.items()
            if record.unreadable is not None and record.live is None and record.absent_at is None
        ]
        if not (unseen or self._strangers.unread):
            return False
        for component in unseen:
            board.look(component)
        self._strangers.read()
        self._admission.count_deletions()
        board.decide_all()
        return board.is_unsettled

    # --- the end of the pass

    def _conclude(self, trouble: str | None) -> PassResult:
        """End the generation if it is done, save everything, and release the lease.

        trouble:
            What the pass could not get past.
        """
        session, board, strangers = self._session, self._board, self._strangers
        ended = session.generation.outcome in (Outcome.FAILED, Outcome.REFUSED)
        unread = session.deleting and bool(strangers.unread)
        settled = (
            trouble is None
            and not (ended or unread)
            and not board.is_unsettled
            and board.observation.complete  # a listing has shown that nothing is left to do
        )
        nobody_waits = session.generation.outcome is Outcome.CONVERGED
        surveys = settled and not session.deleting
        if surveys and len(strangers.unread) <= TAGS_BEFORE_THE_END:
            strangers.read()
        blocked = next(iter(board.queue.blocked.values()), None)
        held_up = None if settled or ended else trouble or blocked or self._journal.held_up
        self._ending.save_generation(settled=settled, held_up=held_up)
        if surveys and strangers.unread:
            # The deployment has ended by now, and need not wait for this.
            nobody_waits = session.generation.outcome is Outcome.CONVERGED
            strangers.read()
            self._journal.save()
        wait = self._ending.seconds_until_next(trouble, nobody_waits=nobody_waits)
        if surveys and strangers.unread:
            wait = 1  # their tags are still to be read
        self._ending.save_fleet(wait, trouble, held_up, settled=settled)
        session.registry.release(session.lease)
        generation = session.generation
        # The generation that a refused one had superseded goes on.
        refused = generation.outcome is Outcome.REFUSED
        goes_on = refused and session.registry.lineage.active(generation) is not None
        done = (ended and not goes_on) or self._reports or (settled and wait is None)
        # After trouble, too little may be known for the guards. The base is looked at again where it may have
        # no copy left, or new ones.
        keeps_listing = (
            board.observation.listed
            and trouble is None
            and not self._routes.plans_again
            and not (settled and not done)
            and not board.progress.lacks_capacity
            and self._base_check.next_look is None
        )
        return PassResult(done=done, wait_seconds=wait or 1, listed=generation.number if keeps_listing else 0)
