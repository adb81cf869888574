"""Checks that the copies of the base model still have the adapters.

SageMaker does not document whether new copies of a base have the adapters of the old ones. So adapters are
asked after every change that may bring new copies, and sent again if they are missing.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from enum import StrEnum
from functools import partial
from typing import Literal

from adapter_fleet.common.aws_errors import lacks_adapter
from adapter_fleet.common.bounded_text import text_of
from adapter_fleet.common.call_pool import CallPool
from adapter_fleet.fleet.planning.proof import is_proven, probe_of
from adapter_fleet.fleet.reconcile.record_cache import RecordCache
from adapter_fleet.fleet.reconcile.session import DRIFT_TRIGGER, SCALING_TRIGGER, Session
from adapter_fleet.fleet.state.components import ObservedBase, Status
from adapter_fleet.fleet.state.configuration import READ_RATE
from adapter_fleet.fleet.state.failures import Cause
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.probe_check import requests_for
from adapter_fleet.fleet.state.records import AdapterRecord, Recheck
from adapter_fleet.fleet.state.sagemaker_port import ModelFailedError
from adapter_fleet.fleet.steps.smoke_requests import ANY_REQUEST, serving_of
from adapter_fleet.manifest.desired import DesiredAdapter, Probe, new_nonce

_SAMPLE_ADAPTERS = 3
_LEAST_SAMPLE_REQUESTS = 4
"""The number of copies may be older than the requests."""
_SAMPLE_SECONDS = 60.0
"""Requests that reach each of eleven copies take about this long at a second each."""

_LOOKS_FOR_COPIES = 4
"""Application Auto Scaling may act some time after its alarm, or not at all."""
_MOST_LOOKS_FOR_COPIES = 120
"""An hour. The longest start of a copy is shorter."""
_LOOK_SECONDS = 30.0
_CALM_SECONDS = 720.0
"""An alarm that goes on ringing sends no second event, but scales again after a cool-down of five minutes."""
_CALM_LOOK_SECONDS = 120.0

_CAUSES_OF_THE_BASE = frozenset({Cause.ARTIFACT, Cause.SMOKE, Cause.IDENTITY, Cause.UPDATE_REFUSED})
"""Causes that another base model may remove."""


class Answer(StrEnum):
    """Who answered a request of the sample."""

    ITSELF = "itself"
    """The adapter; without a probe, somebody who knows it."""
    ANOTHER = "another"
    """Another than the adapter answered its probe."""
    NOBODY = "nobody"
    """The copy does not have the adapter."""


class BaseCheck:
    """Finds out whether the base component has new copies, and marks the adapters that they may lack.

    steady:
        True if the base was described in service, with a copy, and as the model that its adapters were last
        checked on. Only then does a drift check ask for probes.
    looks_again:
        True if the copies are to be looked at once more.
    """

    def __init__(self, session: Session, records: RecordCache, executor: Executor) -> None:
        self._session, self._records = session, records
        self._pool: CallPool[set[Answer]] = CallPool(executor)
        self.steady = self.looks_again = False
        self._updating = self._doubtful = self._doubted = False

    @property
    def next_look(self) -> float | None:
        """The seconds until the base is looked at again for new copies; None if it need not be."""
        session = self._session
        scaling = session.pass_input.trigger == SCALING_TRIGGER
        passes = session.pass_input.passes + 1
        if session.deleting or passes >= _MOST_LOOKS_FOR_COPIES:
            return None
        coming = self._updating and (scaling or session.fleet.unchecked_copies > 0)
        if coming or (passes < _LOOKS_FOR_COPIES and (scaling or self._doubtful)):
            return _LOOK_SECONDS
        calm = session.clock.now() - session.fleet.copies_changed >= _CALM_SECONDS
        return _CALM_LOOK_SECONDS if scaling and not calm else None

    def run(self, observed: ObservedBase, wanted: Mapping[str, DesiredAdapter]) -> None:
        """Mark the adapters that the base may have lost, by a description of it."""
        self.note_copies(observed)
        if observed.live.status is not Status.IN_SERVICE or not observed.copies:
            return  # nobody answers, or nobody knows which model does: the next run asks
        self._recheck_unasked()
        self.steady = self._session.fleet.base_version in (None, observed.version)
        if not self.steady:
            self._recheck_for_another_base()
        elif self._session.fleet.checked_copies == 0:
            self._recheck_for_first_copy()
        elif self._session.fleet.base_version is None:
            # Whatever exists came before the base was first described in service.
            self._recheck_all(Recheck.ASK)
        elif self._may_have_new_copies(observed):
            self._recheck_under_way()
            needed = self._sample(wanted)
            if needed is None:
                return  # none could be asked; the next run asks again
            if needed:
                self._recheck_all(needed)
        elif self._waits:
            return  # whether the base was modified is for the next run that looks
        self._records.flush()
        self._session.update_fleet(
            base_modified=observed.live.modified,
            base_version=observed.version,
            checked_copies=observed.running,
            hosting=self._session.target.hosting,
        )

    def doubt(self) -> None:
        """Look at the copies again, once: an adapter in service did not answer a retry.

        Its copy may have lost the others, too.
        """
        self.looks_again = self.looks_again or not self._doubted
        self._doubted = True

    def join(self) -> None:
        """Wait until no adapter is asked any more."""
        self._pool.join()

    def note_copies(self, base: ObservedBase) -> None:
        """Note how many copies there are. Those that come beyond the fewest that a pass saw are new."""
        fleet = self._session.fleet
        self._updating = base.live.status is Status.UPDATING
        fewest = base.running if base.copies else 0
        if self._updating or fleet.base_copies != base.copies:
            self._session.update_fleet(base_copies=base.copies, copies_changed=self._session.clock.now())
        if fewest < (fleet.base_copies if fleet.checked_copies is None else fleet.checked_copies):
            self._session.update_fleet(checked_copies=fewest)

    @property
    def _waits(self) -> bool:
        """True for a pass that only waits for copies."""
        pass_input = self._session.pass_input
        return pass_input.trigger == SCALING_TRIGGER and pass_input.passes > 0

    def _may_have_new_copies(self, base: ObservedBase) -> bool:
        """Return True if the base may have new copies though its version is unchanged.

        Scaling brings new copies, and so does an update that was rolled back, or a deployment that changes
        the instance type or the number of copies. A drift check always looks, as SageMaker replaces copies
        by itself, and so does a look that an event or a lost adapter started. A pass that only waits for
        copies goes by their number: requests are load, too, which may keep copies from ending.
        """
        fleet, pass_input = self._session.fleet, self._session.pass_input
        return (
            pass_input.trigger == DRIFT_TRIGGER
            or pass_input.starts_look
            or self._doubted
            or fleet.unchecked_copies > 0
            or (not self._waits and fleet.base_modified not in (None, base.live.modified))
            or fleet.hosting not in (None, self._session.target.hosting)
        )

    # --- which adapters are checked

    def _recheck_unasked(self) -> None:
        """Mark adapters whose records can be read again and could not when all were marked."""
        unasked = self._session.fleet.unasked
        known = {name: self._records[name] for name in unasked if name in self._records}
        for record in known.values():
            if record.unreadable is None:
                self._records.put(replace(record, recheck=record.recheck or Recheck.ASK))
        still = [name for name, record in known.items() if record.unreadable is not None]
        if still != list(unasked):
            self._records.flush()
            self._session.update_fleet(unasked=still)

    def _note_unasked(self) -> None:
        """Note the adapters that are not marked, as their records cannot be read."""
        unread = {name for name, record in self._records.items() if record.unreadable is not None}
        self._session.update_fleet(unasked=sorted(unread.union(self._session.fleet.unasked)))

    def _recheck_for_another_base(self) -> None:
        self._recheck_all(Recheck.ASK)
        for record in list(self._records.values()):
            if record.probed is not None:
                self._records.put(replace(record, probed=replace(record.probed.begin_again(), rebased=True)))
        generation = self._session.generation
        if generation.outcome is Outcome.OPEN and generation.changes is None:
            self._session.update_generation(rebased=True)

    def _recheck_for_first_copy(self) -> None:
        """Mark every adapter to be asked, and its probe too: no copy is left of those that had it."""
        for record in list(self._records.values()):
            if record.live is None and record.intent is None:
                continue
            failure = record.failure
            if failure is not None and failure.cause is Cause.CAPACITY:
                failure = None  # there was no copy
            self._records.put(replace(record.to_be_asked(), failure=failure))
        self._note_unasked()

    def _recheck_all(self, recheck: Recheck) -> None:
        """Mark every adapter to be asked or sent again, and forget failures that another base may remove."""
        for record in list(self._records.values()):
            failure = record.failure
            if failure is not None and failure.cause in _CAUSES_OF_THE_BASE:
                failure = None
            exists = record.live is not None or record.intent is not None
            self._records.put(replace(record, failure=failure, recheck=recheck if exists else record.recheck))
        self._note_unasked()

    def _recheck_under_way(self) -> None:
        """Mark adapters with a write under way to be asked once they are in service.

        They may have loaded before the new copies came.
        """
        for record in list(self._records.values()):
            under_way = record.live is not None and record.live.status.in_transition
            if record.recheck is None and (under_way or record.intent is not None):
                self._records.put(replace(record, recheck=Recheck.ASK))

    # --- the sample

    def _sample(
        self, wanted: Mapping[str, DesiredAdapter]
    ) -> Literal[Recheck.ASK, Recheck.SEND, False] | None:
        """Ask a few adapters a few times each, and return what all adapters need.

        ASK: some are lost. SEND: some copies have them and others do not, so that an answer proves nothing.
        False: at most one is lost. None: one could not be asked, or another answered a probe, so that the
        pass asks the probes in full. After None the next run takes a sample again.
        """
        askable = [
            record
            for component, record in self._records.items()
            if component in wanted and _is_askable(record)
        ]
        if not askable:
            # The adapters that exist have failed or have a write under way: the next run asks them.
            return None if any(record.live is not None for record in self._records.values()) else False
        # New copies lose what was loaded before them, so whatever is lost is among the oldest.
        askable.sort(key=lambda record: (record.changed_at or 0.0, record.component))
        sample = [record.component for record in askable[:_SAMPLE_ADAPTERS]]
        answers = self._ask_all(wanted[component] for component in sample)
        for component in sample:
            self._records.put(replace(self._records[component], asked_at=self._session.clock.now()))
        lost = [component for component in sample if Answer.NOBODY in answers[component]]
        if len(lost) >= min(2, len(sample)):
            known = any(answers[component] - {Answer.NOBODY} for component in lost)
            return Recheck.SEND if known else Recheck.ASK
        for component in lost:
            # A single one may have a fault of its own.
            self._records.put(replace(self._records[component], recheck=Recheck.ASK))
        swapped = [component for component in sample if Answer.ANOTHER in answers[component]]
        if swapped:
            # A single one may give a wrong answer now and then.
            self._doubtful = True
            self._probe_again(self._records.values() if len(swapped) > 1 else [self._records[swapped[0]]])
            return None
        return False if all(answers.values()) else None

    def _probe_again(self, records: Iterable[AdapterRecord]) -> None:
        """Let the pass ask these adapters for their probes."""
        for record in list(records):
            if record.probed is not None and record.probed.probe is not None:
                self._records.put(replace(record, probed=record.probed.begin_again()))
        self._records.flush()

    def _ask_all(self, wanted: Iterable[DesiredAdapter]) -> dict[str, set[Answer]]:
        """Ask adapters side by side, and renew the lease meanwhile: answers may take longer than it lasts."""
        for want in wanted:
            self._pool.begin(want.component, partial(self._ask, self._records[want.component], want))
        answers: dict[str, set[Answer]] = {}
        while self._pool:
            answers |= self._pool.take_ended(seconds=1.0)
            self._session.renew()
        return answers

    def _ask(self, record: AdapterRecord, want: DesiredAdapter) -> set[Answer]:
        """Ask one adapter as often as the copies need it; return who answered."""
        clock, began, answers = self._session.clock, self._session.clock.now(), set()
        # Only a probe that the adapter has answered rightly before shows who answers.
        probe = probe_of(serving_of(record), want) if is_proven(record, want) else None
        requests = max(_LEAST_SAMPLE_REQUESTS, requests_for(self._session.fleet.base_copies))
        for request in range(requests):
            if request and clock.now() - began > _SAMPLE_SECONDS:
                break
            # The adapters of a sample share the rate.
            clock.sleep(began + request * _SAMPLE_ADAPTERS / READ_RATE - clock.now())
            try:
                answers.add(self._answer(want, probe))
            except Exception as error:  # An error with one adapter is no sign of new copies.
                self._session.telemetry.trouble(f"{record.component} could not be asked: {text_of(error)}")
                break
        return answers

    def _answer(self, want: DesiredAdapter, probe: Probe | None) -> Answer:
        """Ask one copy: for the adapter's probe, or for anything where it has none."""
        service, endpoint = self._session.service, self._session.target.endpoint
        if probe is None:
            problem = service.ask(want.component, endpoint, want.smoke or ANY_REQUEST)
            lacks = problem is not None and lacks_adapter(problem)
            return Answer.NOBODY if lacks else Answer.ITSELF
        try:
            answer = service.complete(want.component, endpoint, probe.request(new_nonce()))
        except ModelFailedError as error:
            if lacks_adapter(str(error)):
                return Answer.NOBODY
            raise
        return Answer.ITSELF if answer.begins_with(probe.answer) else Answer.ANOTHER


def _is_askable(record: AdapterRecord) -> bool:
    """Return True if a wanted adapter should answer: it is in service and without a failure."""
    return (
        record.live is not None
        and record.live.status is Status.IN_SERVICE
        and not record.live.doubtful  # a listing left it out: somebody may have deleted it
        and record.owned == record.live.created
        and record.serving is not None
        and (record.intent, record.recheck) == (None, None)
        and (record.failure is None or not record.failure.artifact.same_as(record.serving))
    )
