"""How far a generation is: its counts, its failures, and what is left to do."""

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from adapter_fleet.common.bounded_text import bounded
from adapter_fleet.common.counts import noun_of
from adapter_fleet.fleet.planning.decide import Decision, Standing, Step
from adapter_fleet.fleet.state.failures import Cause
from adapter_fleet.fleet.state.fleet_settings import FailureLimit
from adapter_fleet.fleet.state.generations import Generation, Outcome, Source
from adapter_fleet.fleet.state.records import AdapterRecord
from adapter_fleet.manifest.desired import DesiredAdapter

_MAX_REASONS = 20
_SHOWN = 5
_REASON_BYTES = 1000
"""Of all reasons, so that what helps is not cut off (`MAX_ERROR_BYTES`)."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a generation is, by the decision and the record of each component.

    skipped:
        Components that may not be read. The pass leaves them alone.
    deleting:
        True if the whole fleet is being deleted.
    """

    decisions: Mapping[str, Decision]
    records: Mapping[str, AdapterRecord]
    wanted: Mapping[str, DesiredAdapter]
    skipped: Collection[str] = ()
    deleting: bool = False

    # --- failures

    def has_failed(self, component: str) -> bool:
        """Return True if a component has failed for good.

        A record that cannot be read does not count: a rollback would not mend it.
        """
        decision, record = self.decisions.get(component), self.records.get(component)
        final = record is not None and (record.failure is None or record.failure.final)
        failed = decision is not None and decision.step.fails and final
        return failed and not self._is_unreadable(component)

    def reasons(self, components: Iterable[str]) -> list[tuple[str, str]]:
        """Return the name of each of these adapters, and why it fails."""
        return [(self._name(component), self._reason(component)) for component in components]

    @property
    def reason_of_converged(self) -> str | None:
        """What a generation that has converged did not reach; None if it reached all."""
        failed = [component for component in self.wanted if self.decisions[component].step.fails]
        reasons = [f"{name}: {reason}" for name, reason in self.reasons(failed[:_MAX_REASONS])]
        if self.asleep:
            reasons.append(
                f"{self.asleep} wait for a copy of the base model, which has none; the next one is asked"
                " whether it has them"
            )
        if self.deleting and self.orphans:
            reasons.append(f"left behind with the fleet's tag: {', '.join(sorted(self.orphans))}")
        return "; ".join(reasons) or None

    @property
    def reason_of_incomplete_deletion(self) -> str | None:
        """Why a deletion fails; None if it leaves nothing unread, or if this is no deletion."""
        left = [
            f"{component} is left: {record.unreadable}"
            for component, record in self.records.items()
            if record.unreadable is not None and record.live is not None
        ]
        if not self.deleting or not left:
            return None
        return "; ".join(filter(None, [*left[:_MAX_REASONS], self.reason_of_converged]))

    def _name(self, component: str) -> str:
        record = self.records.get(component)
        return record.name if record is not None and record.name else component

    def _reason(self, component: str) -> str:
        record = self.records.get(component)
        if record is not None and record.failure is not None:
            return record.failure.reason
        return self.decisions[component].why

    # --- whether anything is left to do

    @property
    def waits_for_components(self) -> bool:
        """True if the generation waits for components that have no step now."""
        if self.deleting and any(
            decision.step is not Step.ORPHAN and not self._is_unreadable(component)
            for component, decision in self.decisions.items()
        ):
            return True  # a deletion is done when nothing is left that is known to be the fleet's own
        return any(
            decision.step in (Step.FAILED, Step.FOREIGN) and not self._is_final(component)
            for component, decision in self.decisions.items()
        )

    def _is_final(self, component: str) -> bool:
        """Return True if the generation need not wait for another attempt at a component."""
        if component in self.skipped or self._is_unreadable(component):
            return True
        record = self.records.get(component)
        return record is not None and record.failure is not None and record.failure.final

    def _is_unreadable(self, component: str) -> bool:
        record = self.records.get(component)
        return record is not None and record.unreadable is not None

    def has_begun(self, components: Iterable[str]) -> bool:
        """Return True if one of these components serves what is wanted, or if a write may be under way."""
        found = ((self.records[component], self.wanted.get(component)) for component in components)
        return any(
            record.intent is not None or (want is not None and want.artifact.same_as(record.serving))
            for record, want in found
        )

    # --- counts

    @property
    def waiting(self) -> list[str]:
        """The names of the first adapters that are pending."""
        pending = (name for name, decision in self.decisions.items() if not decision.step.settled)
        return [self._name(component) for component in itertools.islice(pending, _SHOWN)]

    @property
    def asleep(self) -> int:
        """The number of adapters that wait for a copy of the base model."""
        return sum(decision.step is Step.ASLEEP for decision in self.decisions.values())

    @property
    def misidentified(self) -> int:
        """The number of adapters in whose place another answers."""
        return sum(1 for _ in self._failed_by(Cause.IDENTITY))

    @property
    def lacks_capacity(self) -> bool:
        """True if an adapter failed for want of room, or of a copy that answers."""
        return any(True for _ in self._failed_by(Cause.CAPACITY))

    def _failed_by(self, cause: Cause) -> Iterator[str]:
        for component, decision in self.decisions.items():
            record = self.records.get(component)
            failure = None if record is None else record.failure
            if decision.step is Step.FAILED and failure is not None and failure.cause is cause:
                yield component

    @property
    def orphans(self) -> list[str]:
        """The components that carry the fleet's tag and that no manifest wants."""
        return [
            name
            for name, decision in self.decisions.items()
            if decision.step is Step.ORPHAN and name not in self.wanted and self.records[name].adopted
        ]

    @property
    def counts(self) -> dict[str, int]:
        """The counts of the generation, by the name of its field."""
        wanted = [self.decisions[name] for name in self.wanted if name in self.decisions]
        kept = sum(decision.step is Step.KEEP for decision in wanted)
        failed = sum(decision.step.standing is Standing.FAILS for decision in self.decisions.values()) + sum(
            decision.step.standing is Standing.APART for decision in wanted
        )
        leaving = sum(
            1
            for name, decision in self.decisions.items()
            if name not in self.wanted and not decision.step.settled
        )
        return {
            "desired": len(self.wanted),
            "in_service": kept,
            "failed": failed,
            "pending": len(self.wanted) - kept - sum(decision.step.fails for decision in wanted) + leaving,
            "orphans": len(self.orphans),
        }


def exceeds_failure_limit(generation: Generation, failed: int) -> bool:
    """Return True if more of the adapters that an open generation changes have failed than it allows."""
    if generation.outcome is not Outcome.OPEN or generation.exempt or generation.changes is None:
        return False
    return failed > _allowed_failures(generation)


def failure_reason(generation: Generation, failed: Sequence[tuple[str, str]]) -> str:
    """Return why a generation exceeds its failure limit; `failed` are names and reasons in order."""
    shown = failed[:_SHOWN]
    reasons = "; ".join(f"{name}: {bounded(reason, _REASON_BYTES // len(shown))}" for name, reason in shown)
    changed = f"{generation.changes} {noun_of(generation.changes or 0, 'adapter')}"
    more = f"; and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
    return (
        f"{len(failed)} of the {changed} that this changes failed, and 'failure_policy' allows"
        f" {_allowed_failures(generation)}: {reasons}{more}; repair or leave out what failed, and"
        " deploy again; or let more fail with 'failure_policy'"
    )


def _allowed_failures(generation: Generation) -> int:
    request, changes = generation.request, generation.changes or 0
    limit = request.target.settings.failures
    if limit is not None or request.target.manifest is None:
        return (limit or FailureLimit()).allowed(changes)
    # Many write a manifest in S3: nobody's adapter undoes a change of the others. A deployment that most
    # adapters fail is wrong itself, such as that of another base model.
    return changes if request.source is Source.OBJECT else max(1, changes // 2)
