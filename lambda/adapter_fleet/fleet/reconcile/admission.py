"""The check of a new generation before its first write: what it changes, and whether a guard refuses it."""

from dataclasses import replace

from adapter_fleet.fleet.planning.deletion_guard import components_an_hour_before, count_deletions, refusal
from adapter_fleet.fleet.planning.settle import with_new_attempts
from adapter_fleet.fleet.reconcile.desired_state import DesiredState
from adapter_fleet.fleet.reconcile.planner import Planner
from adapter_fleet.fleet.reconcile.progress import Progress
from adapter_fleet.fleet.reconcile.record_cache import RecordCache
from adapter_fleet.fleet.reconcile.session import PassHaltedError, Session
from adapter_fleet.fleet.reconcile.work_queue import WorkQueue
from adapter_fleet.fleet.state.generations import Outcome


class Admission:
    """Counts what a generation changes and deletes, or refuses it.

    spares_adopted:
        True if the generation leaves components alone that carried the fleet's tag before the registry knew
        them.
    """

    def __init__(
        self,
        session: Session,
        records: RecordCache,
        desired: DesiredState,
        queue: WorkQueue,
        progress: Progress,
        planner: Planner,
    ) -> None:
        self._session, self._records, self._desired = session, records, desired
        self._queue, self._progress, self._planner = queue, progress, planner
        self.spares_adopted = session.generation.spares_adopted(converged=session.fleet.converged > 0)

    def admit_or_refuse(self) -> None:
        """Refuse a new generation, or count what it changes; nothing for one that was checked before."""
        generation = self._session.generation
        if generation.outcome is not Outcome.OPEN or generation.changes is not None:
            return
        if self._queue.blocked or self._queue.reads:
            why = next(iter(self._queue.blocked.values()), "not everything could be looked at")
            raise PassHaltedError(why)
        # An earlier pass may have died after it counted and before it saved that the guard had been passed.
        self._uncount(generation.number)
        reason = None
        if not generation.exempt:
            registry = self._session.registry
            before = registry.generation(generation.standing)
            hour_ago = components_an_hour_before(generation.request.at, before, registry)
            reason = refusal(
                self._records, self._desired.wanted, generation.request.target, hour_ago=hour_ago
            )
        if reason is not None:
            self._records.flush()
            self._session.end_generation(Outcome.REFUSED, reason)
            return
        # What an earlier generation counted is wanted now, or counted again.
        self._uncount(None)
        self.count_deletions()
        self._allow_new_attempts()
        self._planner.advance_all()
        self._records.flush()  # before any deletion
        self._save_changes()
        # An adapter that failed before, and is wanted again, fails without another attempt.
        self._progress.check_limit()

    def count_deletions(self) -> None:
        """Note which components this generation may delete: those that it does not want."""
        for record in count_deletions(
            self._records,
            self._desired.wanted,
            self._session.target,
            generation=self._session.generation.number,
            spares_adopted=self.spares_adopted,
        ).values():
            self._records.put(record)

    def _uncount(self, number: int | None) -> None:
        """Take back which components a generation may delete; None for all generations."""
        for record in list(self._records.values()):
            if record.counted is not None and number in (None, record.counted):
                self._records.put(replace(record, counted=None))

    def _allow_new_attempts(self) -> None:
        """Forget the failures that time or people may have removed since."""
        for component in self._desired.wanted:
            record = self._records.get(component)
            if record is not None:
                self._records.put(with_new_attempts(record))

    def _save_changes(self) -> None:
        """Save how many adapters the generation changes: that is when it has passed."""
        decisions = self._queue.decisions
        gone = decisions.keys() - self._desired.wanted.keys()
        deleted = sum(decisions[component].step.writes for component in gone)
        self._session.update_generation(changes=len(self._desired.changed) + deleted)
        self._progress.count()
        self._session.save_generation()
