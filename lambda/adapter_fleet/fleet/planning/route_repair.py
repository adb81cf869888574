"""Routes that were lost or restored from an older day, and routes to what is not there.

A route is rebuilt from what serves, what callers read and what people ordered, never from the manifest alone.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from adapter_fleet.common.naming import ADAPTER_TAG
from adapter_fleet.fleet.planning.desired_state import pins_in_force
from adapter_fleet.fleet.planning.releases import (
    Versions,
    is_own,
    own_routes,
    owners_of,
    proven_artifact,
)
from adapter_fleet.fleet.state.components import Status
from adapter_fleet.fleet.state.fleet_settings import ReleaseSettings
from adapter_fleet.fleet.state.records import AdapterRecord, Order, Write
from adapter_fleet.fleet.state.routes import Candidate, PublishedRoute, Route, RoutedVersion
from adapter_fleet.manifest.desired import DesiredAdapter


def with_rebuilt(
    routes: Mapping[str, Route],
    published: Mapping[str, PublishedRoute],
    adapters: Collection[DesiredAdapter],
    records: Mapping[str, AdapterRecord],
    orders: Collection[Order],
    *,
    releases: ReleaseSettings,
    now: float,
) -> dict[str, Route]:
    """Return the stored routes, with one rebuilt for each adapter whose route is lost or too old.

    A stored route is too old if callers read a later one: both are written at once. One that names a
    component of another adapter, as a row of an older day may do, counts as lost.
    """
    rebuilt, proven = own_routes(routes, adapters, records), _proven(records)
    pins = pins_in_force(adapters, orders)
    for adapter in adapters:
        route, read = rebuilt.get(adapter.name), published.get(adapter.name)
        serving = proven.get(adapter.name, [])
        if read is None:
            lost = route is None and any(map(was_a_version, serving))
        else:
            known = records.get(read.component)
            later = known is not None and known.name == adapter.name
            lost = route is None or (later and read.revision > route.revision)
            if known is not None and is_there(known, adapter.name) and not _leaves(known):
                serving = serving or [known]  # rather than nothing: callers are sent to it
        if lost:
            read, pin = read or PublishedRoute(component=""), pins.get(adapter.name)
            found = _rebuilt(adapter, serving, read, pin, releases=releases, now=now)
            if found is not None:
                rebuilt[adapter.name] = found
    return rebuilt


def misleading(
    published: Mapping[str, PublishedRoute],
    adapters: Collection[DesiredAdapter],
    records: Mapping[str, AdapterRecord],
) -> set[str]:
    """Return the adapters whose callers read what somebody edited, or another adapter's component."""
    owners = owners_of(adapters, (), records)
    return {
        name
        for name, read in published.items()
        if not read.component or not is_own(name, read.component, owners)
    }


def was_a_version(record: AdapterRecord) -> bool:
    """Return True if a component was one of a fleet with releases, as its record says."""
    return record.routed_at is not None or ADAPTER_TAG in record.tags


def _proven(records: Mapping[str, AdapterRecord]) -> dict[str, list[AdapterRecord]]:
    """Return the records of what serves and is proven, and is not about to go, by adapter."""
    proven: dict[str, list[AdapterRecord]] = {}
    for record in records.values():
        if proven_artifact(record) is not None and not _leaves(record):
            proven.setdefault(record.name, []).append(record)
    return proven


def _leaves(record: AdapterRecord) -> bool:
    deleted = record.intent is not None and record.intent.write is Write.DELETE
    return deleted or record.counted is not None


def _rebuilt(
    adapter: DesiredAdapter,
    serving: Iterable[AdapterRecord],
    read: PublishedRoute,
    pin: Order | None,
    *,
    releases: ReleaseSettings,
    now: float,
) -> Route | None:
    """Return the route to what callers read, else to what people ordered, else to what was routed to last.

    Every other version is drained from now on. The declared one is new again if nothing says that it answers
    and another one serves. Returns None if nothing serves, or only what somebody rolled back from.
    """

    def preference(record: AdapterRecord) -> tuple[bool, bool, bool, float, float]:
        ordered = pin is not None and record.serving is not None and record.serving.same_as(pin.artifact)
        return (
            record.component != read.component,
            _has_failed(record),
            not ordered,
            -(record.routed_at or 0.0),
            record.owned or 0.0,  # of two that have the same version, rather the older one
        )

    # Without a share, a version that was routed to has answered all callers.
    shares = releases.canary is not None or adapter.percent is not None

    def is_new(record: AdapterRecord) -> bool:
        answered = record.routed_at is not None and not shares
        declared = adapter.artifact.same_version_as(record.serving) and not (answered or _has_failed(record))
        return record.component != read.component and (declared if pin is None else _is_left(record, pin))

    ranked = sorted(serving, key=preference)
    known = [record for record in ranked if not is_new(record)] or (ranked if pin is None else [])
    live = known[0] if known else None
    if live is None or live.serving is None:
        return None
    route = Route.first(adapter.name, live.component, live.serving, releases)
    others = tuple(
        RoutedVersion(
            component=record.component,
            artifact=record.serving,
            until=now,
            drain_seconds=releases.drain_seconds,
            abandoned=_has_failed(record),
        )
        for record in ranked
        if record is not live and record.serving is not None and (pin is not None or not is_new(record))
    )
    route = replace(route, versions=(*route.versions, *others))
    for record in ranked:
        if record.component == read.candidate and record.serving is not None and record is not live:
            candidate = Candidate(
                component=record.component,
                artifact=record.serving,
                percent=read.percent,
                since=now,
                declared=adapter.percent,
                judged=now,
            )
            return route.with_candidate(candidate)
    return route


def _has_failed(record: AdapterRecord) -> bool:
    return record.failure is not None and record.failure.artifact.same_as(record.serving)


def _is_left(record: AdapterRecord, pin: Order | None) -> bool:
    """Return True if somebody rolled back from the version that a component serves."""
    return pin is not None and record.serving is not None and record.serving.same_version_as(pin.replaces)


def mended(
    versions: Versions,
    route: Route,
    records: Mapping[str, AdapterRecord],
    pin: Order | None,
    *,
    now: float,
) -> Route | None:
    """Return the route to what serves and is proven, if what a route names is not there; None if it stays.

    It stays too if nothing else serves, or only what failed or what somebody rolled back from: the fleet
    creates again what it names.
    """
    if is_there(records.get(route.live.component), route.adapter):
        return None
    served = [version.component for version in route.served]
    declared = versions.declared.get(route.adapter)

    def preference(record: AdapterRecord) -> tuple[bool, int, float]:
        known = record.component in served
        answers = record.component == declared and (known or versions.wanted[declared].percent == 100)
        place = served.index(record.component) if known else len(served) + (record.component == declared)
        return not answers, place, -(record.routed_at or 0.0)

    found = [
        record
        for record in _proven(records).get(route.adapter, ())
        if not _has_failed(record) and not _is_left(record, pin)
    ]
    best = min(found, key=preference, default=None)
    if best is None or best.serving is None:
        return None
    return route.to(best.component, best.serving, now=now, releases=versions.releases)


def is_there(record: AdapterRecord | None, adapter: str) -> bool:
    """Return True if a component is in service and that adapter's, as its record knows."""
    return (
        record is not None
        and record.name == adapter
        and record.live is not None
        and record.owned == record.live.created
        and record.live.status in (Status.IN_SERVICE, Status.UPDATING)
    )


def may_answer(route: Route, records: Mapping[str, AdapterRecord]) -> bool:
    """Return True if what a route names is in service, or a version before it is, which is proven."""
    earlier = filter(None, (records.get(one.component) for one in route.served[1:]))
    return is_there(records.get(route.live.component), route.adapter) or any(
        proven_artifact(record) is not None and not _has_failed(record) for record in earlier
    )
