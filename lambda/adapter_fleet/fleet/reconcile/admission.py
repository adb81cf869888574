"""Admits a generation: the guard refuses it, or what it deletes and changes is counted."""

from dataclasses import replace

from adapter_fleet.fleet.planning.deletion_guard import components_an_hour_before
from adapter_fleet.fleet.planning.settle import with_new_attempts
from adapter_fleet.fleet.reconcile.board import Board
from adapter_fleet.fleet.reconcile.journal import Journal
from adapter_fleet.fleet.reconcile.session import PassHaltedError, Session
from adapter_fleet.fleet.state.generations import Outcome


class Admission:
    """Decides once for each generation whether it may begin."""

    def __init__(self, session: Session, board: Board, journal: Journal) -> None:
        self._session, self._board, self._journal = session, board, journal

    def admit_or_refuse(self) -> None:
        """Refuse a new generation, or count what it changes; nothing for one that was checked before."""
        generation, board = self._session.generation, self._board
        if generation.outcome is not Outcome.OPEN or generation.changes is not None:
            return
        if board.queue.blocked or board.queue.reads:
            why = next(iter(board.queue.blocked.values()), "not everything could be looked at")
            raise PassHaltedError(why)
        # An earlier pass may have died after it counted and before it saved that the guard had been passed.
        self._uncount(generation.number)
        reason = None
        if not generation.exempt:
            registry = self._session.registry
            before = registry.generations.find(generation.standing)
            hour_ago = components_an_hour_before(generation.request.at, before, registry)
            reason = board.view.refusal(hour_ago=hour_ago)
        if reason is not None:
            board.records.flush()
            self._session.end_generation(Outcome.REFUSED, reason)
            return
        # What an earlier generation counted is wanted now, or counted again.
        self._uncount(None)
        self.count_deletions()
        # Time or people may have removed what failed before.
        for component in board.desired.wanted:
            record = board.records.get(component)
            if record is not None:
                board.records.put(with_new_attempts(record))
        board.decide_all()
        board.records.flush()  # before any deletion
        decisions = board.queue.decisions
        gone = decisions.keys() - board.desired.wanted.keys()
        deleted = board.view.deleted(component for component in gone if decisions[component].step.writes)
        # A generation whose changes are saved has passed its guard.
        self._session.update_generation(changes=len(board.failures.changed) + deleted)
        self._journal.count()
        self._session.save_generation()
        # An adapter that failed before, and is wanted again, fails without another attempt.
        board.failures.check_limit()

    def count_deletions(self) -> None:
        """Note which components this generation may delete: those that it does not want."""
        spares = self._session.generation.spares_adopted(converged=self._session.fleet.converged > 0)
        for record in self._board.view.counted(spares_adopted=spares).values():
            self._board.records.put(record)

    def _uncount(self, number: int | None) -> None:
        """Take back which components a generation may delete; None for all generations."""
        for record in list(self._board.records.values()):
            if record.counted is not None and number in (None, record.counted):
                self._board.records.put(replace(record, counted=None))
