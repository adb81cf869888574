"""What a generation wants: the adapters that it declares, and what people ordered beside the manifest."""

from dataclasses import replace

from adapter_fleet.fleet.planning.observe import may_be_claimed
from adapter_fleet.fleet.planning.pins import apply_pins, served_version
from adapter_fleet.fleet.reconcile.record_cache import RecordCache
from adapter_fleet.fleet.reconcile.session import Session
from adapter_fleet.fleet.state.generations import previous_in_force
from adapter_fleet.fleet.state.orders import Order, OrderKind
from adapter_fleet.fleet.state.records import AdapterRecord
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter, SmokeRequest


class DesiredState:
    """The adapters that are wanted, and the orders.

    declared:
        The adapters of the manifest, by component.
    wanted:
        The same, with the pinned versions in place of the manifest's.
    changed:
        The components whose desired state differs from the previous generation's.
    """

    def __init__(self, session: Session, records: RecordCache, declared: dict[str, DesiredAdapter]) -> None:
        self._session, self._records = session, records
        self.declared = declared
        self.orders = session.registry.orders()
        self.wanted = apply_pins(declared.values(), self.orders, records)
        self.changed = self._find_changed()

    def count_all_as_changed(self) -> None:
        """Note that another base model changes every adapter."""
        self.changed = frozenset(self.declared)

    def _find_changed(self) -> frozenset[str]:
        """Return the components whose desired state differs from the previous generation's.

        Other components may be written on, too: what failed is tried again, and what was changed by hand is
        repaired.
        """
        generation = self._session.generation
        before = previous_in_force(generation, self._session.registry.generation)
        target = generation.request.target
        if before is None or generation.rebased:
            return frozenset(self.declared)
        if (before.request.target.endpoint, before.request.target.base) != (target.endpoint, target.base):
            return frozenset(self.declared)
        desired = self._session.registry.desired(before.number)
        known = {adapter.component: adapter for adapter in desired.adapters}
        return frozenset(
            component
            for component, adapter in self.declared.items()
            if component not in known
            or not adapter.artifact.same_as(known[component].artifact)
            or _digest(adapter.smoke) != _digest(known[component].smoke)
            or adapter.artifact.probe != known[component].artifact.probe
        )

    # --- orders

    def take_orders(self) -> None:
        """Forget failures that people ordered to retry, and remove pins that they ordered to remove."""
        retried = [order for order in self.orders if order.kind is OrderKind.RETRY]
        for order in retried:
            record = self._records.get(order.component)
            if record is not None and record.failure is not None:
                self._records.put(replace(record, failure=None, restore_at=None))
                self._records.note(record, "retried")
        unpinned = {order.component for order in self.orders if order.kind is OrderKind.UNPIN}
        void = [
            order
            for order in self.orders
            if order.component in unpinned and order.kind in (OrderKind.PIN, OrderKind.UNPIN)
        ]
        if void:
            self.orders = [order for order in self.orders if order not in void]
            self.wanted = apply_pins(self.declared.values(), self.orders, self._records)
        self._records.flush()
        if retried or void:
            self._session.registry.take_orders([*retried, *void], self._session.lease)

    def take_prunes(self) -> list[str]:
        """Return the orphans that people ordered to delete and that are not counted for deletion yet.

        An order stays until its orphan is gone, or wanted.
        """
        done, uncounted = [], []
        for order in [order for order in self.orders if order.kind is OrderKind.PRUNE]:
            record = self._records.get(order.component)
            if record is None or record.owned != order.created or order.component in self.wanted:
                done.append(order)
            elif record.counted is None:
                uncounted.append(order.component)
        self._remove(done)
        return uncounted

    def remove_pin(self, component: str, artifact: Artifact | None, *, missing: str) -> None:
        """Remove the pin of a component to an artifact whose archive is missing."""
        void = [
            order
            for order in self.orders
            if order.component == component
            and order.kind is OrderKind.PIN
            and order.artifact is not None
            and order.artifact.same_as(artifact)
        ]
        if component not in self.declared or not void:
            return
        self._remove(void)
        self.wanted |= apply_pins([self.declared[component]], self.orders, self._records)
        cause = f"the version that it was rolled back to is gone: {missing}"
        self._records.note(self._records[component], "unpinned", cause=cause)

    def confirm_imports(self) -> None:
        """Note that this generation keeps what it imported. A later one that drops it may delete it."""
        for component in self.wanted:
            record = self._records.get(component)
            if record is not None and record.owned is not None and record.claimed is not None:
                self._records.put(replace(record, claimed=None))

    def remove_void_orders(self) -> None:
        """Remove the orders that have no effect once this generation is in force."""
        void = filter(self._is_void, self.orders)
        self._session.registry.take_orders(void, self._session.lease)

    def _is_void(self, order: Order) -> bool:
        declared, record = self.declared.get(order.component), self._records.get(order.component)
        readable = record is None or record.unreadable is None
        if order.kind is OrderKind.CLAIM:
            return declared is not None and readable and not self._may_be_taken(order, record)
        # The manifest no longer wants the version that a pin replaces, or the other one never served.
        return order.kind is OrderKind.PIN and (
            declared is None
            or not declared.artifact.same_version_as(order.replaces)
            or (readable and served_version(record, order.artifact) is None)
        )

    def _may_be_taken(self, order: Order, record: AdapterRecord | None) -> bool:
        """Return True if the component that an order names is there, and still to be taken over."""
        live = None if record is None else record.live
        if record is None or live is None or live.created != order.created:
            return False
        return record.owned != order.created and may_be_claimed(record, live, self._session.target)

    def _remove(self, orders: list[Order]) -> None:
        if orders:
            self.orders = [order for order in self.orders if order not in orders]
            self._session.registry.take_orders(orders, self._session.lease)


def _digest(smoke: SmokeRequest | None) -> str | None:
    """Return the digest of a smoke request, which is the same in each form of its prompt."""
    return None if smoke is None else smoke.digest
