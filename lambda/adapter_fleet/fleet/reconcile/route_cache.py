"""The routes of adapters during a pass: they follow the versions that come into service."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from adapter_fleet.fleet.planning.decide import Decision, Step
from adapter_fleet.fleet.planning.releases import (
    Versions,
    is_superseded,
    new_route,
    proven_artifact,
    without_failed_version,
)
from adapter_fleet.fleet.planning.route_repair import is_there, may_answer, mended
from adapter_fleet.fleet.reconcile.canary_judge import CanaryJudge
from adapter_fleet.fleet.reconcile.route_store import RouteStore
from adapter_fleet.fleet.reconcile.session import Session
from adapter_fleet.fleet.state.records import AdapterRecord, Order
from adapter_fleet.fleet.state.routes import Route
from adapter_fleet.manifest.desired import Artifact


class RouteCache:
    """The route of every adapter, if the fleet has routes.

    canaries:
        What the pass finds about the versions that answer a share of the callers.
    waits_for_copy:
        True if a version in service waits for a copy of the base model to answer.
    is_open:
        True once the generation is admitted: only then are routes written.
    """

    def __init__(self, session: Session, store: RouteStore, versions: Versions) -> None:
        self._session, self._store = session, store
        self._planned, self._routes = versions.routes, dict(versions.routes)
        self._versions = replace(versions, routes=self._routes)
        self.canaries = CanaryJudge(session, self._versions, began=store.began)
        self._changed = {name for name, route in self._routes.items() if store.stored.get(name) != route}
        self._changed |= store.misread.keys() & self._routes.keys()
        self.waits_for_copy = self.is_open = False

    def answering(self, adapter: str) -> Artifact | None:
        """Return the version that a route names for all callers or most; None without a route."""
        route = self._routes.get(adapter)
        return None if route is None else route.live.artifact

    def publish(self, records: Mapping[str, AdapterRecord]) -> None:
        """Write again what callers are to read, where it was lost or edited and it serves."""
        self._store.forget_void()
        found = [route for _, route in sorted(self._store.misread.items())]
        misread = [route for route in found if is_there(records.get(route.live.component), route.adapter)]
        self._store.put(misread)

    def mend(self, records: Mapping[str, AdapterRecord], pins: Mapping[str, Order]) -> bool:
        """Route to what serves, where a route names what is not there; return True if one did.

        Other components are wanted then: what a route named is created only if it is declared.
        """
        versions, now, found = self._versions, self._session.clock.now(), False
        for name, planned in self._planned.items():
            record = records.get(planned.live.component)
            # It answers as the records say that this pass began with. What callers read is no assumption.
            assumed = self._store.is_assumed(planned)
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
        """Judge the canaries whose step has ended."""
        for route in self.canaries.judge(self._routes.values()):
            self._routes[route.adapter] = route
            self._changed.add(route.adapter)

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
            advances=record.component in self.canaries.advances,
        )
        if route is not None:
            self.canaries.advances.discard(record.component)
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
        self._store.forget_void()
        if not self._changed:
            return
        now = self._session.clock.now()
        # Callers are sent to a version until the route is written, which may be long after the decision.
        changed = [self._routes[name].left_at(now, after=self._store.began) for name in sorted(self._changed)]
        for route in self._store.put(changed):
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
        rows = {*self._routes, *self._store.adapters, *leaving, *versions.unreadable}
        gone = sorted(rows - versions.declared.keys())
        self._store.forget(gone)
        for name in gone:
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
        judgements = [
            moment for route in self._routes.values() if (moment := self.canaries.due(route)) is not None
        ]
        # What was due before has been seen to.
        return [moment for moment in (*drained, *judgements) if moment > self._store.began]


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
