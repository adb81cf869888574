"""How far a generation is, as the registry keeps it for people and for the next pass."""

from adapter_fleet.fleet.reconcile.board import Board
from adapter_fleet.fleet.reconcile.session import Session
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.sagemaker_port import READ_OPERATIONS, WRITE_OPERATIONS

_SAVE_SECONDS = 5.0


class Journal:
    """Counts what the pass does, and saves it every few seconds.

    not_taken:
        Why the service did not take the newest write; None if it did.
    """

    def __init__(self, session: Session, board: Board) -> None:
        self._session, self._board = session, board
        self.not_taken: str | None = None
        self._counted_calls = session.service.calls.copy()
        self._saved_at = session.clock.now()

    @property
    def held_up(self) -> str | None:
        """What keeps the service from taking more writes; None if nothing does."""
        return self._board.queue.limit or self.not_taken

    def count(self) -> None:
        """Bring the counts of the generation up to date."""
        board, progress = self._board, self._board.progress
        # One snapshot: calls go on meanwhile.
        made = self._session.service.calls.copy()
        calls, self._counted_calls = made - self._counted_calls, made
        generation, counts = self._session.generation, progress.counts
        if generation.outcome is Outcome.REFUSED:
            counts["failed"] = 0  # none of its adapters was tried
        self._session.update_generation(
            **counts,
            failures=len(board.failures.failing),
            applied=generation.applied or progress.has_begun(filter(board.changes, board.records)),
            waiting=progress.waiting,
            writes=generation.writes + sum(calls[name] for name in WRITE_OPERATIONS),
            reads=generation.reads + sum(calls[name] for name in READ_OPERATIONS),
        )

    def save(self) -> None:
        """Save the records and the counts."""
        self._board.records.flush()
        self.count()
        self._session.save_generation()

    def save_now_and_then(self) -> None:
        """Save how far the generation is, every few seconds, and look for a newer one."""
        session, now = self._session, self._session.clock.now()
        session.beat()
        if now - self._saved_at >= _SAVE_SECONDS:
            self._saved_at = now
            self._board.records.flush()
            session.look_for_newer_generation()
            self.count()
            if session.generation.outcome is Outcome.OPEN:
                session.update_generation(reason=self.held_up or session.generation.reason)
            session.save_generation()
