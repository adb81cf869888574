"""Pins: orders to serve an earlier version of an adapter instead of the manifest's."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from adapter_fleet.fleet.state.orders import Order, OrderKind
from adapter_fleet.fleet.state.records import AdapterRecord
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter


def apply_pins(
    desired: Iterable[DesiredAdapter], orders: Iterable[Order], records: Mapping[str, AdapterRecord]
) -> dict[str, DesiredAdapter]:
    """Return the desired adapters by component, with the pinned artifacts in place of the manifest's.

    A pin counts only for a version that has served: a person who may give orders may not declare artifacts.
    """
    orders = list(orders)
    unpinned = {order.component for order in orders if order.kind is OrderKind.UNPIN}
    pins = {
        order.component: order
        for order in orders
        if order.kind is OrderKind.PIN and order.component not in unpinned
    }
    wanted = {}
    for declared in desired:
        adapter, pin = declared, pins.get(declared.component)
        if pin is not None and adapter.artifact.same_version_as(pin.replaces):
            served = served_version(records.get(adapter.component), pin.artifact)
            adapter = adapter if served is None else replace(adapter, artifact=served)
        wanted[adapter.component] = adapter
    return wanted


def served_version(record: AdapterRecord | None, artifact: Artifact | None) -> Artifact | None:
    """Return the version of an adapter that has served and equals an artifact; None if there is none."""
    versions = () if record is None else record.versions
    return next((version for version in versions if version.same_as(artifact)), None)
