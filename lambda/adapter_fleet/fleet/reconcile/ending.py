"""The end of a pass: saves what it reached and learned, and says when the next one comes."""

import itertools
from dataclasses import replace

from adapter_fleet.fleet.planning.decide import Lane
from adapter_fleet.fleet.planning.progress import failure_reason
from adapter_fleet.fleet.planning.waits import (
    seconds_after_trouble,
    seconds_until_copies,
    time_of_retries,
    wait_seconds,
)
from adapter_fleet.fleet.reconcile.base_check import BaseCheck
from adapter_fleet.fleet.reconcile.board import Board
from adapter_fleet.fleet.reconcile.journal import Journal
from adapter_fleet.fleet.reconcile.rate_limiter import CallLimits
from adapter_fleet.fleet.reconcile.session import Session
from adapter_fleet.fleet.state.generations import Outcome

_MAX_FOREIGN = 5000
"""More would not fit into an item of the registry; the tags of the others are read again."""


class Ending:
    """Saves the generation and the fleet's record."""

    def __init__(
        self, session: Session, board: Board, journal: Journal, limits: CallLimits, base_check: BaseCheck
    ) -> None:
        self._session, self._board, self._journal = session, board, journal
        self._limits, self._base_check = limits, base_check

    def fail_generation(self) -> bool:
        """Fail the generation, as too many adapters have failed; return False if it has timed out before."""
        session, board = self._session, self._board
        if board.failures.timed_out:
            board.failures.over_limit = False
            return False
        reasons = board.progress.reasons(sorted(board.failures.failing))
        session.end_generation(Outcome.FAILED, failure_reason(session.generation, reasons))
        return True

    def save_generation(self, *, settled: bool, held_up: str | None) -> None:
        """Save how far the generation is; end it if nothing is left to do."""
        session, board = self._session, self._board
        if settled:
            self._confirm_imports()
            if board.routes.is_open:
                board.routes.forget_undeclared()
        board.records.flush()
        self._journal.count()
        session.update_generation(passes=session.generation.passes + 1)
        if session.generation.outcome is Outcome.OPEN:
            incomplete = board.progress.reason_of_incomplete_deletion
            if settled and incomplete is not None:
                session.end_generation(Outcome.FAILED, incomplete)
            elif settled:
                outcome = session.end_generation(Outcome.CONVERGED, board.progress.reason_of_converged)
                if outcome is Outcome.CONVERGED:
                    void = board.desired.void_orders(board.records, session.target)
                    session.registry.orders.take(void, session.lease)
            else:
                session.update_generation(reason=held_up)
        session.save_generation()

    def _confirm_imports(self) -> None:
        """Note that this generation keeps what it imported. A later one that drops it may delete it."""
        for component in self._board.desired.wanted:
            record = self._board.records.get(component)
            if record is not None and record.owned is not None and record.claimed is not None:
                self._board.records.put(replace(record, claimed=None))

    def save_fleet(
        self, wait: int | None, trouble: str | None, held_up: str | None, *, settled: bool
    ) -> None:
        """Save what this pass learned, and emit the metrics."""
        session, board, now = self._session, self._board, self._session.clock.now()
        generation, fleet = session.generation, session.fleet
        newest = generation if generation.number == session.newest.number else session.newest
        converged = generation.outcome is Outcome.CONVERGED
        in_force = newest.outcome is Outcome.CONVERGED
        # A newer manifest does not reset the time, nor does one that is refused.
        since = fleet.behind_since or (now if in_force else newest.request.at)
        behind_since = None if settled and in_force else since
        session.update_fleet(
            rate=self._limits.writes.rate,
            write_seconds=board.polling.write_seconds,
            foreign=dict(itertools.islice(board.observation.settled_foreign().items(), _MAX_FOREIGN)),
            heartbeat=now + (wait or 0),
            behind_since=behind_since,
            trouble=held_up,
            failed_passes=0 if trouble is None else fleet.failed_passes + 1,
            pass_ended=now,
            converged=generation.number if converged else fleet.converged,
            deleted=converged and session.deleting,
        )
        session.registry.save_fleet(session.fleet, session.lease)
        session.telemetry.measured(
            generation,
            session.fleet,
            age=0.0 if behind_since is None else now - behind_since,
            throttles=self._limits.throttles,
            drifted=board.records.drifted,
            asleep=board.progress.asleep,
            misidentified=board.progress.misidentified,
            lost_archives=board.records.lost_archives,
        )

    # --- the next pass

    def seconds_until_next(self, trouble: str | None, *, nobody_waits: bool) -> int | None:
        """Return the seconds until the next pass; None if nothing is due."""
        now = self._session.clock.now()
        return wait_seconds(self._next_times(now, trouble, nobody_waits=nobody_waits), now)

    def _next_times(self, now: float, trouble: str | None, *, nobody_waits: bool) -> list[float]:
        """Return when something is due after this pass."""
        board, queue = self._board, self._board.queue
        lasted = now - self._session.generation.request.at
        times = [*self._times_of_steps(now, trouble), *board.routes.next_times()]
        if trouble is not None or queue.blocked or queue.waiting:
            times.append(now + seconds_after_trouble(lasted))
        retries = [decision.until for decision in queue.decisions.values() if decision.until is not None]
        if retries and (not times or board.is_unsettled):
            together = nobody_waits and not times and not board.is_unsettled
            times.append(time_of_retries(retries, now, together=together))
        look = self._base_check.next_look
        if look is not None:
            times.append(now + look)
        elif board.progress.asleep or board.routes.waits_for_copy:
            times.append(now + seconds_until_copies(lasted))
        return times

    def _times_of_steps(self, now: float, trouble: str | None) -> list[float]:
        """Return when queued steps may begin, and when to look at the writes under way."""
        board, queue, times = self._board, self._board.queue, self._board.polling.next_times()
        queued = any(queue.lanes[lane] for lane in queue.lanes if lane is not Lane.WRITE)
        # Steps that wait for a write to end come after the next poll.
        writes = queue.writes and not board.waits_for_write
        deletes = queue.held and not board.polling.in_flight
        if trouble is None and (board.routes.unsent or queued or writes or deletes):
            times.append(max(now, self._limits.paused_until))
        return times
