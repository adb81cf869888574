"""The status of a fleet: the state of each adapter, from the registry alone."""

from collections import Counter
from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial

from adapter_fleet.common.s3_uri import bucket_and_key
from adapter_fleet.fleet.planning.canaries import due
from adapter_fleet.fleet.planning.context import PlanContext
from adapter_fleet.fleet.planning.decide import Decision, Step
from adapter_fleet.fleet.planning.fleet_view import FleetView
from adapter_fleet.fleet.planning.releases import Versions
from adapter_fleet.fleet.planning.settle import is_proven
from adapter_fleet.fleet.state.failures import Cause, Failure
from adapter_fleet.fleet.state.generations import (
    Generation,
    Outcome,
    Source,
)
from adapter_fleet.fleet.state.known_versions import served_versions
from adapter_fleet.fleet.state.records import AdapterRecord, FleetRecord, Order, OrderKind, Write
from adapter_fleet.fleet.state.registry import Registry
from adapter_fleet.fleet.state.routes import Route
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter, DesiredFleet
from adapters_cli.aws.worker_threads import read_each
from adapters_cli.fleets.base_component import BaseState
from adapters_cli.fleets.fleet_lookup import Fleet
from adapters_cli.manifests.stored_manifest import present_version
from adapters_cli.output.errors import NoFleetError

MOST_READ_BY_NAME = 100
"""Records that are read one by one, again and again, while a command waits."""

MENDED_BY_DEPLOYMENT = "another deployment or manifest mends it"
MENDED_BY_ORDER = "'adapters apply --retry NAME' mends it, and so does a drift check with 'repair'"


class Proof(StrEnum):
    """What shows that the declared adapter answers, and nobody else."""

    PROBE = "probe"
    """It answered its probe, on each copy of the base model that the requests reached."""
    WEAKER = "weaker"
    """It has no probe. Its answer to the smoke request differs from the base model's."""
    NOT_DISTINGUISHED = "none"
    """It has no probe, and answers the smoke request as the base model does."""


class StateGroup(StrEnum):
    """The group that an adapter's state belongs to."""

    FAILED = "failed"
    PENDING = "pending"
    IN_SERVICE = "in-service"
    ORPHAN = "orphan"
    """It has the fleet's tag, and no manifest declares it."""


@dataclass(frozen=True, kw_only=True)
class AdapterState:
    """The state of one adapter, as `adapters status` shows it.

    version:
        Short name of the version that serves; None if none does.
    since:
        Start of the state: of the service, the failure or the write.
    retry_at:
        Time of the next automatic retry of a failed adapter.
    cause:
        Why it failed; None if it did not, or if nobody knows.
    settled:
        True if a deployment does not wait for this adapter any more.
    proof:
        What shows that the adapter itself answers; None if nothing was asked.
    asked_at:
        When the fleet last sent it a request; None if it never did.
    pinned:
        True if it was rolled back with `adapters rollback`.
    artifact:
        The version that serves.
    earlier:
        Versions that served before and that the manifest does not declare, newest first.
    percent, beside:
        The share of the callers that it answers, and the component that answers the others, if one does.
    tags:
        As the manifest declares them; without a declaration, as they were last written.
    """

    name: str
    component: str
    group: StateGroup
    state: str
    version: str | None
    since: float | None
    reason: str | None = None
    retry_at: float | None = None
    cause: Cause | None = None
    settled: bool = True
    proof: Proof | None = None
    asked_at: float | None = None
    pinned: bool = False
    artifact: Artifact | None = None
    earlier: tuple[Artifact, ...] = ()
    percent: int = 100
    beside: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def out_of_service(self, state: str, remedy: str, why: str | None = None) -> "AdapterState":
        """Return the state of an adapter that does not serve as declared, and that no pass is to mend."""
        reason = "; ".join(filter(None, (why, remedy.replace("NAME", self.name))))
        return replace(self, group=StateGroup.FAILED, state=state, reason=reason, settled=True)


@dataclass(frozen=True, kw_only=True)
class FleetStatus:
    """The status of a fleet at one moment.

    newest, active:
        The newest generation, and the one in force. They differ after a refusal.
    rejected:
        The newest generation that failed or was refused. None if a later one did more than take it back.
    base:
        The base component, as SageMaker describes it. Nothing is known of it if nobody has looked.
    adapters:
        By group, failed ones first, then by name. Only some if only these were asked for.
    totals:
        The number of adapters in each group, by the fleet's last pass; None if all adapters were read.
    owned:
        Creation times of the components that the fleet is known to own.
    manifest_to_come:
        The version of the manifest in S3 that the fleet has not taken up yet. None if there is none, or if
        nobody has looked: the registry alone does not tell it.
    unreadable_orders:
        Why orders cannot be read, by their keys.
    not_compared:
        Why nobody could compare the adapters in service with SageMaker's components.
    """

    fleet: FleetRecord
    newest: Generation
    active: Generation
    rejected: Generation | None
    base: BaseState = field(default_factory=BaseState)
    adapters: tuple[AdapterState, ...]
    totals: Mapping[StateGroup, int] | None = None
    owned: Mapping[str, float]
    orders: tuple[Order, ...]
    unreadable_orders: Mapping[str, str]
    at: float
    manifest_to_come: str | None = None
    not_compared: str | None = None

    def with_states(self, adapters: Collection[AdapterState]) -> "FleetStatus":
        """Return the status with other states of its adapters, which the totals follow."""
        totals = self.totals
        if totals is not None:
            before, after = (Counter(one.group for one in each) for each in (self.adapters, adapters))
            totals = {group: totals[group] + after[group] - before[group] for group in StateGroup}
        return replace(self, adapters=_in_order(adapters), totals=totals)

    @property
    def counts(self) -> Mapping[StateGroup, int]:
        """Number of adapters in each group."""
        return Counter(adapter.group for adapter in self.adapters) if self.totals is None else self.totals

    @property
    def settled(self) -> bool:
        """True if the fleet changes nothing more by itself. It does not continue a failed generation."""
        if self.manifest_to_come is not None:
            return False
        if self.newest.outcome is Outcome.FAILED:
            return True
        return (
            self.newest.outcome is not Outcome.OPEN
            and not any(order.kind in (OrderKind.RETRY, OrderKind.PRUNE) for order in self.orders)
            and all(adapter.settled for adapter in self.adapters)
        )

    @property
    def converged(self) -> bool:
        """True if every adapter is as the manifest declares it."""
        return (
            self.settled
            and self.base.outage is None
            and self.newest.outcome is Outcome.CONVERGED
            and self.manifest_not_in_force is None
            and all(adapter.group in (StateGroup.IN_SERVICE, StateGroup.ORPHAN) for adapter in self.adapters)
        )

    @property
    def manifest_not_in_force(self) -> str | None:
        """URI of a manifest in S3 that failed or was refused; None if S3 has the manifest in force."""
        if self.rejected is None or self.manifest_to_come is not None:
            return None
        rejected, active = self.rejected.request, self.active.request
        if (
            rejected.manifest_version is None
            or rejected.target.manifest != self.newest.request.target.manifest
        ):
            return None
        # A generation that undoes a manifest keeps its version, so that the fleet does not apply it again.
        another = active is rejected or active.source is Source.UNDO
        if not another and active.manifest_version == rejected.manifest_version:
            return None
        return rejected.target.manifest


def find_status(registry: Registry, now: float, only: Collection[str] | None = None) -> FleetStatus | None:
    """Read the status of a fleet, with all adapters or with `only` these components.

    Returns None before the fleet's first generation.
    """
    fleet = registry.fleet()
    newest = registry.generations.find(fleet.generation) if fleet is not None else None
    if fleet is None or newest is None:
        return None
    active = in_force(registry, newest)
    desired, totals = desired_by(registry, active), None
    routes, unread_routes, _ = registry.routes.read()
    orders, unreadable_orders = registry.orders.read()
    if only is None or routes or unread_routes:
        records = registry.records.all()
    else:
        found = read_each(only, registry.records.find)
        records = {component: record for component, record in found.items() if record is not None}
        adapters = (adapter for adapter in desired.adapters if adapter.component in found)
        desired = DesiredFleet(adapters=tuple(adapters))
    live = {route.live.component for route in routes.values()}
    kept = set(only or ()) - live
    states = _states(
        records, desired, orders, routes, fleet, active, now, kept=kept, unread_routes=unread_routes
    )
    if only is not None:
        # Of a version that answers, the declared one may be another.
        named = {records[component].name for component in live.intersection(only) if component in records}
        states = tuple(state for state in states if state.component in only or state.name in named)
        totals = _totals(registry, fleet, active)
    return FleetStatus(
        fleet=fleet,
        newest=newest,
        active=active,
        rejected=_rejected(newest, registry),
        adapters=states,
        totals=totals,
        owned={name: record.owned for name, record in records.items() if record.owned is not None},
        orders=tuple(orders),
        unreadable_orders=unreadable_orders,
        at=now,
    )


def _totals(registry: Registry, fleet: FleetRecord, active: Generation) -> Mapping[StateGroup, int]:
    """Return the numbers that the last pass counted. A new generation has none before its first pass."""
    before = registry.generations.find(fleet.converged) if active.changes is None else None
    counted = before or active
    return {
        StateGroup.FAILED: counted.failed,
        StateGroup.PENDING: counted.pending,
        StateGroup.IN_SERVICE: counted.in_service,
        StateGroup.ORPHAN: counted.orphans,
    }


def read_status(fleet: Fleet, only: Collection[str] | None = None) -> FleetStatus:
    """Read the status of a fleet, with all adapters or with `only` these components.

    Raises NoFleetError before its first generation.
    """
    status = find_status(fleet.registry, fleet.account.now(), only)
    if status is None:
        raise NoFleetError(f"fleet '{fleet.record.name}' has received no manifest yet")
    return status


def read_changes(fleet: Fleet, before: FleetStatus) -> FleetStatus:
    """Read what has changed in the status of a whole fleet.

    These are the fleet's own record, its newest generation and the first adapters that are not settled. All
    adapters are read when a generation has begun or ended, and when a pass has ended after that.
    """
    unsettled = [adapter.component for adapter in before.adapters if not adapter.settled]
    again = unsettled[:MOST_READ_BY_NAME]
    seen = read_status(fleet, again)
    if _stage(seen) != _stage(before):
        return read_status(fleet)
    others = (adapter for adapter in before.adapters if adapter.component not in again)
    return replace(
        seen,
        adapters=_in_order([*others, *seen.adapters]),
        totals=seen.totals if len(unsettled) > len(again) else None,
        owned=before.owned,
    )


def _stage(seen: FleetStatus) -> tuple[object, ...]:
    ended = seen.newest.outcome is not Outcome.OPEN
    return seen.newest.number, seen.newest.outcome, seen.fleet.pass_ended if ended else None


def find_manifest_to_come(fleet: Fleet, seen: FleetStatus) -> str | None:
    """Return the version of the manifest in S3 if the fleet has not taken it up yet."""
    target = seen.active.request.target
    if target.manifest is None or seen.newest.request.source is Source.DELETION:
        return None
    version = present_version(fleet.account.s3, *bucket_and_key(target.manifest))
    if version is None or fleet.registry.lineage.is_taken_up(version, seen.newest):
        return None
    return version


def manifest_to_come_note(version: str) -> str:
    """Return that the fleet has not taken up a version of its manifest."""
    return f"the manifest in S3 (version {version}) is not taken up yet"


def read_adapter_state(fleet: Fleet, component: str) -> AdapterState | None:
    """Read the state of one adapter; None if the fleet neither has nor wants it."""
    return next(iter(read_status(fleet, [component]).adapters), None)


def manifest_not_in_force_note(manifest: str) -> str:
    """Return what to do about a manifest in S3 that failed or was refused."""
    return (
        f"{manifest} still has it, and it is not in force; apply another manifest before the next deployment,"
        " which would apply this one again"
    )


def in_force(registry: Registry, newest: Generation) -> Generation:
    """Return the generation in force: the newest one, or an earlier one after a refusal."""
    return registry.lineage.newest_not_refused(newest) or newest


def _rejected(newest: Generation, registry: Registry) -> Generation | None:
    generation: Generation | None = newest
    while generation is not None and generation.outcome not in (Outcome.FAILED, Outcome.REFUSED):
        request = generation.request
        keeps = generation.undo or request.source is Source.UNDO or request.code_alone
        if not keeps and generation.outcome is not Outcome.SUPERSEDED:
            return None
        generation = registry.generations.find(generation.number - 1)
    return generation


def desired_by(registry: Registry, generation: Generation) -> DesiredFleet:
    """Return the desired state of a generation. A deletion wants no adapters."""
    if generation.request.source is Source.DELETION:
        return DesiredFleet()
    return registry.generations.desired(generation.number)


def _states(
    records: Mapping[str, AdapterRecord],
    desired: DesiredFleet,
    orders: list[Order],
    routes: Mapping[str, Route],
    fleet: FleetRecord,
    generation: Generation,
    now: float,
    *,
    kept: Set[str],
    unread_routes: Mapping[str, str],
) -> tuple[AdapterState, ...]:
    """Return the state of every adapter that is wanted or still exists, and of these kept versions."""
    context = PlanContext(
        now=now,
        generation=generation.number,
        target=generation.request.target,
        deletes=True,
        foreign=fleet.foreign,
        has_copies=fleet.base_copies > 0,
        since=fleet.runner_at,
    )
    view = FleetView.of(desired.adapters, orders, records, context, routes=routes, unreadable=unread_routes)
    view = view.with_records(view.superseded())  # the next pass counts them
    if generation.changes is None and generation.outcome is Outcome.OPEN:
        # The deletions that its guard will count if it passes.
        spares = generation.spares_adopted(converged=fleet.converged > 0)
        view = view.with_records(view.counted(spares_adopted=spares))
    wants = view.desired.wanted
    declared = {
        component: adapter
        for adapter in desired.adapters
        for component in view.desired.components_of([adapter.component])
    }
    retried = {order.component for order in orders if order.kind is OrderKind.RETRY}
    # With trouble, such as a base that is gone, a pass waits and mends. An order takes the drift back.
    idle = generation.outcome is Outcome.CONVERGED and fleet.trouble is None
    found = []
    for component in view.records.keys() | wants.keys():
        want, (record, _, decision) = wants.get(component), view.next_step(component)
        if decision.step is Step.FORGET or (want is None and decision.step is Step.FOREIGN):
            continue
        is_shown = component in declared or component in kept
        if want is not None and not is_shown and decision.step is Step.KEEP:
            continue  # an earlier version, to which a rollback goes back
        route = routes.get(record.name)
        state = _state(record, want, decision, waits=component in retried)
        if idle and component not in retried and record.drifted is not None and decision.step in _UNDONE:
            state = state.out_of_service(_drifted_word(record), MENDED_BY_ORDER, record.drifted)
        state = replace(
            state,
            artifact=record.serving,
            earlier=_earlier(record, route, declared.get(component)),
            proof=_proof(record, want),
            asked_at=record.asked_at,
            tags=record.tags if want is None else {**generation.request.target.tags, **want.tags},
        )
        said = declared.get(component)
        if want is not None and said is not None and not want.artifact.same_version_as(said.artifact):
            state = _as_pinned(state, said)
        if said is not None and route is not None and route.live.component != component:
            state = _as_routed(state, route, view.desired.versions)
        found.append(state)
    return _in_order(found)


def _in_order(states: Collection[AdapterState]) -> tuple[AdapterState, ...]:
    order = list(StateGroup)
    return tuple(sorted(states, key=lambda state: (order.index(state.group), state.name)))


def _state(
    record: AdapterRecord, want: DesiredAdapter | None, decision: Decision, *, waits: bool
) -> AdapterState:
    state = partial(
        AdapterState,
        name=want.name if want is not None else record.name or record.component,
        component=record.component,
        version=record.serving.version if record.serving is not None else None,
    )
    if decision.step is Step.KEEP:
        return state(
            group=StateGroup.IN_SERVICE,
            state="in service",
            since=record.changed_at,
            reason=record.drifted
            or record.archive_trouble
            or (_NOT_DISTINGUISHED if _proof(record, want) is Proof.NOT_DISTINGUISHED else None),
        )
    if decision.step is Step.ORPHAN and want is None:
        return state(
            group=StateGroup.ORPHAN,
            state="orphan",
            since=record.owned,
            reason=f"{decision.why}; 'adapters prune {record.component}' deletes it",
        )
    if decision.step.fails and not waits:
        failure = record.failure if decision.step is Step.FAILED else None
        return state(
            group=StateGroup.FAILED,
            state=decision.step,
            since=failure.at if failure is not None else None,
            reason=(_reason(record, want, failure) if failure is not None else decision.why) or None,
            retry_at=decision.until,
            cause=None if failure is None else failure.cause,
            # The fleet describes a stuck adapter now and then. Nothing waits for it.
            settled=failure is None or failure.final,
        )
    return state(
        group=StateGroup.PENDING,
        state=_activity(record, decision),
        since=record.intent.at if record.intent is not None else None,
        reason=decision.why or record.drifted or (record.failure.reason if record.failure else None),
        # Only a request starts a copy; the fleet sends none for that.
        settled=decision.step is Step.ASLEEP,
    )


_UNDONE = {Step.CREATE, Step.UPDATE, Step.DELETE, Step.RETAG, Step.ASK}
"""What only a pass that repairs does about an adapter that a drift check found changed."""


def _drifted_word(record: AdapterRecord) -> str:
    if record.live is None:
        return "missing"
    return "changed" if record.recheck is None else "lost"


def _reason(record: AdapterRecord, want: DesiredAdapter | None, failure: Failure) -> str:
    """Return why an adapter failed, with the version that did if another one serves."""
    serving = record.serving
    if want is None or serving is None or serving.version in (None, want.artifact.version):
        return failure.reason
    return f"{want.artifact.version}: {failure.reason}"


_NOT_DISTINGUISHED = "its smoke request has the base model's answer, too; a probe would tell the two apart"


def _proof(record: AdapterRecord, want: DesiredAdapter | None) -> Proof | None:
    check = record.probed
    if check is None or want is None or not check.artifact.same_as(record.serving):
        return None
    if check.probe is not None:
        return Proof.PROBE if is_proven(record, want) else None
    if check.like_base is None:
        return None
    return Proof.NOT_DISTINGUISHED if check.like_base else Proof.WEAKER


def _earlier(
    record: AdapterRecord, route: Route | None, declared: DesiredAdapter | None
) -> tuple[Artifact, ...]:
    present = None if declared is None else declared.artifact
    versions = served_versions([record], route)
    return tuple(version for version in versions if not version.same_version_as(present))


_STEP_WORDS = {
    Step.CREATE: "creating",
    Step.UPDATE: "updating",
    Step.DELETE: "deleting",
    Step.HOLD: "deleting",
    Step.CLAIM: "claiming",
    Step.RETAG: "tagging",
}
_WRITE_WORDS = {Write.CREATE: "creating", Write.UPDATE: "updating", Write.DELETE: "deleting"}


def _activity(record: AdapterRecord, decision: Decision) -> str:
    if decision.step.fails:
        return "retrying"
    if decision.step is Step.ASLEEP:
        return "asleep"
    if decision.restores:
        return "restoring"
    if record.intent is not None:
        return _WRITE_WORDS[record.intent.write]
    if decision.step is Step.WAIT and record.live is not None:
        return record.live.status.lower()
    return _STEP_WORDS.get(decision.step, "checking")


def _as_routed(state: AdapterState, route: Route, versions: Versions) -> AdapterState:
    """Return the state of a declared version that another one answers for, at least for most callers."""
    candidate, note = route.candidate, f"{route.live.artifact.version} answers meanwhile"
    percent, settled = 0, state.settled
    if candidate is not None and candidate.component == state.component:
        percent = candidate.percent
        note = f"it answers {percent} % of the callers, {route.live.artifact.version} the others"
        note += f"; {candidate.held}" if candidate.held else ""
        settled = settled and due(candidate, versions.releases) is None
    reason = f"{note}; {state.reason}" if state.reason else note
    beside = route.live.component
    return replace(state, percent=percent, beside=beside, reason=reason, settled=settled)


def _as_pinned(state: AdapterState, declared: DesiredAdapter) -> AdapterState:
    note = f"rolled back from {declared.artifact.version}"
    return replace(state, pinned=True, reason=f"{note}; {state.reason}" if state.reason else note)
