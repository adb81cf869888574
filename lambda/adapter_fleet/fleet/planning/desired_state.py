"""What a generation wants: the adapters that it declares, and what people ordered beside the manifest."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from adapter_fleet.fleet.planning.observe import may_be_claimed, new_record
from adapter_fleet.fleet.planning.releases import Versions, versions_of
from adapter_fleet.fleet.state.generations import Generation, Target
from adapter_fleet.fleet.state.known_versions import served_versions
from adapter_fleet.fleet.state.records import AdapterRecord, Order, OrderKind
from adapter_fleet.fleet.state.registry import Registry
from adapter_fleet.fleet.state.routes import Route
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter, SmokeRequest


@dataclass(frozen=True, kw_only=True)
class DesiredState:
    """The adapters that are wanted, and the orders.

    declared:
        The adapters of the manifest, by component.
    wanted:
        The same, with the pinned versions in place of the manifest's; with routes, every version that is
        wanted, by a component of its own.
    answering:
        The adapters that are to answer, by component: one version of each.
    """

    declared: Mapping[str, DesiredAdapter]
    orders: Collection[Order]
    wanted: Mapping[str, DesiredAdapter]
    answering: Mapping[str, DesiredAdapter]
    versions: Versions

    @classmethod
    def of(
        cls,
        adapters: Iterable[DesiredAdapter],
        orders: Collection[Order],
        records: Mapping[str, AdapterRecord],
        *,
        routes: Mapping[str, Route],
        target: Target,
        now: float,
        unreadable: Mapping[str, str] | None = None,
    ) -> "DesiredState":
        """Return what adapters and orders mean. `unreadable` says why routes cannot be read."""
        declared = {adapter.component: adapter for adapter in adapters}
        wanted = apply_pins(declared.values(), orders, records, routes)
        releases, claimed, unreadable = target.settings.releases, claims_of(orders), unreadable or {}
        if releases is None and not (routes or unreadable):
            versions = Versions.in_place(wanted)
        else:
            versions = versions_of(
                wanted.values(), routes, records, releases, claimed=claimed, now=now, unreadable=unreadable
            )
        answering = {component: versions.wanted[component] for component in versions.declared.values()}
        return cls(
            declared=declared, orders=orders, wanted=versions.wanted, answering=answering, versions=versions
        )

    def components_of(self, declared: Iterable[str]) -> frozenset[str]:
        """Return the components that are to answer for these ones of the manifest."""
        return frozenset(self.versions.declared[self.declared[component].name] for component in declared)

    def left_alone(self, records: Mapping[str, AdapterRecord]) -> list[AdapterRecord]:
        """Return the records of adapters whose rows cannot be used: they stay as they are."""
        left = self.versions.left_alone
        known = {name: records.get(name) or new_record(name, self.wanted[name]) for name in left}
        return [
            replace(one, failure=None, unreadable=one.unreadable or left[name]) for name, one in known.items()
        ]

    def without(self, orders: Collection[Order]) -> "DesiredState":
        """Return the same without these orders. What is wanted stays."""
        return replace(self, orders=[order for order in self.orders if order not in orders])

    def with_pins_of(self, component: str, records: Mapping[str, AdapterRecord]) -> "DesiredState":
        """Return the same with the version of a component that its orders say now."""
        wanted = {**self.wanted, **apply_pins([self.declared[component]], self.orders, records)}
        return replace(self, wanted=wanted, answering=wanted)

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of the declared adapters."""
        return frozenset(adapter.name for adapter in self.declared.values())

    # --- orders

    @cached_property
    def claims(self) -> dict[str, float]:
        """The creation times of the components that someone ordered to take over, by name."""
        return claims_of(self.orders)

    @property
    def retries(self) -> list[Order]:
        """The orders to try adapters again."""
        return [order for order in self.orders if order.kind is OrderKind.RETRY]

    @property
    def attempts(self) -> list[Order]:
        """The retries that try an adapter again after a failure.

        The retry of a rollback or an import restores what was changed by hand, and tries nothing again.
        """
        others = {(order.component, order.at) for order in self.orders if order.kind is not OrderKind.RETRY}
        return [order for order in self.retries if (order.component, order.at) not in others]

    @property
    def pins(self) -> dict[str, Order]:
        """The pins in force, by adapter."""
        return pins_in_force(self.declared.values(), self.orders)

    @property
    def unpinned(self) -> list[Order]:
        """The orders that remove a pin, and the pins that they remove."""
        unpinned = {order.component for order in self.orders if order.kind is OrderKind.UNPIN}
        return [
            order
            for order in self.orders
            if order.component in unpinned and order.kind in (OrderKind.PIN, OrderKind.UNPIN)
        ]

    def names_of(self, orders: Iterable[Order], records: Mapping[str, AdapterRecord]) -> set[str]:
        """Return the adapters that orders name: all versions of each, by their one name."""
        named = [self.declared.get(one.component) or records.get(one.component) for one in orders]
        return {found.name for found in named if found is not None}

    def prunes(self, records: Mapping[str, AdapterRecord]) -> tuple[list[Order], list[str]]:
        """Return the prunes that are done, and the orphans of the others that are not counted yet.

        An order stays until its orphan is gone, or wanted.
        """
        done, uncounted = [], []
        for order in [order for order in self.orders if order.kind is OrderKind.PRUNE]:
            record = records.get(order.component)
            if record is None or record.owned != order.created or order.component in self.wanted:
                done.append(order)
            elif record.counted is None:
                uncounted.append(order.component)
        return done, uncounted

    def pins_to(self, component: str, artifact: Artifact | None) -> list[Order]:
        """Return the pins of a declared component to an artifact."""
        return [
            order
            for order in self.orders
            if order.kind is OrderKind.PIN
            and order.component in self.declared
            and component in self.components_of([order.component])
            and order.artifact is not None
            and order.artifact.same_as(artifact)
        ]

    def void_orders(self, records: Mapping[str, AdapterRecord], target: Target) -> list[Order]:
        """Return the orders that have no effect once this generation is in force."""
        return [order for order in self.orders if self._is_void(order, records, target)]

    def _is_void(self, order: Order, records: Mapping[str, AdapterRecord], target: Target) -> bool:
        declared, record = self.declared.get(order.component), records.get(order.component)
        readable = record is None or record.unreadable is None
        if order.kind is OrderKind.CLAIM:
            return declared is not None and readable and not _may_be_taken(order, record, target)
        # The manifest no longer wants the version that a pin replaces, or the other one never served.
        return order.kind is OrderKind.PIN and (
            declared is None
            or not declared.artifact.same_version_as(order.replaces)
            or (readable and self._served(declared, records, order.artifact) is None)
        )

    def _served(
        self, declared: DesiredAdapter, records: Mapping[str, AdapterRecord], artifact: Artifact | None
    ) -> Artifact | None:
        return served_version(declared, records, self.versions.routes.get(declared.name), artifact)


def find_changed(
    declared: Mapping[str, DesiredAdapter], generation: Generation, registry: Registry
) -> frozenset[str]:
    """Return the components whose desired state differs from the previous generation's.

    Other components may be written on, too: what failed is tried again, and what was changed by hand is
    repaired.
    """
    before = registry.lineage.previous_in_force(generation)
    target = generation.request.target
    if before is None or generation.rebased:
        return frozenset(declared)
    if (before.request.target.endpoint, before.request.target.base) != (target.endpoint, target.base):
        return frozenset(declared)
    known = {adapter.component: adapter for adapter in registry.generations.desired(before.number).adapters}
    return frozenset(
        component
        for component, adapter in declared.items()
        if component not in known
        or not adapter.artifact.same_as(known[component].artifact)
        or _digest(adapter.smoke) != _digest(known[component].smoke)
        or adapter.artifact.probe != known[component].artifact.probe
    )


def _may_be_taken(order: Order, record: AdapterRecord | None, target: Target) -> bool:
    """Return True if the component that an order names is there, and still to be taken over."""
    live = None if record is None else record.live
    if record is None or live is None or live.created != order.created:
        return False
    return record.owned != order.created and may_be_claimed(record, live, target)


def _digest(smoke: SmokeRequest | None) -> str | None:
    """Return the digest of a smoke request, which is the same in each form of its prompt."""
    return None if smoke is None else smoke.digest


def without_failures(
    records: Mapping[str, AdapterRecord], attempts: Iterable[Order]
) -> dict[str, AdapterRecord]:
    """Return the records of failed adapters that are to be tried again, without their failures."""
    found = {order.component: records.get(order.component) for order in attempts}
    return {
        component: replace(record, failure=None, restore_at=None)
        for component, record in found.items()
        if record is not None and record.failure is not None
    }


def claims_of(orders: Iterable[Order]) -> dict[str, float]:
    """Return the creation times of the components that someone ordered to take over, by name."""
    return {
        order.component: order.created
        for order in orders
        if order.kind is OrderKind.CLAIM and order.created is not None
    }


# --- pins: orders to serve an earlier version of an adapter instead of the manifest's


def apply_pins(
    desired: Iterable[DesiredAdapter],
    orders: Collection[Order],
    records: Mapping[str, AdapterRecord],
    routes: Mapping[str, Route] | None = None,
) -> dict[str, DesiredAdapter]:
    """Return the desired adapters by component, with the pinned artifacts in place of the manifest's.

    A pin counts only for a version that has served: a person who may give orders may not declare artifacts.
    """
    desired = list(desired)
    pins, wanted = pins_in_force(desired, orders), {}
    for declared in desired:
        adapter, pin = declared, pins.get(declared.name)
        if pin is not None:
            route = (routes or {}).get(adapter.name)
            served = served_version(adapter, records, route, pin.artifact)
            # A share is that of the manifest's own version.
            adapter = adapter if served is None else replace(adapter, artifact=served, percent=100)
        wanted[adapter.component] = adapter
    return wanted


def pins_in_force(desired: Iterable[DesiredAdapter], orders: Collection[Order]) -> dict[str, Order]:
    """Return the pins by adapter: those that replace the declared version, and that nobody has ended."""
    unpinned = {order.component for order in orders if order.kind is OrderKind.UNPIN}
    pins = {
        order.component: order
        for order in orders
        if order.kind is OrderKind.PIN and order.component not in unpinned
    }
    return {
        adapter.name: pins[adapter.component]
        for adapter in desired
        if adapter.component in pins and adapter.artifact.same_version_as(pins[adapter.component].replaces)
    }


def served_version(
    adapter: DesiredAdapter,
    records: Mapping[str, AdapterRecord],
    route: Route | None,
    artifact: Artifact | None,
) -> Artifact | None:
    """Return the version of an adapter that has served and equals an artifact; None if there is none."""
    own = [
        record
        for record in records.values()
        if record.name == adapter.name or record.component == adapter.component
    ]
    return next((one for one in served_versions(own, route) if one.same_as(artifact)), None)
