"""The rows of routes: those of the fleet, and those that callers read."""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from adapter_fleet.common.naming import ROUTES_PARTITION, route_key
from adapter_fleet.common.serialization import converter, unstructured
from adapter_fleet.fleet.state.dynamodb_table import (
    Item,
    delete_action,
    in_transactions,
    key,
    put_action,
    update_action,
)
from adapter_fleet.fleet.state.records import Order
from adapter_fleet.fleet.state.routes import PublishedRoute, Route, StoredRoutes
from adapter_fleet.fleet.state.rows.leased_table import Lease, Rows
from adapter_fleet.fleet.state.rows.order_rows import put_order
from adapter_fleet.fleet.state.rows.row import UnreadableError, from_json, reading, to_json

_MAX_ROUTES = 9
"""Routes in one transaction of 4 MB. One with the longest texts may be as large as an item."""


class RouteRows(Rows):
    """Reads and writes routes."""

    def published(self, adapters: Collection[str]) -> dict[str, PublishedRoute]:
        """Return what callers of adapters read. A row that somebody edited names no component."""
        published = {}
        for item in self._table.get_all([route_key(adapter) for adapter in adapters]):
            row = {name: value for name, value in item.items() if name not in ("pk", "sk", "digest")}
            route = PublishedRoute(component="")
            with suppress(Exception):
                found = converter.structure(row, PublishedRoute)
                if item["digest"] == _digest(to_json(unstructured(found)), found.revision):
                    route = found
            published[item["pk"].removeprefix("route#")] = route
        return published

    def read(self) -> StoredRoutes:
        """Return the routes of the fleet's adapters."""
        found = StoredRoutes({}, {}, {})
        for item in self._table.query(ROUTES_PARTITION):
            try:
                route = _route_of(item)
            except UnreadableError as error:
                found.unreadable[item["sk"]] = str(error)
                continue
            if item.get("digest") == _digest(item["doc"], route.revision):
                found.routes[route.adapter] = route
                continue
            found.edited[route.adapter] = route.revision
            found.unreadable[route.adapter] = (
                f"row '{route.adapter}' of '{ROUTES_PARTITION}' in the registry was edited; the next pass"
                " writes it again"
            )
        return found

    def put(self, routes: Sequence[Route], lease: Lease) -> list[Route]:
        """Write routes; return those that are stored now. The others were changed since they were read."""
        stored = []
        for start in range(0, len(routes), _MAX_ROUTES):
            left = list(routes[start : start + _MAX_ROUTES])
            while left and (changed := self._table.transact_under(lease, [*_writes_of_routes(left)])):
                left = [route for index, route in enumerate(left) if 2 * index not in changed]
            stored += [replace(route, revision=route.revision + 1) for route in left]
        return stored

    def forget(self, adapters: Iterable[str], lease: Lease) -> None:
        """Delete the routes of adapters."""
        keys = [each for name in adapters for each in (key(ROUTES_PARTITION, name), route_key(name))]
        for batch in in_transactions([delete_action(each) for each in keys], beside=1):
            self._table.transact_under(lease, batch)

    def put_by_hand(self, route: Route, orders: Iterable[Order] = ()) -> bool:
        """Write a route and the orders for it at once; return False if it was changed since it was read."""
        return not self._table.transact([*_writes_of_routes([route]), *map(put_order, orders)])


def _route_of(item: Item) -> Route:
    """Return the route of an item. Raises UnreadableError, also if a pass could not use or write it."""
    with reading(item):
        route = replace(from_json(item["doc"], Route), revision=int(item["revision"]))
        if route.adapter != item["sk"] or not route.versions or not item["revision"] == route.revision >= 1:
            raise ValueError("it is of another adapter, names no component, or has no revision")
        return route


def _digest(document: str, revision: int) -> str:
    """Return the digest of a route's document and revision: of a row that somebody edited, it is another."""
    return hashlib.sha256(f"{revision} {document}".encode()).hexdigest()[:16]


def _writes_of_routes(routes: Iterable[Route]) -> Iterator[Item]:
    """Yield the two actions for each route, the first of which fails if another revision is stored."""
    for route in routes:
        before = {"before": route.revision} if route.revision else {}
        document = to_json(unstructured(replace(route, revision=0)))
        yield update_action(
            key(ROUTES_PARTITION, route.adapter),
            "SET doc = :doc, revision = :next, digest = :digest",
            condition="revision = :before" if before else "attribute_not_exists(pk)",
            doc=document,
            next=route.revision + 1,
            digest=_digest(document, route.revision + 1),
            **before,
        )
        published = unstructured(replace(route, revision=route.revision + 1).published)
        digest = _digest(to_json(published), route.revision + 1)
        yield put_action(route_key(route.adapter) | published | {"digest": digest})
