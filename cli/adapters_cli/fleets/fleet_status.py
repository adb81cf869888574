"""The status of a fleet: the state of each adapter, from the registry alone."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from adapter_fleet.common.s3_uri import bucket_and_key
from adapter_fleet.fleet.state.generations import (
    Generation,
    Outcome,
    Source,
)
from adapter_fleet.fleet.state.records import FleetRecord, Order, OrderKind
from adapter_fleet.fleet.state.registry import Registry
from adapter_fleet.manifest.desired import DesiredFleet
from adapters_cli.aws.worker_threads import read_each
from adapters_cli.fleets.adapter_states import AdapterState, StateGroup, adapter_states, in_order
from adapters_cli.fleets.base_component import BaseState
from adapters_cli.fleets.fleet_lookup import Fleet
from adapters_cli.manifests.stored_manifest import present_version
from adapters_cli.output.errors import NoFleetError

MOST_READ_BY_NAME = 100
"""Records that are read one by one, again and again, while a command waits."""


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
        return replace(self, adapters=in_order(adapters), totals=totals)

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


def find_status(
    registry: Registry,
    now: float,
    only: Collection[str] | None = None,
    *,
    alone: Collection[str] = (),
) -> FleetStatus | None:
    """Read the status of a fleet, with all adapters or with `only` these components and those `alone`.

    Of a component that answers, `only` gives the version that the manifest declares, and `alone` its own.
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
        found = read_each({*only, *alone}, registry.records.find)
        records = {component: record for component, record in found.items() if record is not None}
        adapters = (adapter for adapter in desired.adapters if adapter.component in found)
        desired = DesiredFleet(adapters=tuple(adapters))
    live = {route.live.component for route in routes.values()}
    kept = set(only or ()) - live | set(alone)
    states = adapter_states(
        records, desired, orders, routes, fleet, active, now, kept=kept, unread_routes=unread_routes
    )
    if only is not None:
        named = {records[component].name for component in live.intersection(only) if component in records}
        shown = {*only, *alone}
        # Of an adapter that has none of its versions yet.
        named |= {each.name for each in desired.adapters if each.component in shown - records.keys()}
        states = tuple(state for state in states if state.component in shown or state.name in named)
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


def read_status(
    fleet: Fleet, only: Collection[str] | None = None, *, alone: Collection[str] = ()
) -> FleetStatus:
    """Read the status of a fleet as `find_status` does. Raises NoFleetError before its first generation."""
    status = find_status(fleet.registry, fleet.account.now(), only, alone=alone)
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
        adapters=in_order([*others, *seen.adapters]),
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
