"""How a pass ends: the generation's outcome, what is saved, and when the next pass comes."""

import itertools
import math
from collections.abc import Callable

from adapter_fleet.fleet.reconcile.base_check import BaseCheck
from adapter_fleet.fleet.reconcile.desired_state import DesiredState
from adapter_fleet.fleet.reconcile.observation import Observation
from adapter_fleet.fleet.reconcile.polling import Polling
from adapter_fleet.fleet.reconcile.progress import Progress
from adapter_fleet.fleet.reconcile.rate_limiter import CallLimits
from adapter_fleet.fleet.reconcile.record_cache import RecordCache
from adapter_fleet.fleet.reconcile.session import PassResult, Session
from adapter_fleet.fleet.reconcile.tag_survey import TAGS_BEFORE_THE_END, TagSurvey
from adapter_fleet.fleet.reconcile.telemetry import Telemetry
from adapter_fleet.fleet.reconcile.work_queue import WorkQueue
from adapter_fleet.fleet.state.generations import (
    Generation,
    Outcome,
    Request,
    Source,
    active_generation,
    restored_by_undo,
)
from adapter_fleet.fleet.state.registry import OvertakenError

_TROUBLE_SECONDS = 15.0
_MAX_TROUBLE_SECONDS = 300.0
_TROUBLE_SHARE = 0.1
"""The longer a trouble lasts, the less often passes come: after a tenth of the time so far."""
_RETRY_STRETCH = 2.0
_LOOK_FOR_COPIES_SECONDS = 60.0
"""How often a pass looks for a copy at first, if adapters wait for one."""
_MAX_WAIT_SECONDS = 900.0
_MAX_FOREIGN = 5000
"""More would not fit into an item of the registry; the tags of the others are read again."""


class Conclusion:
    """Ends a pass."""

    def __init__(
        self,
        session: Session,
        telemetry: Telemetry,
        start_machine: Callable[[str, str], None],
        records: RecordCache,
        desired: DesiredState,
        observation: Observation,
        queue: WorkQueue,
        polling: Polling,
        limits: CallLimits,
        progress: Progress,
        survey: TagSurvey,
        base_check: BaseCheck,
    ) -> None:
        self._session, self._telemetry, self._start_machine = session, telemetry, start_machine
        self._records, self._desired, self._observation = records, desired, observation
        self._queue, self._polling, self._limits = queue, polling, limits
        self._progress, self._survey, self._base_check = progress, survey, base_check

    def conclude(self, trouble: str | None, *, reports: bool) -> PassResult:
        """End the generation if it is done, save everything, and release the lease.

        trouble:
            What the pass could not get past.
        reports:
            True if the pass only reports drift, and no other pass follows.
        """
        session = self._session
        ended = session.generation.outcome in (Outcome.FAILED, Outcome.REFUSED)
        unread = session.deleting and self._survey.strangers > 0
        settled = trouble is None and not (ended or unread) and self._progress.is_settled
        nobody_waits = session.generation.outcome is Outcome.CONVERGED
        surveys = settled and not session.deleting
        if surveys and self._survey.strangers <= TAGS_BEFORE_THE_END:
            self._survey.read_strangers()
        blocked = next(iter(self._queue.blocked.values()), None)
        held_up = None if settled or ended else trouble or blocked or self._queue.limit
        self._save_generation(settled=settled, held_up=held_up)
        if surveys and self._survey.strangers:
            # The deployment has ended by now, and need not wait for this.
            nobody_waits = session.generation.outcome is Outcome.CONVERGED
            self._survey.read_strangers()
            self._records.flush()
            self._progress.count()
            session.save_generation()
        wait_seconds = self._wait_seconds(trouble, nobody_waits=nobody_waits)
        if surveys and self._survey.strangers:
            wait_seconds = 1  # their tags are still to be read
        self._save_fleet(wait_seconds, trouble, held_up, settled=settled)
        session.release()
        generation = session.generation
        if ended and generation.outcome is Outcome.FAILED:
            undo_failed_manifest(session, generation, self._start_machine)
        # The generation that a refused one had superseded goes on.
        refused = generation.outcome is Outcome.REFUSED
        goes_on = refused and active_generation(generation, session.registry.generation) is not None
        done = (ended and not goes_on) or reports or (settled and wait_seconds is None)
        # After trouble, too little may be known for the guards. The base is looked at again where it may have
        # no copy left, or new ones.
        keeps_listing = (
            self._observation.listed
            and trouble is None
            and not (settled and not done)
            and not self._progress.lacks_capacity
            and self._base_check.next_look is None
        )
        return PassResult(
            done=done, wait_seconds=wait_seconds or 1, listed=generation.number if keeps_listing else 0
        )

    # --- what is saved

    def _save_generation(self, *, settled: bool, held_up: str | None) -> None:
        """Save how far the generation is; end it if nothing is left to do."""
        session = self._session
        if settled:
            self._desired.confirm_imports()
        self._records.flush()
        self._progress.count()
        session.update_generation(passes=session.generation.passes + 1)
        if session.generation.outcome is Outcome.OPEN:
            incomplete = self._progress.reason_of_incomplete_deletion
            if settled and incomplete is not None:
                session.end_generation(Outcome.FAILED, incomplete)
            elif settled:
                outcome = session.end_generation(Outcome.CONVERGED, self._progress.reason_of_converged)
                if outcome is Outcome.CONVERGED:
                    self._desired.remove_void_orders()
            else:
                session.update_generation(reason=held_up)
        session.save_generation()

    def _save_fleet(
        self, wait_seconds: int | None, trouble: str | None, held_up: str | None, *, settled: bool
    ) -> None:
        """Save what this pass learned, and emit the metrics."""
        session, now = self._session, self._session.clock.now()
        generation, fleet = session.generation, session.fleet
        newest = generation if generation.number == session.newest.number else session.newest
        converged = generation.outcome is Outcome.CONVERGED
        in_force = settled and newest.outcome is Outcome.CONVERGED
        behind_since = None if in_force else self._behind_since(newest, now)
        session.update_fleet(
            rate=self._limits.writes.rate,
            write_seconds=self._polling.write_seconds,
            foreign=dict(itertools.islice(self._observation.settled_foreign().items(), _MAX_FOREIGN)),
            heartbeat=now + (wait_seconds or 0),
            behind_since=behind_since,
            trouble=held_up,
            failed_passes=0 if trouble is None else fleet.failed_passes + 1,
            pass_ended=now,
            converged=generation.number if converged else fleet.converged,
            deleted=converged and session.deleting,
        )
        session.save_fleet()
        self._telemetry.measured(
            generation,
            session.fleet,
            age=0.0 if behind_since is None else now - behind_since,
            throttles=self._limits.throttles,
            drifted=self._records.drifted,
            asleep=self._progress.asleep,
            misidentified=self._progress.misidentified,
        )

    def _behind_since(self, newest: Generation, now: float) -> float:
        """Return since when the fleet has differed from its newest manifest, even if that was refused.

        A newer manifest does not reset the time.
        """
        if self._session.fleet.behind_since is not None:
            return self._session.fleet.behind_since
        return now if newest.outcome is Outcome.CONVERGED else newest.request.at

    # --- the next pass

    def _wait_seconds(self, trouble: str | None, *, nobody_waits: bool) -> int | None:
        """Return the seconds until the next pass, None if no pass is needed."""
        now = self._session.clock.now()
        times = self._next_times(now, trouble)
        retries = [
            decision.until for decision in self._queue.decisions.values() if decision.until is not None
        ]
        if retries and not times and nobody_waits:
            # One pass for the first retry and for those that come soon after it.
            first = min(retries)
            latest = now + _RETRY_STRETCH * (first - now)
            times.append(max(retry for retry in retries if retry <= latest or retry == first))
        if retries and (not times or self._progress.is_unsettled):
            times.append(min(retries))
        look = self._base_check.next_look
        if look is not None:
            times.append(now + look)
        elif self._progress.asleep:
            lasted = now - self._session.generation.request.at
            rarely = min(_TROUBLE_SHARE * lasted, _MAX_WAIT_SECONDS)
            times.append(now + max(_LOOK_FOR_COPIES_SECONDS, rarely))
        if not times:
            return None
        # The state machine waits whole seconds; the pass waits for the rest of one.
        return max(1, min(math.floor(min(times) - now), int(_MAX_WAIT_SECONDS)))

    def _next_times(self, now: float, trouble: str | None) -> list[float]:
        """Return when something other than a retry is due."""
        queue, times = self._queue, self._polling.next_times()
        if trouble is not None or queue.blocked or queue.waiting:
            lasted = now - self._session.generation.request.at
            times.append(now + min(max(_TROUBLE_SECONDS, _TROUBLE_SHARE * lasted), _MAX_TROUBLE_SECONDS))
        # Steps that wait for a write to end come after the next poll.
        writes = queue.writes and not self._progress.waits_for_write
        deletes = queue.held and not self._polling.in_flight
        if trouble is None and (
            queue.reads or queue.requests or queue.probes or queue.archives or writes or deletes
        ):
            times.append(max(now, self._limits.paused_until))
        return times


def undo_failed_manifest(
    session: Session, generation: Generation, start_machine: Callable[[str, str], None]
) -> None:
    """Go back to the last manifest in force after one from S3 failed, which CloudFormation does not do."""
    before = restored_by_undo(generation, session.registry.generation)
    if before is None:
        return
    request = Request(
        delivery=f"undo-{generation.number}",
        source=Source.UNDO,
        target=generation.request.target,
        at=session.clock.now(),
        source_digest=before.request.source_digest,
        previous_digest=generation.request.source_digest,
        manifest_version=generation.request.manifest_version,
    )
    try:
        undo = session.registry.open_generation(
            request, session.registry.desired(before.number), after=session.newest.number
        )
    except OvertakenError:
        return  # a newer generation says what is wanted
    # The time makes the name unique: after a registry was lost, generation numbers repeat.
    start_machine("undo", f"{request.delivery}-{int(undo.request.at)}")
