"""How a fleet is: the state of each adapter, from the registry alone."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from adapter_fleet.fleet.planning.context import PlanContext
from adapter_fleet.fleet.planning.decide import Decision, Step, decide
from adapter_fleet.fleet.planning.guards import count_deletions
from adapter_fleet.fleet.planning.observe import new_record
from adapter_fleet.fleet.planning.pins import apply_pins
from adapter_fleet.fleet.planning.settle import settle
from adapter_fleet.fleet.state.generations import (
    Generation,
    Outcome,
    Source,
    active_generation,
    undone_number,
)
from adapter_fleet.fleet.state.orders import Order, OrderKind
from adapter_fleet.fleet.state.records import AdapterRecord, FleetRecord, Write
from adapter_fleet.fleet.state.registry import Registry
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter, DesiredFleet


class Group(StrEnum):
    """What a state comes to."""

    FAILED = "failed"
    PENDING = "pending"
    IN_SERVICE = "in service"
    ORPHAN = "orphan"
    """It carries the fleet's tag, and no manifest wants it."""


@dataclass(frozen=True, kw_only=True)
class AdapterState:
    """One adapter, in the words of `adapters status`.

    version:
        What serves, None if nothing does.
    since:
        When that began, or when the failure or the write did.
    retry_at:
        When a failed one is tried again by itself.
    settled:
        Whether nothing more comes by itself, as far as a deployment waits for it.
    pinned:
        Whether someone had it rolled back.
    artifact:
        What `version` is a short name of.
    earlier:
        Versions that served before and that the manifest does not name now, the newest first.
    """

    name: str
    component: str
    group: Group
    state: str
    version: str | None
    since: float | None
    reason: str | None = None
    retry_at: float | None = None
    settled: bool = True
    pinned: bool = False
    artifact: Artifact | None = None
    earlier: tuple[Artifact, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Overview:
    """A fleet at one moment.

    newest, active:
        The newest generation, and the one that is in force: another one after a refusal.
    rejected:
        The newest generation that failed or was refused, unless one came after it that is not just to take
        it back.
    adapters:
        Those that failed first, then those that are pending, each by name.
    """

    fleet: FleetRecord
    newest: Generation
    active: Generation
    rejected: Generation | None
    adapters: tuple[AdapterState, ...]
    orders: tuple[Order, ...]
    at: float

    @property
    def counts(self) -> Mapping[Group, int]:
        """How many adapters are in each group."""
        return Counter(adapter.group for adapter in self.adapters)

    @property
    def settled(self) -> bool:
        """Whether nothing more comes by itself. A generation that failed is not worked on any more."""
        if self.newest.outcome is Outcome.FAILED:
            return True
        return (
            self.newest.outcome is not Outcome.OPEN
            and not any(order.kind in (OrderKind.RETRY, OrderKind.PRUNE) for order in self.orders)
            and all(adapter.settled for adapter in self.adapters)
        )

    @property
    def converged(self) -> bool:
        """Whether everything is as the manifest wants it."""
        return (
            self.settled
            and self.newest.outcome is Outcome.CONVERGED
            and self.manifest_not_in_force is None
            and all(adapter.group in (Group.IN_SERVICE, Group.ORPHAN) for adapter in self.adapters)
        )

    @property
    def manifest_not_in_force(self) -> str | None:
        """Where in S3 the manifest is that failed or was refused; None where S3 has what is in force."""
        if self.rejected is None:
            return None
        rejected, active = self.rejected.request, self.active.request
        if (
            rejected.manifest_version is None
            or rejected.target.manifest != self.newest.request.target.manifest
        ):
            return None
        # What takes a manifest back by itself keeps the version of that, so that it is not taken in again.
        another = active is rejected or active.source is Source.UNDO
        if not another and active.manifest_version == rejected.manifest_version:
            return None
        return rejected.target.manifest


def overview(registry: Registry, now: float) -> Overview | None:
    """Read how a fleet is, None while nothing was ever asked of it."""
    fleet = registry.fleet()
    newest = registry.generation(fleet.generation) if fleet is not None else None
    if fleet is None or newest is None:
        return None
    active = active_generation(newest, registry.generation) or newest
    records, orders = registry.records(), registry.orders()
    return Overview(
        fleet=fleet,
        newest=newest,
        active=active,
        rejected=_rejected(newest, registry),
        adapters=states(
            records,
            wanted(registry, active),
            orders,
            fleet,
            active,
            now,
            undone=undone_number(active, registry.generation),
        ),
        orders=tuple(orders),
        at=now,
    )


def _rejected(newest: Generation, registry: Registry) -> Generation | None:
    generation: Generation | None = newest
    while generation is not None and generation.outcome not in (Outcome.FAILED, Outcome.REFUSED):
        takes_back = generation.undo or generation.request.source is Source.UNDO
        if not takes_back and generation.outcome is not Outcome.SUPERSEDED:
            return None
        generation = registry.generation(generation.number - 1)
    return generation


def wanted(registry: Registry, generation: Generation) -> DesiredFleet:
    """Return what a generation wants; nothing, where it is a deletion."""
    if generation.request.source is Source.DELETION:
        return DesiredFleet()
    return registry.desired(generation.number)


def states(
    records: Mapping[str, AdapterRecord],
    desired: DesiredFleet,
    orders: Iterable[Order],
    fleet: FleetRecord,
    generation: Generation,
    now: float,
    *,
    undone: int | None = None,
) -> tuple[AdapterState, ...]:
    """Return the state of every adapter that is wanted or still there; `undone` as in PlanContext."""
    orders = list(orders)
    context = PlanContext.of(
        generation.request.target,
        now=now,
        generation=generation.number,
        foreign=fleet.foreign,
        orders=orders,
        deletes=True,
        undone=undone,
    )
    wants = apply_pins(desired.adapters, orders, records)
    if generation.changes is None and generation.outcome is Outcome.OPEN:
        # What its guard will count, should it pass.
        spares = generation.spares_adopted(converged=fleet.converged > 0)
        target, number = generation.request.target, generation.number
        records = {
            **records,
            **count_deletions(records, wants, target, generation=number, spares_adopted=spares),
        }
    plain = {adapter.component: adapter for adapter in desired.adapters}
    retried = {order.component for order in orders if order.kind is OrderKind.RETRY}
    found = []
    for component in records.keys() | wants.keys():
        want = wants.get(component)
        record, _ = settle(records.get(component) or new_record(component, want), want, context)
        decision = decide(record, want, context)
        if decision.step is Step.FORGET or (want is None and decision.step is Step.FOREIGN):
            continue
        state = _state(record, want, decision, waits=component in retried)
        state = replace(state, artifact=record.serving, earlier=_earlier(record, plain.get(component)))
        if want is not None and want != plain[component]:
            state = _as_pinned(state, plain[component])
        found.append(state)
    order = list(Group)
    return tuple(sorted(found, key=lambda state: (order.index(state.group), state.name)))


def _state(
    record: AdapterRecord, want: DesiredAdapter | None, decision: Decision, *, waits: bool
) -> AdapterState:
    name = want.name if want is not None else record.name or record.component
    version = record.serving.version if record.serving is not None else None
    if decision.step is Step.KEEP:
        return AdapterState(
            name=name,
            component=record.component,
            group=Group.IN_SERVICE,
            state="in service",
            version=version,
            since=record.changed_at,
            reason=record.drifted,
        )
    if decision.step is Step.ORPHAN and want is None:
        return AdapterState(
            name=name,
            component=record.component,
            group=Group.ORPHAN,
            state="orphan",
            version=version,
            since=record.owned,
            reason=f"{decision.why}; 'adapters prune {name}' deletes it",
        )
    if decision.step.fails and not waits:
        return _failed_state(name, record, want, decision, version)
    return AdapterState(
        name=name,
        component=record.component,
        group=Group.PENDING,
        state=_doing(record, decision),
        version=version,
        since=record.intent.at if record.intent is not None else None,
        reason=decision.why or record.drifted,
        settled=False,
    )


def _failed_state(
    name: str, record: AdapterRecord, want: DesiredAdapter | None, decision: Decision, version: str | None
) -> AdapterState:
    failure = record.failure if decision.step is Step.FAILED else None
    reason = failure.reason if failure is not None else decision.why
    if failure is not None and want is not None and version is not None and version != want.artifact.version:
        reason = f"{want.artifact.version}: {reason}"
    return AdapterState(
        name=name,
        component=record.component,
        group=Group.FAILED,
        state=decision.step,
        version=version,
        since=failure.at if failure is not None else None,
        reason=reason or None,
        retry_at=decision.until,
        # A stuck one is looked at now and then; nobody can do more, or waits for it.
        settled=failure is None or failure.final,
    )


def _earlier(record: AdapterRecord, plain: DesiredAdapter | None) -> tuple[Artifact, ...]:
    declared = None if plain is None else plain.artifact
    return tuple(version for version in record.versions if not version.same_version_as(declared))


_WORDS = {
    Step.CREATE: "creating",
    Step.UPDATE: "updating",
    Step.DELETE: "deleting",
    Step.HOLD: "deleting",
    Step.CLAIM: "claiming",
    Step.RELEASE: "releasing",
    Step.RETAG: "tagging",
}
_WRITE_WORDS = {Write.CREATE: "creating", Write.UPDATE: "updating", Write.DELETE: "deleting"}


def _doing(record: AdapterRecord, decision: Decision) -> str:
    if decision.step.fails:
        return "retrying"
    if decision.restores:
        return "restoring"
    if record.intent is not None:
        return _WRITE_WORDS[record.intent.write]
    if decision.step is Step.WAIT and record.live is not None:
        return record.live.status.lower()
    return _WORDS.get(decision.step, "checking")


def _as_pinned(state: AdapterState, plain: DesiredAdapter) -> AdapterState:
    note = f"rolled back from {plain.artifact.version}"
    return replace(state, pinned=True, reason=f"{note}; {state.reason}" if state.reason else note)
