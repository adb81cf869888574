"""Releases: each version of an adapter is a component of its own, and a route says which one answers.

What is wanted are the declared versions, and beside them those that a route has named lately.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from adapter_fleet.common.bounded_text import text_of
from adapter_fleet.common.naming import ADAPTER_TAG, VERSION_SUFFIX_LENGTH, version_component
from adapter_fleet.fleet.planning.decide import Decision, Step
from adapter_fleet.fleet.state.components import Status
from adapter_fleet.fleet.state.fleet_settings import ReleaseSettings
from adapter_fleet.fleet.state.records import AdapterRecord, Write
from adapter_fleet.fleet.state.routes import Candidate, Route
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter

IN_PLACE_AGAIN = ReleaseSettings(keep=0)
"""Callers follow the routes of a fleet that has had releases. Its versions are drained."""


@dataclass(frozen=True, kw_only=True)
class Versions:
    """The components that a fleet wants; `routes` has first ones of what was updated in place.

    declared:
        The component of the declared version by adapter.
    wanted:
        The adapters by component: the declared versions, and those that stay in force.
    named:
        The components that routes in force name, also those that are gone or not adopted again yet.
    left_alone:
        The components of adapters whose rows cannot be used, and why.
    clash:
        Why an adapter cannot have its declared component, which another one has; None if each can.
    unreadable:
        The adapters whose routes cannot be read.
    has_routes:
        False for a fleet that was always updated in place: each adapter has one component, and no route.
    """

    releases: ReleaseSettings
    routes: Mapping[str, Route]
    declared: Mapping[str, str]
    wanted: Mapping[str, DesiredAdapter]
    named: Collection[str] = ()
    left_alone: Mapping[str, str] = field(default_factory=dict)
    clash: str | None = None
    unreadable: Collection[str] = ()
    has_routes: bool = True

    @classmethod
    def in_place(cls, wanted: Mapping[str, DesiredAdapter]) -> "Versions":
        """Return the components of adapters that are updated in place."""
        declared = {adapter.name: component for component, adapter in wanted.items()}
        return cls(releases=IN_PLACE_AGAIN, routes={}, declared=declared, wanted=wanted, has_routes=False)

    def is_declared(self, record: AdapterRecord) -> bool:
        """Return True if a component has the declared version of its adapter."""
        return self.declared.get(record.name) == record.component


def versions_of(
    adapters: Collection[DesiredAdapter],
    routes: Mapping[str, Route],
    records: Mapping[str, AdapterRecord],
    releases: ReleaseSettings | None,
    *,
    claimed: Collection[str],
    now: float,
    unreadable: Mapping[str, str],
) -> Versions:
    """Return the components of declared adapters.

    releases:
        None if adapters are updated in place again.
    claimed:
        The components that someone ordered to take over.
    unreadable:
        Why the routes of some adapters cannot be read.
    """
    recorded: dict[str, dict[str, AdapterRecord]] = {}
    for record in filter(lambda record: record.is_own, records.values()):
        recorded.setdefault(record.name, {})[record.component] = record
    routes, owners = own_routes(routes, adapters, records), owners_of(adapters, routes, records)
    found = []
    for adapter in adapters:
        own, clash, why = recorded.get(adapter.name, {}), None, unreadable.get(adapter.name)
        try:
            one = _of_adapter(adapter, own, routes.get(adapter.name), releases, claimed=claimed, now=now)
            clash = _taken(adapter, one.declared.values(), owners)
            why = why or clash or _taken(adapter, one.wanted, owners)
        except Exception as error:  # An error with one adapter must not stop the others.
            why = why or text_of(error)
        found.append(one if why is None else _left_alone(adapter, own, why, clash))
    wanted: dict[str, DesiredAdapter] = {}
    for one in sorted(found, key=lambda one: not one.left_alone):
        wanted |= one.wanted
    declared = {name: component for one in found for name, component in one.declared.items()}
    return Versions(
        releases=releases or IN_PLACE_AGAIN,
        routes={**routes, **{name: route for one in found for name, route in one.routes.items()}},
        declared=declared,
        wanted={component: wanted[component] for component in (*declared.values(), *wanted)},
        named={component for one in found for component in one.named},
        left_alone={
            component: why
            for one in found
            for component, why in one.left_alone.items()
            if wanted[component] is one.wanted[component]
        },
        clash=next((one.clash for one in found if one.clash), None),
        unreadable=unreadable.keys(),
    )


def _of_adapter(
    adapter: DesiredAdapter,
    own: Mapping[str, AdapterRecord],
    route: Route | None,
    releases: ReleaseSettings | None,
    *,
    claimed: Collection[str],
    now: float,
) -> Versions:
    """Return the versions of one adapter; `own` are the records of its components."""
    in_force, in_place = releases or IN_PLACE_AGAIN, own.get(adapter.component)
    proven = proven_artifact(in_place)
    if route is None and proven is not None:
        route = Route.first(adapter.name, adapter.component, proven, in_force)
    if route is not None:
        route = _as_declared(route, adapter, own, releases, now)
    routed = [] if route is None else route.in_force(in_force, now)
    # What is gone is not loaded for a rollback alone.
    stay = {one.component: one.artifact for one in routed if one is routed[0] or one.component in own}
    if route is None and in_place is not None and (sent := _sent(in_place)) is not None:
        stay[adapter.component] = sent  # it answers until a route says who does
    # Some callers may still be sent to the component that is to be updated in place again.
    drains = in_place is not None and adapter.component in [one.component for one in routed[1:]]
    version = adapter
    if (releases is not None or drains) and not (adapter.component in claimed and in_place is None):
        version = _version(adapter, own.values(), route)
    percent = None if releases is None else adapter.percent
    version = replace(version, tags={**adapter.tags, ADAPTER_TAG: adapter.name}, percent=percent)
    # The smoke request may be that of another manifest.
    kept = {name: replace(version, component=name, artifact=one, smoke=None) for name, one in stay.items()}
    return Versions(
        releases=in_force,
        routes={} if route is None else {adapter.name: route},
        declared={adapter.name: version.component},
        wanted={**kept, version.component: version},
        named=[one.component for one in routed],
    )


def _left_alone(adapter: DesiredAdapter, own: Iterable[str], why: str, clash: str | None) -> Versions:
    """Return the versions of an adapter whose components stay as they are."""
    alone = {adapter.component, *own}
    return Versions(
        releases=IN_PLACE_AGAIN,
        routes={},
        declared={adapter.name: adapter.component},
        wanted={component: replace(adapter, component=component) for component in alone},
        named=alone,
        left_alone=dict.fromkeys(alone, why),
        clash=clash,
    )


def own_routes(
    routes: Mapping[str, Route],
    adapters: Collection[DesiredAdapter],
    records: Mapping[str, AdapterRecord],
) -> dict[str, Route]:
    """Return the routes without those of declared adapters that name a component of another one."""
    owners, declared = owners_of(adapters, routes, records), {adapter.name for adapter in adapters}
    return {
        name: route
        for name, route in routes.items()
        if name not in declared or all(is_own(name, one.component, owners) for one in route.all_versions)
    }


def is_own(adapter: str, component: str, owners: Mapping[str, str]) -> bool:
    """Return True if no other adapter has a component."""
    return owners.get(component.lower(), adapter).lower() == adapter.lower()


def owners_of(
    adapters: Iterable[DesiredAdapter], routes: Iterable[str], records: Mapping[str, AdapterRecord]
) -> dict[str, str]:
    """Return the adapter that has a component, by its name in lower case, as SageMaker ignores the case."""
    names = {*(adapter.name for adapter in adapters), *routes}
    return {one.component.lower(): one.name for one in records.values() if one.is_own and one.name in names}


def _taken(adapter: DesiredAdapter, components: Iterable[str], owners: dict[str, str]) -> str | None:
    """Return why an adapter cannot have one of these components; None if it can, and has them from now on."""
    for component in components:
        owner = owners.setdefault(component.lower(), adapter.name)
        if owner.lower() != adapter.name.lower():
            return (
                f"adapter {adapter.name!r} would take {component} from adapter {owner!r}; give one of them"
                " another name, or remove the latter in one deployment and add the former in the next"
            )
    return None


def _as_declared(
    route: Route,
    adapter: DesiredAdapter,
    own: Collection[str],
    releases: ReleaseSettings | None,
    now: float,
) -> Route:
    """Return a route with the declared drain, and without a candidate that is not declared or not there."""
    in_force, candidate = releases or IN_PLACE_AGAIN, route.candidate
    if route.drain_seconds < in_force.drain_seconds:
        route = replace(route, drain_seconds=in_force.drain_seconds)
    stays = releases is not None and candidate is not None and candidate.component in own
    if candidate is None or (stays and adapter.artifact.same_version_as(candidate.artifact)):
        return route
    return route.without_candidate(now=now, releases=in_force)


def versioned_name(component: str, artifact: Artifact | None) -> str:
    """Return the name of a version's component, by its artifact."""
    digest = None if artifact is None else artifact.digest
    return version_component(component, digest or "")


def _version(
    adapter: DesiredAdapter, recorded: Iterable[AdapterRecord], route: Route | None
) -> DesiredAdapter:
    """Return a declared version with its component: one that has it already, or one that is to have it."""
    made = replace(adapter, component=versioned_name(adapter.component, adapter.artifact))
    having = {record.component: _sent(record) for record in recorded if _has(record, adapter.artifact)}
    answers = having.keys() & ({route.live.component} if route is not None else set())
    for component in (*answers, made.component, *sorted(having)):
        serving = having.get(component)
        if serving is not None:
            # The same content at another address is no other version.
            artifact = replace(serving, digest=adapter.artifact.digest, probe=adapter.artifact.probe)
            return replace(adapter, component=component, artifact=artifact)
    return made


def _sent(record: AdapterRecord) -> Artifact | None:
    """Return what a component serves, or what is being sent to it."""
    sent = None if record.intent is None else record.intent.artifact
    return sent or record.serving


def _has(record: AdapterRecord, artifact: Artifact) -> bool:
    """Return True if a component has a version, and stays."""
    leaves = record.intent is not None and record.intent.write is Write.DELETE
    there = record.live is not None and record.drifted is None and not leaves
    return there and artifact.same_version_as(_sent(record))


def proven_artifact(record: AdapterRecord | None) -> Artifact | None:
    """Return what a component of the fleet serves, if it is in service and proven."""
    if record is None or record.live is None or record.serving is None:
        return None
    own = record.owned == record.live.created and record.live.status is Status.IN_SERVICE
    return record.serving if own and record.serving.same_as(record.last_good) else None


def new_route(
    versions: Versions,
    record: AdapterRecord,
    decision: Decision,
    *,
    now: float,
    has_copies: bool,
    answers: bool = True,
    advances: bool = False,
) -> Route | None:
    """Return the route to a declared version that is in service and proven; None if its route stays.

    Where no other one can answer, it needs no copy of the base model: only a request to it brings one.

    answers:
        True if what the route names, or named before, is in service.
    advances:
        True if the canary's step has ended well.
    """
    if not versions.has_routes:
        return None
    live, serving, route = record.live, record.serving, versions.routes.get(record.name)
    candidate = None if route is None else route.candidate
    if route is not None and candidate is not None and candidate.component == record.component:
        failed = decision.step is Step.FAILED and record.failure is not None and record.failure.final
        if live is None or record.owned != live.created or failed:
            return route.without_candidate(now=now, releases=versions.releases)
    if live is None or serving is None or not versions.is_declared(record):
        return None
    keeps = decision.step is Step.KEEP
    serves = keeps or (decision.step is Step.ASLEEP and live.status is Status.IN_SERVICE)
    if route is None:
        return Route.first(record.name, record.component, serving, versions.releases) if serves else None
    if route.live.component == record.component and route.live.artifact.same_as(serving):
        return None
    if serves and not answers:
        return route.to(record.component, serving, now=now, releases=versions.releases)
    if not keeps or not has_copies:
        return None
    return _with_share(versions, route, record.component, serving, now=now, advances=advances)


def _with_share(
    versions: Versions, route: Route, component: str, serving: Artifact, *, now: float, advances: bool
) -> Route | None:
    """Return the route that gives a declared version its share; None if it has it."""
    candidate = route.candidate
    percent = first_share(versions, route, component, serving)
    if advances and candidate is not None and versions.releases.canary is not None:
        percent = versions.releases.canary.after(candidate.percent)
    if percent >= 100:
        return route.to(component, serving, now=now, releases=versions.releases)
    want = versions.wanted[component].percent
    if candidate is not None and (percent, want) == (candidate.percent, candidate.declared):
        return None
    if candidate is not None and candidate.component != component:
        route = route.without_candidate(now=now, releases=versions.releases)
    return route.with_candidate(
        Candidate(
            component=component,
            artifact=serving,
            percent=percent,
            since=now,
            declared=want,
            judged=now,
        )
    )


def first_share(versions: Versions, route: Route, component: str, artifact: Artifact) -> int:
    """Return the share in percent of a declared version, as far as no step of a canary has ended."""
    if _goes_back(route, component, artifact):
        return 100
    return _share(route.candidate, versions.wanted[component].percent, versions.releases)


def share_to_come(
    versions: Versions, before: Route | None, record: AdapterRecord, decision: Decision
) -> int | None:
    """Return the share in percent that a declared version in service will have; None if it has it.

    before:
        The route that is stored.
    """
    planned = versions.routes.get(record.name)
    after = new_route(versions, record, decision, now=0.0, has_copies=True) or planned
    if before is None or after is None or not versions.is_declared(record):
        return None
    if _shares(before) == _shares(after):
        return None
    return 100 if after.candidate is None else after.candidate.percent


def _shares(route: Route) -> tuple[str, tuple[str, int] | None]:
    """Return which component answers, and which one answers a share."""
    candidate = route.candidate
    return route.live.component, None if candidate is None else (candidate.component, candidate.percent)


def _goes_back(route: Route, component: str, serving: Artifact) -> bool:
    """Return True if a version needs no share: it has answered all callers, or has no other one beside it."""
    versions = [version.artifact for version in route.served]
    served = any(serving.same_version_as(version) for version in versions)
    return served or route.live.component == component


def _share(candidate: Candidate | None, want: int | None, releases: ReleaseSettings) -> int:
    """Return the share in percent of a new version, as far as no step of a canary has ended.

    want:
        What the manifest says. A share that people have raised stays until it says another.
    """
    if want is not None:
        return candidate.percent if candidate is not None and candidate.declared == want else want
    if releases.canary is None:
        return 100
    return releases.canary.after(0) if candidate is None else candidate.percent


def is_superseded(versions: Versions, record: AdapterRecord) -> bool:
    """Return True if a component has an earlier version of a declared adapter, which nobody is sent to."""
    stays = record.component in versions.wanted or record.component in versions.named
    if stays or not versions.has_routes or record.name not in versions.declared or not record.is_own:
        return False
    routed = _routed(versions.routes.get(record.name))
    return record.counted is None and (not record.adopted or record.component in routed)


def _routed(route: Route | None) -> list[str]:
    return [] if route is None else [version.component for version in route.versions]


def without_failed_version(versions: Versions, record: AdapterRecord, decision: Decision) -> Decision:
    """Return the decision to delete a declared version that has failed for good, and that nobody is sent to.

    Its record keeps the reason, so that nobody tries it again.
    """
    live, failure = record.live, record.failure
    if (
        decision.step is not Step.FAILED
        or not versions.has_routes  # a first version that fails stays
        or failure is None
        or not failure.final
        or live is None
        or live.status.in_transition
        or record.owned != live.created
        or not versions.is_declared(record)
        or record.component in versions.named
    ):
        return decision
    return Decision(step=Step.DELETE, why=failure.reason)


def by_adapter(
    versions: Versions, records: Mapping[str, AdapterRecord], declared: Collection[str]
) -> Mapping[str, AdapterRecord]:
    """Return a record of each adapter by the component that a manifest means, as guards count adapters.

    declared:
        The components of the manifest, of which one may be named as a version's.
    """
    if not versions.has_routes:
        return records
    ordered = sorted(records.values(), key=lambda record: (record.is_own, record.owned is not None))
    return {
        record.component if record.component in declared else _manifest_component(record): record
        for record in ordered
    }


def _manifest_component(record: AdapterRecord) -> str:
    component, artifacts = record.component, [record.serving, *record.versions]
    artifacts += [tried.artifact for tried in (record.intent, record.failure) if tried is not None]
    start, adapter = component[:-VERSION_SUFFIX_LENGTH], record.tags.get(ADAPTER_TAG)
    # A registry that was lost knows no digest of what it finds, but its tags.
    tagged = adapter is not None and start.endswith(f"-{adapter}")
    named = any(component == versioned_name(start, artifact) for artifact in artifacts)
    return start if named or tagged else component
