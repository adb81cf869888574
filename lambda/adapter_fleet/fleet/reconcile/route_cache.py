"""The routes of adapters during a pass: read once, and written back as versions come into service."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from adapter_fleet.common.bounded_text import bounded
from adapter_fleet.fleet.planning.canaries import Verdict, due, judge, window
from adapter_fleet.fleet.planning.decide import Decision, Step
from adapter_fleet.fleet.planning.releases import (
    IN_PLACE_AGAIN,
    Versions,
    is_superseded,
    new_route,
    proven_artifact,
    without_failed_version,
)
from adapter_fleet.fleet.planning.route_repair import (
    is_there,
    may_answer,
    mended,
    misleading,
    was_a_version,
    with_rebuilt,
)
from adapter_fleet.fleet.reconcile.session import Session
from adapter_fleet.fleet.state.records import AdapterRecord, Order
from adapter_fleet.fleet.state.routes import PublishedRoute, Route
from adapter_fleet.fleet.state.sagemaker_port import Requests, ServiceError
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter

_HELD_BYTES = 300


class RouteCache:
    """The route of every adapter, if the fleet has routes.

    `unreadable` has by adapter why its stored route cannot be read.
    `waits_for_copy` is True if a version in service waits for a copy of the base model to answer.
    `is_open` is True once the generation is admitted: only then are routes written.
    `worse` has by component the artifact of a canary that has ended, and why.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._stored, unreadable, edited = session.registry.routes.read()
        self.unreadable = {name: why for name, why in unreadable.items() if name not in edited}
        # The revisions of the rows that are there, also of those that count as lost.
        self._revisions = {**edited, **{name: route.revision for name, route in self._stored.items()}}
        self._routes: dict[str, Route] = {}
        self._planned: Mapping[str, Route] = {}
        self._versions = Versions.in_place({})
        self._changed: set[str] = set()
        # What callers are to read instead of what they read.
        self._misread: dict[str, Route] = {}
        # The component that callers read by adapter.
        self._read: dict[str, str] = {}
        # What callers read misleads them, and nothing serves to rebuild a route from.
        self._void: set[str] = set()
        self.waits_for_copy = self.is_open = False
        self.worse: dict[str, tuple[Artifact, str]] = {}
        self._advances: set[str] = set()
        self._began = session.clock.now()

    def read(
        self,
        adapters: Collection[DesiredAdapter],
        records: Mapping[str, AdapterRecord],
        orders: Collection[Order],
    ) -> Mapping[str, Route]:
        """Return the routes, with those rebuilt that are lost.

        The first pass of an execution compares all routes with what callers read, and later ones look for
        those that are still lost.
        """
        session, stored = self._session, self._stored
        releases = session.target.settings.releases
        if releases is None and not self._revisions and not any(map(was_a_version, records.values())):
            return stored
        adapters = [adapter for adapter in adapters if adapter.name not in self.unreadable]
        names = [adapter.name for adapter in adapters if not (session.resumes and adapter.name in stored)]
        published = session.registry.routes.published(names)
        routes = with_rebuilt(
            stored, published, adapters, records, orders, releases=releases or IN_PLACE_AGAIN, now=self._began
        )
        for name in routes.keys() & set(names):
            found, wanted = published.get(name, PublishedRoute(component="")), routes[name].published
            if found != replace(wanted, revision=found.revision):
                self._misread[name] = routes[name]
        self._read = {name: row.component for name, row in published.items()}
        self._void = misleading(published, adapters, records) - routes.keys()
        return routes

    def follow_versions(self, versions: Versions) -> None:
        """Take over the routes of these versions, and note which ones are to be written."""
        stored, self._planned, self._routes = self._stored, versions.routes, dict(versions.routes)
        self._versions = replace(versions, routes=self._routes)
        self._changed = {name for name, route in self._routes.items() if stored.get(name) != route}
        self._changed |= self._misread.keys() & self._routes.keys()

    def answering(self, adapter: str) -> Artifact | None:
        """Return the version that a route names for all callers or most; None without a route."""
        route = self._routes.get(adapter)
        return None if route is None else route.live.artifact

    def publish(self, records: Mapping[str, AdapterRecord]) -> None:
        """Write again what callers are to read, where it was lost or edited and it serves."""
        self._forget_void()
        found = [route for _, route in sorted(self._misread.items())]
        misread = [route for route in found if is_there(records.get(route.live.component), route.adapter)]
        self._put(misread)

    def _put(self, routes: Iterable[Route]) -> list[Route]:
        """Write routes; return those that are stored now."""
        known = [replace(route, revision=self._revisions.get(route.adapter, 0)) for route in routes]
        stored = self._session.registry.routes.put(known, self._session.lease)
        self._revisions |= {route.adapter: route.revision for route in stored}
        return stored

    def _forget_void(self) -> None:
        """Delete rows that mislead callers."""
        self._session.registry.routes.forget(sorted(self._void), self._session.lease)
        for name in self._void:
            self._revisions.pop(name, None)
        self._void = set()

    def mend(self, records: Mapping[str, AdapterRecord], pins: Mapping[str, Order]) -> bool:
        """Route to what serves, where a route names what is not there; return True if one did.

        Other components are wanted then: what a route named is created only if it is declared.
        """
        versions, now, found = self._versions, self._session.clock.now(), False
        for name, planned in self._planned.items():
            record, stored = records.get(planned.live.component), self._stored.get(name)
            # It answers as the records say that this pass began with. What callers read is no assumption.
            unread = self._read.get(name) != planned.live.component
            assumed = unread and (stored is None or stored.live != planned.live)
            there = proven_artifact(record) is not None if assumed else is_there(record, name)
            if there:
                continue
            alone = versions.declared.get(name) in versions.left_alone
            route = mended(versions, self._routes[name], records, pins.get(name), now=now)
            if route is not None and not alone:
                self._routes[name] = route
                self._changed.add(name)
            moved = self._routes[name].live.component != planned.live.component
            if assumed and not moved:
                self._changed.discard(name)  # the next pass knows what this one has found
            found |= moved or assumed
        return found

    def judge(self) -> None:
        """Judge the canaries whose step has ended, by the requests of its minutes."""
        canary = self._versions.releases.canary
        routes = [route for route in self._routes.values() if (self._due(route) or math.inf) <= self._began]
        if canary is None or not routes:
            return
        found, trouble = self._requests(routes)
        for route in routes:
            candidate = route.candidate
            verdict, why = (Verdict.HOLD, trouble) if trouble else judge(route, found, canary, self._began)
            assert candidate is not None  # it is due
            if verdict is Verdict.ROLL_BACK:
                self.worse[candidate.component] = candidate.artifact, why
            elif verdict is Verdict.ADVANCE:
                self._advances.add(candidate.component)
            held = why if verdict is Verdict.HOLD else ""
            candidate = replace(candidate, judged=self._began, held=held)
            self._routes[route.adapter] = replace(route, candidate=candidate)
            self._changed.add(route.adapter)

    def _requests(self, routes: list[Route]) -> tuple[Mapping[str, Requests], str]:
        """Return the requests to both versions of each route, or why they are not known."""
        try:
            return self._session.service.requests(*window(routes, self._began)), ""
        except ServiceError as error:
            return {}, bounded(str(error), _HELD_BYTES)

    def _due(self, route: Route) -> float | None:
        if route.candidate is None:
            return None
        want = self._versions.wanted.get(route.candidate.component)
        # The manifest may have taken the canary over by hand since.
        by_hand = want is None or want.percent is not None
        return None if by_hand else due(route.candidate, self._versions.releases)

    def follow(
        self, record: AdapterRecord, decision: Decision, records: Mapping[str, AdapterRecord]
    ) -> Decision:
        """Route to a version that has come into service; return the decision, or to delete a failed one."""
        versions, has_copies = self._versions, self._session.fleet.base_copies > 0
        if not versions.has_routes or record.unreadable is not None:
            return decision
        named = self._routes.get(record.name)
        route = new_route(
            versions,
            record,
            decision,
            now=self._session.clock.now(),
            has_copies=has_copies,
            answers=named is None or may_answer(named, records),
            advances=record.component in self._advances,
        )
        if route is not None:
            self._advances.discard(record.component)
            self._routes[record.name] = route
            self._changed.add(record.name)
        elif decision.step is Step.KEEP and not has_copies and versions.is_declared(record):
            answering = self._routes[record.name].answering
            self.waits_for_copy |= record.component not in [one.component for one in answering]
        return without_failed_version(versions, record, decision)

    def superseded(self, records: Iterable[AdapterRecord]) -> list[AdapterRecord]:
        """Return the earlier versions that nobody is sent to any more."""
        return [record for record in records if is_superseded(self._versions, record)]

    @property
    def unsent(self) -> bool:
        """True if a route is to be written."""
        return self.is_open and bool(self._changed)

    def flush(self) -> None:
        """Write what changed. Where somebody has rolled back meanwhile, the pass ends, and another begins."""
        if not self.is_open:
            return
        self._forget_void()
        if not self._changed:
            return
        now = self._session.clock.now()
        # Callers are sent to a version until the route is written, which may be long after the decision.
        changed = [self._routes[name].left_at(now, after=self._began) for name in sorted(self._changed)]
        for route in self._put(changed):
            self._routes[route.adapter] = route
            self._changed.remove(route.adapter)
        if self._changed:
            self._session.abandon()

    def news(self, records: Mapping[str, AdapterRecord]) -> Iterator[tuple[AdapterRecord, str]]:
        """Yield records that do not know yet that a pass or a person has routed to them, and what to tell."""
        for route in self._routes.values():
            if route.adapter in self._changed:
                continue
            for component, since, told in _news(route):
                record = records.get(component)
                if record is None or record.live is None or record.unreadable is not None:
                    continue
                if record.routed_at != since:
                    yield replace(record, routed_at=since), told

    def forget_undeclared(self, leaving: Collection[str] = ()) -> list[str]:
        """Delete the routes of adapters that the manifest does not declare, before the adapters go.

        leaving:
            Adapters of components that go. Of one whose route was lost, callers' row may be left.
        """
        versions = self._versions
        if not versions.has_routes:
            return []
        rows = {*self._routes, *self._revisions, *leaving, *versions.unreadable}
        gone = sorted(rows - versions.declared.keys())
        self._session.registry.routes.forget(gone, self._session.lease)
        for name in gone:
            self._revisions.pop(name, None)
            self._routes.pop(name, None)
            self._changed.discard(name)
        return gone

    def next_times(self) -> list[float]:
        """Return when versions that stay for now are drained, and when canaries are judged."""
        drained = [
            moment
            for route in self._routes.values()
            for component, moment in route.drained_at(self._versions.releases).items()
            if component in self._versions.wanted
        ]
        judgements = [moment for route in self._routes.values() if (moment := self._due(route)) is not None]
        # What was due before has been seen to.
        return [moment for moment in (*drained, *judgements) if moment > self._began]


def _news(route: Route) -> Iterator[tuple[str, float | None, str]]:
    """Yield the components that a route names now, since when, and what to tell."""
    live = route.live.artifact.version
    for before in route.served[1:2]:
        # Where releases are switched off, the same version may answer from another component.
        same = before.artifact.same_version_as(route.live.artifact)
        new, old = (route.live.component, before.component) if same else (live, before.artifact.version)
        yield route.live.component, before.until, f"{new} answers instead of {old}"
    for left in route.versions:
        if left.abandoned:
            yield left.component, left.until, f"{live} answers all callers again"
    candidate = route.candidate
    if candidate is not None:
        told = f"{candidate.artifact.version} answers {candidate.percent} % of the callers"
        yield candidate.component, candidate.since, told
