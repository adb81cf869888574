"""Asks some adapters for their probes again in drift checks: another may answer in their place since."""

from dataclasses import replace

from adapter_fleet.fleet.planning.decide import Step
from adapter_fleet.fleet.planning.settle import may_be_asked_again, probe_of
from adapter_fleet.fleet.reconcile.desired_state import DesiredState
from adapter_fleet.fleet.reconcile.planner import Planner
from adapter_fleet.fleet.reconcile.record_cache import RecordCache
from adapter_fleet.fleet.reconcile.session import Session
from adapter_fleet.fleet.reconcile.work_queue import WorkQueue
from adapter_fleet.fleet.state.records import AdapterRecord, Recheck


class ProbeSurvey:
    """Chooses the adapters of one drift check.

    First come those that answered when there were fewer copies, then those that were not asked for longest.
    """

    def __init__(
        self,
        session: Session,
        records: RecordCache,
        desired: DesiredState,
        queue: WorkQueue,
        planner: Planner,
    ) -> None:
        self._session, self._records, self._desired = session, records, desired
        self._queue, self._planner = queue, planner
        self._before: dict[str, AdapterRecord] = {}

    def queue_some(self, *, reports: bool) -> None:
        """Begin a new series for as many adapters as the settings say.

        reports:
            True if the pass sends nothing again. Then it asks those first that the base may have lost.
        """
        found = [record for record in self._records.values() if self._is_due(record, reports=reports)]
        copies = self._session.fleet.base_copies
        found.sort(
            key=lambda record: (
                record.recheck is None,
                record.probed is None or record.probed.copies >= copies,
                _asked_at(record),
                record.component,
            )
        )
        most = self._session.target.settings.probes_per_drift_run
        if most is not None:
            most = max(0, most - len(self._queue.probes))  # some may be left from an earlier run
        for record in found[:most]:
            check = record.probed
            assert check is not None  # a record without one is asked anyway
            self._before[record.component] = record
            # It is in the record, not in the queue alone: a pass that lists again decides anew.
            failure = None if may_be_asked_again(record) else record.failure
            self._put(replace(record, probed=check.begin_again(), failure=failure, recheck=None))

    def forget_unasked(self) -> None:
        """Leave those alone that this check had no time for: the next check asks them first."""
        for component, before in self._before.items():
            decision = self._queue.decisions.get(component)
            record = self._records.get(component)
            if decision is None or record is None:
                continue
            if decision.step is not Step.PROBE:
                if before.recheck is not None and record.failure is not None:
                    # The next run that repairs sends it again: the base has lost it.
                    self._records.put(replace(record, recheck=before.recheck))
                continue
            known = replace(record, probed=before.probed, failure=before.failure, recheck=before.recheck)
            self._put(known)

    def _put(self, record: AdapterRecord) -> None:
        self._records.put(record)
        self._queue.withdraw(record.component)
        self._planner.advance(record.component)

    def _is_due(self, record: AdapterRecord, *, reports: bool) -> bool:
        want, decision = (
            self._desired.wanted.get(record.component),
            self._queue.decisions.get(record.component),
        )
        serving = record.serving
        if want is None or serving is None or record.probed is None or decision is None:
            return False
        if probe_of(serving, want) is None or record.probed.probe is None:
            return False
        failed = decision.step is Step.FAILED and (may_be_asked_again(record) or _is_restored(record))
        lost = reports and decision.step is Step.ASK and record.recheck is Recheck.ASK
        return decision.step is Step.KEEP or failed or lost


def _is_restored(record: AdapterRecord) -> bool:
    """Return True if the last good artifact serves, and another one failed."""
    failure, serving = record.failure, record.serving
    return (
        serving is not None
        and serving.same_as(record.last_good)
        and failure is not None
        and not failure.artifact.same_as(serving)
        and record.recheck is None
    )


def _asked_at(record: AdapterRecord) -> float:
    """Return when an adapter was last found right; one that failed goes by its failure."""
    check, failure = record.probed, record.failure
    if failure is not None and failure.artifact.same_as(record.serving):
        return failure.at
    return 0.0 if check is None or check.ended is None else check.ended
