"""The stored routes of adapters: read once, compared with what callers read, and written back."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from adapter_fleet.fleet.planning.releases import IN_PLACE_AGAIN
from adapter_fleet.fleet.planning.route_repair import misleading, was_a_version, with_rebuilt
from adapter_fleet.fleet.reconcile.session import Session
from adapter_fleet.fleet.state.records import AdapterRecord, Order
from adapter_fleet.fleet.state.routes import PublishedRoute, Route
from adapter_fleet.manifest.desired import DesiredAdapter


class RouteStore:
    """The routes in the registry, and what callers read.

    began:
        When the pass read them.
    stored:
        The routes that can be used, by adapter.
    unreadable:
        By adapter, why its stored route cannot be read.
    misread:
        By adapter, the route that callers are to read instead of what they read.
    """

    def __init__(self, session: Session) -> None:
        self._session, self.began = session, session.clock.now()
        self.stored, unreadable, edited = session.registry.routes.read()
        self.unreadable = {name: why for name, why in unreadable.items() if name not in edited}
        # The revisions of the rows that are there, also of those that count as lost.
        self._revisions = {**edited, **{name: route.revision for name, route in self.stored.items()}}
        self.misread: dict[str, Route] = {}
        # The component that callers read by adapter.
        self._read: dict[str, str] = {}
        # What callers read misleads them, and nothing serves to rebuild a route from.
        self._void: set[str] = set()

    def rebuild(
        self,
        adapters: Collection[DesiredAdapter],
        records: Mapping[str, AdapterRecord],
        orders: Collection[Order],
    ) -> Mapping[str, Route]:
        """Return the routes, with those rebuilt that are lost.

        The first pass of an execution compares all routes with what callers read, and later ones look for
        those that are still lost.
        """
        session, stored = self._session, self.stored
        releases = session.target.settings.releases
        if releases is None and not self._revisions and not any(map(was_a_version, records.values())):
            return stored
        adapters = [adapter for adapter in adapters if adapter.name not in self.unreadable]
        names = [adapter.name for adapter in adapters if not (session.resumes and adapter.name in stored)]
        published = session.registry.routes.published(names)
        routes = with_rebuilt(
            stored, published, adapters, records, orders, releases=releases or IN_PLACE_AGAIN, now=self.began
        )
        for name in routes.keys() & set(names):
            found, wanted = published.get(name, PublishedRoute(component="")), routes[name].published
            if found != replace(wanted, revision=found.revision):
                self.misread[name] = routes[name]
        self._read = {name: row.component for name, row in published.items()}
        self._void = misleading(published, adapters, records) - routes.keys()
        return routes

    def is_assumed(self, route: Route) -> bool:
        """Return True if neither the stored route nor what callers read names the version of a route."""
        stored = self.stored.get(route.adapter)
        unread = self._read.get(route.adapter) != route.live.component
        return unread and (stored is None or stored.live != route.live)

    @property
    def adapters(self) -> set[str]:
        """The adapters that have a row."""
        return set(self._revisions)

    def put(self, routes: Iterable[Route]) -> list[Route]:
        """Write routes; return those that are stored now."""
        known = [replace(route, revision=self._revisions.get(route.adapter, 0)) for route in routes]
        stored = self._session.registry.routes.put(known, self._session.lease)
        self._revisions |= {route.adapter: route.revision for route in stored}
        return stored

    def forget(self, adapters: Collection[str]) -> None:
        """Delete the rows of adapters."""
        self._session.registry.routes.forget(sorted(adapters), self._session.lease)
        for name in adapters:
            self._revisions.pop(name, None)

    def forget_void(self) -> None:
        """Delete rows that mislead callers."""
        self.forget(self._void)
        self._void = set()
