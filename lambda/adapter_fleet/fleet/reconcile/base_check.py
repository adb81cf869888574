"""Checks that the copies of the base model still have the adapters.

SageMaker does not document whether new copies of a base have the adapters of the old ones. So adapters are
asked after every change that may bring new copies, and sent again if they are missing.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal

from adapter_fleet.common.bounded_text import text_of
from adapter_fleet.fleet.reconcile.call_pool import CallPool
from adapter_fleet.fleet.reconcile.desired_state import DesiredState
from adapter_fleet.fleet.reconcile.observation import Observation
from adapter_fleet.fleet.reconcile.record_cache import RecordCache
from adapter_fleet.fleet.reconcile.session import DRIFT_TRIGGER, SCALING_TRIGGER, Session
from adapter_fleet.fleet.state.components import ObservedBase, Status
from adapter_fleet.fleet.state.failures import Cause
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.probe_check import requests_for
from adapter_fleet.fleet.state.records import AdapterRecord, Recheck
from adapter_fleet.fleet.state.sagemaker_port import SageMakerPort
from adapter_fleet.fleet.steps.smoke_requests import ANY_REQUEST, lacks_adapter

_SAMPLE_ADAPTERS = 3
_LEAST_SAMPLE_REQUESTS = 4
"""The number of copies may be older than the requests."""
_SAMPLE_SECONDS = 60.0
"""Requests that reach each of eleven copies take about this long at a second each."""

_LOOKS_FOR_COPIES = 4
"""Application Auto Scaling may act some time after its alarm, or not at all."""
_MOST_LOOKS_FOR_COPIES = 120
"""An hour. The longest start of a copy is shorter."""

_CAUSES_OF_THE_BASE = frozenset({Cause.ARTIFACT, Cause.SMOKE, Cause.IDENTITY, Cause.UPDATE_REFUSED})
"""Causes that another base model may remove."""


class BaseCheck:
    """Finds out whether the base component has new copies, and marks the adapters that they may lack.

    steady:
        True if the base was described in service, with a copy, and as the model that its adapters were last
        checked on. Only then does a drift check ask for probes.
    """

    def __init__(
        self,
        session: Session,
        service: SageMakerPort,
        report_trouble: Callable[[str], None],
        pool: CallPool[set[bool]],
        observation: Observation,
        records: RecordCache,
        desired: DesiredState,
    ) -> None:
        self._session, self._service, self._report_trouble = session, service, report_trouble
        self._pool, self._observation = pool, observation
        self._records, self._desired = records, desired
        self.steady = False
        self._updating = False

    @property
    def expects_copies(self) -> bool:
        """True if copies may come that have to be asked. Passes go on until they are."""
        session = self._session
        scaling = session.pass_input.trigger == SCALING_TRIGGER
        coming = self._updating and (scaling or session.fleet.unchecked_copies > 0)
        most = _MOST_LOOKS_FOR_COPIES if coming else _LOOKS_FOR_COPIES if scaling else 0
        return not session.deleting and session.pass_input.passes + 1 < most

    def run(self) -> None:
        """Describe the base, and mark the adapters that it may have lost.

        A listing may still show the base as it was before its update.
        """
        if self._session.deleting:
            return
        observed = self._observation.describe_base()
        if observed is not None:
            self._session.update_fleet(base_copies=observed.copies)
            self._updating = observed.live.status is Status.UPDATING
            if not observed.copies:
                # The next copies will all be new.
                self._session.update_fleet(checked_copies=0)
        if observed is None or observed.live.status is not Status.IN_SERVICE or not observed.copies:
            return  # nobody answers, or nobody knows which model does: the next run asks
        self.steady = self._session.fleet.base_version in (None, observed.version)
        if self._session.fleet.base_version not in (None, observed.version):
            self._recheck_for_another_base()
        elif self._session.fleet.checked_copies == 0:
            self._recheck_for_first_copy()
        elif self._may_have_new_copies(observed):
            self._recheck_under_way()
            needed = self._sample()
            if needed is None:
                return  # none could be asked; the next run asks again
            if needed:
                self._recheck_all(needed)
                self._records.flush()
        self._session.update_fleet(
            base_modified=observed.live.modified,
            base_version=observed.version,
            checked_copies=observed.copies,
            hosting=self._session.target.hosting,
        )

    def _may_have_new_copies(self, base: ObservedBase) -> bool:
        """Return True if the base may have new copies though its version is unchanged.

        Scaling brings new copies, and so does an update that was rolled back, or a deployment that changes
        the instance type or the number of copies. A drift check always looks, as SageMaker replaces copies
        by itself.
        """
        fleet = self._session.fleet
        return (
            self._session.pass_input.trigger == DRIFT_TRIGGER
            or fleet.unchecked_copies > 0
            or fleet.base_modified not in (None, base.live.modified)
            or fleet.hosting not in (None, self._session.target.hosting)
        )

    # --- which adapters are checked

    def _recheck_for_another_base(self) -> None:
        self._recheck_all(Recheck.ASK)
        for record in list(self._records.values()):
            if record.probed is not None:
                self._records.put(replace(record, probed=replace(record.probed.begin_again(), rebased=True)))
        generation = self._session.generation
        if generation.outcome is Outcome.OPEN and generation.changes is None:
            self._session.update_generation(rebased=True)
            self._desired.count_all_as_changed()
        self._records.flush()

    def _recheck_for_first_copy(self) -> None:
        """Mark every adapter to be asked, and its probe too: no copy is left of those that had it."""
        for record in list(self._records.values()):
            if record.live is None and record.intent is None:
                continue
            probed = None if record.probed is None else record.probed.begin_again()
            self._records.put(replace(record, recheck=record.recheck or Recheck.ASK, probed=probed))
        self._records.flush()

    def _recheck_all(self, recheck: Recheck) -> None:
        """Mark every adapter to be asked or sent again, and forget failures that another base may remove."""
        for record in list(self._records.values()):
            failure = record.failure
            if failure is not None and failure.cause in _CAUSES_OF_THE_BASE:
                failure = None
            exists = record.live is not None or record.intent is not None
            self._records.put(replace(record, failure=failure, recheck=recheck if exists else record.recheck))

    def _recheck_under_way(self) -> None:
        """Mark adapters with a write under way to be asked once they are in service.

        They may have loaded before the new copies came.
        """
        for record in list(self._records.values()):
            under_way = record.live is not None and record.live.status.in_transition
            if record.recheck is None and (under_way or record.intent is not None):
                self._records.put(replace(record, recheck=Recheck.ASK))

    # --- the sample

    def _sample(self) -> Literal[Recheck.ASK, Recheck.SEND, False] | None:
        """Ask a few adapters a few times each, and return what all adapters need.

        ASK: some are lost. SEND: some copies have them and others do not, so that an answer proves nothing.
        False: all answer. None: no adapter could be asked.
        """
        askable = [record for record in self._records.values() if self._is_askable(record)]
        if not askable:
            # The adapters that exist have failed or have a write under way: the next run asks them.
            return None if any(record.live is not None for record in self._records.values()) else False
        # New copies lose what was loaded before them, so whatever is lost is among the oldest.
        askable.sort(key=lambda record: (record.changed_at or 0.0, record.component))
        sample = [record.component for record in askable[:_SAMPLE_ADAPTERS]]
        answers = self._ask_all(sample)
        lost = [component for component in sample if False in answers[component]]
        if len(lost) >= min(2, len(sample)):
            return Recheck.SEND if any(True in answers[component] for component in lost) else Recheck.ASK
        for component in lost:
            # A single one may have a fault of its own.
            self._records.put(replace(self._records[component], recheck=Recheck.ASK))
        return False if any(answers.values()) else None

    def _is_askable(self, record: AdapterRecord) -> bool:
        """Return True if an adapter should answer: it is wanted, in service and without a failure."""
        return (
            record.component in self._desired.wanted
            and record.live is not None
            and record.live.status is Status.IN_SERVICE
            and record.owned == record.live.created
            and record.serving is not None
            and (record.intent, record.recheck) == (None, None)
            and (record.failure is None or not record.failure.artifact.same_as(record.serving))
        )

    def _ask_all(self, components: list[str]) -> dict[str, set[bool]]:
        """Ask adapters side by side, and renew the lease meanwhile: answers may take longer than it lasts."""
        for component in components:
            self._pool.begin(component, partial(self._ask, component))
        answers: dict[str, set[bool]] = {}
        while self._pool:
            answers |= self._pool.take_ended(seconds=1.0)
            self._session.renew()
        return answers

    def _ask(self, component: str) -> set[bool]:
        """Ask one adapter as often as the copies need it; return whether the copies have it."""
        clock, endpoint = self._session.clock, self._session.target.endpoint
        began, known = clock.now(), set()
        requests = max(_LEAST_SAMPLE_REQUESTS, requests_for(self._session.fleet.base_copies))
        for request in range(requests):
            if request and clock.now() - began > _SAMPLE_SECONDS:
                break
            try:
                problem = self._service.ask(
                    component, endpoint, self._desired.wanted[component].smoke or ANY_REQUEST
                )
            except Exception as error:  # An error with one adapter is no sign of new copies.
                self._report_trouble(f"{component} could not be asked: {text_of(error)}")
                break
            known.add(problem is None or not lacks_adapter(problem))
        return known
