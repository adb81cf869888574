"""How far the generation is: its counts, its failures, and whether anything is left to do."""

from collections.abc import Iterator
from dataclasses import replace

from adapter_fleet.fleet.planning.decide import Step
from adapter_fleet.fleet.planning.too_many_failures import exceeds_failure_limit, failure_reason
from adapter_fleet.fleet.reconcile.desired_state import DesiredState
from adapter_fleet.fleet.reconcile.observation import Observation
from adapter_fleet.fleet.reconcile.polling import Polling
from adapter_fleet.fleet.reconcile.record_cache import RecordCache
from adapter_fleet.fleet.reconcile.session import Session
from adapter_fleet.fleet.reconcile.work_queue import WorkQueue
from adapter_fleet.fleet.state.failures import Cause
from adapter_fleet.fleet.state.generations import Source
from adapter_fleet.fleet.state.sagemaker_port import SageMakerPort

WRITE_OPERATIONS = frozenset(
    {
        "CreateInferenceComponent",
        "UpdateInferenceComponent",
        "DeleteInferenceComponent",
        "AddTags",
        "DeleteTags",
    }
)
READ_OPERATIONS = frozenset({"ListInferenceComponents", "DescribeInferenceComponent", "ListTags"})

_SAVE_SECONDS = 5.0
_TIMEOUT_MARGIN_SECONDS = 10.0
_MAX_REASONS = 20


class Progress:
    """Counts what the generation has reached, and saves the counts.

    over_limit:
        True if more of the changed adapters have failed than the failure policy allows.
    """

    def __init__(
        self,
        session: Session,
        service: SageMakerPort,
        records: RecordCache,
        desired: DesiredState,
        observation: Observation,
        queue: WorkQueue,
        polling: Polling,
    ) -> None:
        self._session, self._service = session, service
        self._records, self._desired, self._observation = records, desired, observation
        self._queue, self._polling = queue, polling
        self.over_limit = False
        self._failing: set[str] = set()
        self._counted_calls = service.calls.copy()
        self._saved_at = session.clock.now()

    # --- failures

    def note_decision(self, component: str) -> None:
        """Count a changed component that has failed for good, and check the failure policy.

        A record that cannot be read does not count: to take this change back would not mend it.
        """
        if component in self._desired.changed and self._has_failed(component):
            self._failing.add(component)
            self.check_limit()
        else:
            self._failing.discard(component)

    def _has_failed(self, component: str) -> bool:
        decision, record = self._queue.decisions.get(component), self._records.get(component)
        final = record is not None and (record.failure is None or record.failure.final)
        failed = decision is not None and decision.step.fails and final
        return failed and not self._is_unreadable(component)

    def forget(self, component: str) -> None:
        """Stop counting a component."""
        self._failing.discard(component)

    def check_limit(self) -> None:
        """Note whether too many of the changed adapters have failed."""
        exceeds = exceeds_failure_limit(self._session.generation, len(self._failing))
        if exceeds and not self.timed_out:
            self.over_limit = True

    @property
    def timed_out(self) -> bool:
        """True if the deployment has ended by timeout, after which no failure rolls it back any more.

        This begins some seconds before the timeout, so that `is_complete` never contradicts it.
        """
        request = self._session.generation.request
        timeout = request.target.settings.timeout_seconds - _TIMEOUT_MARGIN_SECONDS
        return request.source is Source.DEPLOYMENT and self._session.clock.now() - request.at > timeout

    @property
    def failure_reason(self) -> str:
        """Why the generation fails, for the user."""
        failed = [(self._name(component), self._reason(component)) for component in sorted(self._failing)]
        return failure_reason(self._session.generation, failed)

    @property
    def reason_of_converged(self) -> str | None:
        """What a generation that has converged did not reach; None if it reached all."""
        decisions = self._queue.decisions
        failed = [component for component in self._desired.wanted if decisions[component].step.fails]
        reasons = [f"{self._name(name)}: {self._reason(name)}" for name in failed[:_MAX_REASONS]]
        if self.asleep:
            reasons.append(
                f"{self.asleep} wait for a copy of the base model, which has none; the next one is asked"
                " whether it has them"
            )
        if self._session.deleting and self.orphans:
            reasons.append(f"left behind with the fleet's tag: {', '.join(sorted(self.orphans))}")
        return "; ".join(reasons) or None

    @property
    def reason_of_incomplete_deletion(self) -> str | None:
        """Why a deletion fails; None if it leaves nothing unread, or if this is no deletion."""
        left = [
            f"{component} is left: {record.unreadable}"
            for component, record in self._records.items()
            if record.unreadable is not None and record.live is not None
        ]
        if not self._session.deleting or not left:
            return None
        return "; ".join(filter(None, [*left[:_MAX_REASONS], self.reason_of_converged]))

    @property
    def asleep(self) -> int:
        """The number of adapters that wait for a copy of the base model."""
        decisions = self._queue.decisions.values()
        return sum(decision.step is Step.ASLEEP for decision in decisions)

    def _name(self, component: str) -> str:
        record = self._records.get(component)
        return record.name if record is not None and record.name else component

    def _reason(self, component: str) -> str:
        record = self._records.get(component)
        if record is not None and record.failure is not None:
            return record.failure.reason
        return self._queue.decisions[component].why

    # --- whether anything is left to do

    @property
    def waits_for_write(self) -> bool:
        """True if the next write has to wait for one under way, as the service takes one at a time."""
        return self._session.fleet.serial and bool(self._polling.in_flight)

    @property
    def waits_only_for_deletions(self) -> bool:
        """True if everything is done but the deletions, which come last."""
        queue = self._queue
        return bool(queue.held) and not (self._polling.in_flight or queue.has_steps or queue.blocked)

    @property
    def is_unsettled(self) -> bool:
        """True if the generation waits for any component."""
        queue = self._queue
        if self._session.deleting and any(
            decision.step is not Step.ORPHAN and not self._is_unreadable(component)
            for component, decision in queue.decisions.items()
        ):
            return True  # a deletion is done when nothing is left that is known to be the fleet's own
        return bool(
            self._polling.in_flight
            or queue.has_steps
            or queue.held
            or queue.waiting
            or queue.blocked
            or any(
                decision.step in (Step.FAILED, Step.FOREIGN) and not self._is_final(component)
                for component, decision in queue.decisions.items()
            )
        )

    @property
    def is_settled(self) -> bool:
        """True if a listing has shown that nothing is left to do."""
        return not self.is_unsettled and self._observation.complete

    def _is_final(self, component: str) -> bool:
        """Return True if the generation need not wait for another attempt at a component."""
        if component in self._queue.unreadable or self._is_unreadable(component):
            return True
        record = self._records.get(component)
        return record is not None and record.failure is not None and record.failure.final

    def _is_unreadable(self, component: str) -> bool:
        record = self._records.get(component)
        return record is not None and record.unreadable is not None

    @property
    def misidentified(self) -> int:
        """The number of adapters in whose place another answers."""
        return sum(1 for _ in self._failed_by(Cause.IDENTITY))

    @property
    def lacks_capacity(self) -> bool:
        """True if an adapter failed for want of room, or of a copy that answers."""
        return any(True for _ in self._failed_by(Cause.CAPACITY))

    def _failed_by(self, cause: Cause) -> Iterator[str]:
        for component, decision in self._queue.decisions.items():
            record = self._records.get(component)
            failure = None if record is None else record.failure
            if decision.step is Step.FAILED and failure is not None and failure.cause is cause:
                yield component

    # --- counts

    @property
    def orphans(self) -> list[str]:
        """The components that carry the fleet's tag and that no manifest wants."""
        return [
            name
            for name, decision in self._queue.decisions.items()
            if decision.step is Step.ORPHAN
            and name not in self._desired.wanted
            and self._records[name].adopted
        ]

    def count(self) -> None:
        """Bring the counts of the generation up to date."""
        decisions, wanted_names = self._queue.decisions, self._desired.wanted
        wanted = [decisions[name] for name in wanted_names if name in decisions]
        kept = sum(decision.step is Step.KEEP for decision in wanted)
        failed = sum(
            decision.step.fails for decision in decisions.values() if not decision.step.left_alone
        ) + sum(decision.step.left_alone for decision in wanted)
        leaving = sum(
            1
            for name, decision in decisions.items()
            if name not in wanted_names and not decision.step.settled
        )
        calls = self._service.calls - self._counted_calls
        self._counted_calls = self._service.calls.copy()
        generation = self._session.generation
        self._session.generation = replace(
            generation,
            desired=len(wanted_names),
            in_service=kept,
            failed=failed,
            pending=len(wanted_names) - kept - sum(decision.step.fails for decision in wanted) + leaving,
            failures=len(self._failing),
            orphans=len(self.orphans),
            writes=generation.writes + sum(calls[name] for name in WRITE_OPERATIONS),
            reads=generation.reads + sum(calls[name] for name in READ_OPERATIONS),
        )

    def save(self) -> None:
        """Save how far the generation is, every few seconds, and look for a newer one."""
        session, now = self._session, self._session.clock.now()
        session.beat()
        if now - self._saved_at >= _SAVE_SECONDS:
            self._saved_at = now
            self._records.flush()
            session.look_for_newer_generation()
            self.count()
            session.save_generation()
