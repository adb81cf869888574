"""Releases keep their four promises whatever happens, in any order (docs/guides/fleets.md)."""

import hashlib
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from adapter_fleet.common.naming import FLEET_TAG
from adapter_fleet.fleet.planning.releases import proven_artifact
from adapter_fleet.fleet.state.components import Status
from adapter_fleet.fleet.state.failures import Cause
from adapter_fleet.fleet.state.fleet_settings import (
    CanarySettings,
    DeletionLimit,
    DriftAction,
    FailureLimit,
    FleetSettings,
    ReleaseSettings,
)
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.records import Order, OrderKind
from adapter_fleet.fleet.state.routes import PublishedRoute, Route, StoredRoutes
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter, DesiredFleet, SmokeRequest
from tests.adapter_fleet.fake_service import Crash, Faults
from tests.adapter_fleet.fleet.reconcile.under_faults import (
    InjectedError,
    WatchedFleet,
    promise,
    run_stories,
)
from tests.adapter_fleet.fleet_world import UID, Execution, World, with_retry
from tests.adapter_fleet.memory_registry import MemoryRegistry
from tests.nightly import stories

NAMES = ["a", "b", "c", "a-11111111"]
"""Version 1 of the first may have the component of the last."""
SMOKED = ("b", "c")
VERSIONS = st.integers(1, 3)
DRAIN = 120.0
MANIFESTS = st.dictionaries(st.sampled_from(NAMES), VERSIONS, max_size=len(NAMES))
CANARY = CanarySettings(steps=(5, 25), every_seconds=300.0)
RELEASES = st.sampled_from(
    [
        ReleaseSettings(keep=keep, drain_seconds=DRAIN, canary=canary)
        for keep, canary in ((0, None), (1, None), (2, None), (0, CANARY), (1, CANARY))
    ]
)


def artifact(name: str, version: int) -> Artifact:
    # A component's name has the first 8 characters.
    digest = f"{version}" * 8 + hashlib.sha256(name.encode()).hexdigest()[:56]
    return Artifact(uri=f"s3://bucket/{name}/v{version}.tar.gz", digest=digest)


def adapters(manifest: dict[str, int], percents: dict[str, int | None]) -> tuple[DesiredAdapter, ...]:
    smoke = SmokeRequest(body={"inputs": "Hello"})
    return tuple(
        DesiredAdapter(
            name=name,
            component=f"p-{name}",
            artifact=artifact(name, version),
            smoke=smoke if name in SMOKED else None,
            percent=percents.get(name),
        )
        for name, version in sorted(manifest.items())
    )


class WithoutRoutes:
    """The registry as a release sees it that knows no routes."""

    def __init__(self, registry: MemoryRegistry) -> None:
        self._registry = registry
        self.routes = NoRoutes()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._registry, name)


class NoRoutes:
    """The routes of a registry that has none."""

    def read(self) -> StoredRoutes:
        return StoredRoutes({}, {}, {})

    def published(self, *_: object) -> dict[str, PublishedRoute]:
        return {}

    def put(self, *_: object) -> list[Route]:
        return []

    def forget(self, *_: object) -> None:
        pass


class FleetOfReleases(WatchedFleet):
    """A fleet with releases, its callers, and what people and the service may do to it."""

    @initialize(
        seconds=st.sampled_from([0.5, 5.0, 40.0]),
        drift=st.sampled_from([None, *DriftAction]),
        share=st.sampled_from([0.0, 1.0]),
        releases=st.none() | RELEASES,
        faults=st.builds(
            Faults,
            listing_lag=st.sampled_from([0.0, 3.0]),
            describe_lag=st.sampled_from([0.0, 2.0]),
            modified_moves=st.booleans(),
        ),
    )
    def begin(
        self,
        seconds: float,
        drift: DriftAction | None,
        share: float,
        releases: ReleaseSettings | None,
        faults: Faults,
    ) -> None:
        self.world = World(
            seconds=seconds,
            settings=FleetSettings(
                request_rate=10.0,
                drift=drift,
                failures=FailureLimit(share=share),
                deletions=DeletionLimit(share=1.0, allow_empty=True),
                releases=releases,
            ),
        )
        self.world.service.faults = faults
        self.before: dict[str, int] = {}
        self.wanted: dict[str, int] = {}
        self.percents: dict[str, int | None] = {}
        self.named: dict[str, float] = {}
        """When a route last ceased to send callers to a component."""
        self.known: dict[str, Route] = {}
        self.contested: set[str] = set()
        self.proven: set[str] = set()
        self.backups: list[MemoryRegistry] = []
        self.lost: set[str] = set()
        """The adapters whose routes were lost or restored, and not written since."""
        self.older: dict[str, dict[str, Any]] = {}
        self.watch()
        self.code = self.world.reconciler
        self.releases: ReleaseSettings | None = releases
        self._open({"a": 2, "b": 1, NAMES[-1]: 1})

    # --- what is watched at every call

    def _around(self, operation: str, when: str) -> None:
        verb, _, name = operation.partition(" ")
        if (verb, when) == ("DeleteInferenceComponent", "before"):
            self._watch_deletion(name)
        if (verb, when) == ("routes.put", "after"):
            self._watch_routes()
        if (verb, when) == ("routes.forget", "after"):
            self.lost &= self.declared
        self._count_call()

    def _watch_routes(self) -> None:
        """No route is written to a component that is not in service and proven."""
        service = self.world.service
        service._settle()
        for name, route in self.world.registry.routes.read().routes.items():
            before = self.known.get(name)
            row = self.world.registry.items.get(f"route#{name}", {}).get("route", {})
            if name in self.lost and row.get("revision") != {"N": f"{route.revision}"}:
                continue  # it is not written again yet
            self.lost.discard(name)
            self._watch_rollback(route, before)
            self._watch_candidate(route, before)
            live = route.live
            if before is not None and before.live == route.live:
                self._note_route(route)  # a longer drain alone routes nobody
                continue
            there = service.components.get(live.component)
            if live.component not in self.contested:
                promise(
                    there is not None and there.status is not Status.FAILED, f"{name} is routed to {there}"
                )
                assert there is not None
                first = route.revision == 1 or live.component in self.proven
                copies = service.copies or self.world.fleet().base_copies  # as the fleet saw them last
                known = service.components.keys() - self.contested
                gone = before is not None and before.live.component not in known
                awake = copies > 0 or gone  # a request to what is gone would wake nobody
                promise(awake or first, f"{name} is routed to {live}, and nobody can have answered")
                silent = name in SMOKED and live.artifact.uri in service.faults.silent
                promise(not silent or first, f"{name} is routed to {live}, which fails its smoke request")
                serves = there.serves == live.artifact.uri or service.copies == 0
                promise(serves and there.tags.get(FLEET_TAG) == UID, f"{name} is routed to {there}")
            self._note_route(route)

    def _watch_rollback(self, route: Route, before: Route | None) -> None:
        """Nobody's rollback is undone while it is in force."""
        for order in self.world.registry.orders.all():
            replaced = order.replaces
            if order.kind is not OrderKind.PIN or order.component != f"p-{route.adapter}" or replaced is None:
                continue
            declared = artifact(route.adapter, self.wanted.get(route.adapter, 0))
            stayed = before is not None and before.live.artifact == route.live.artifact
            undone = route.live.artifact.same_as(replaced) and replaced.same_as(declared)
            promise(stayed or not undone, f"{order} is undone by {route}")

    def _watch_candidate(self, route: Route, before: Route | None) -> None:
        """A share is given to a version in service that has passed, and grows with each good step."""
        candidate, faults = route.candidate, self.world.service.faults
        # A route that was deleted meanwhile begins anew.
        goes_on = before is not None and route.revision == before.revision + 1
        had = before.candidate if before is not None and goes_on else None
        releases = self.world.newest().request.target.settings.releases
        judged = had is not None and had.declared is None and self.percents.get(route.adapter) is None
        if before is not None and had is not None and judged and releases is not None and releases.canary:
            # It is compared with the version before, which may do as badly.
            worse = had.artifact.uri in faults.worse and before.live.artifact.uri not in faults.worse
            well = not worse and faults.asked >= CANARY.min_requests
            there = self.world.service.components.keys() - self.contested
            gone = before.live.component not in there  # then nobody else may answer
            went_live = candidate is None and had.component == route.live.component and not gone
            promise(not went_live or (well and had.percent >= 25), f"{had} answers all")
        if candidate is None or route == before:  # a restored route may name what is gone
            return
        if had is not None and had.component == candidate.component:
            grew = candidate.percent >= had.percent or candidate.declared != had.declared
            # Where somebody edited a route to what is not there, it is compared with another version now.
            anew = before is not None and before.live != route.live
            promise(grew or anew, f"{candidate} had more: {had}")
        elif candidate.component not in self.contested:
            there = self.world.service.components.get(candidate.component)
            serves = there is not None and there.serves == candidate.artifact.uri
            silent = route.adapter in SMOKED and candidate.artifact.uri in faults.silent
            passes = not silent or candidate.component in self.proven
            promise(serves and passes, f"{candidate} answers callers, and is {there}")

    def _note_route(self, route: Route) -> None:
        self.proven.add(route.live.component)
        before = self.known.get(route.adapter)
        if before is not None:
            left = _answering(before) - _answering(route)
            self.named |= dict.fromkeys(left, self.world.clock.now())
            if route.candidate is not None:
                self.proven.add(route.candidate.component)
        self.known[route.adapter] = route

    @property
    def _is_old(self) -> bool:
        """True if the code is that of a release without routes."""
        return self.world.reconciler is not self.code

    def _watch_deletion(self, name: str) -> None:
        """Nobody is sent to a component that goes: no route names it, or has named it lately."""
        if self._is_old:
            return
        there = self.world.service.components.get(name)
        if there is None or there.status is not Status.IN_SERVICE or name in self.contested:
            return
        in_force = self.world.registry.lineage.newest_not_refused(self.world.newest())
        releases = None if in_force is None else in_force.request.target.settings.releases
        now = self.world.clock.now()
        keep = 0 if releases is None else releases.keep
        lost = {name: self.known[name] for name in self.lost & self.known.keys() & self.declared}
        for route in (self.world.registry.routes.read().routes | lost).values():
            kept = [one.component for one in route.versions[: keep + 1] if not one.abandoned]
            promise(name not in {*kept, *_answering(route)}, f"{name} is deleted, and {route} names it")
            if name in [version.component for version in route.versions]:
                waited = now - self.named.get(name, 0.0)
                promise(waited >= (DRAIN if releases else 0.0) - 1, f"{name} is deleted after {waited} s")

    def _run(self, deadline: float, execution: Execution) -> None:
        self.declared = self.wanted.keys() if self.world.newest().outcome is not Outcome.REFUSED else set()
        super()._run(deadline, execution)
        failures = [record.failure for record in self.world.registry.records.all().values() if record.failure]
        reasons = [failure.reason for failure in failures if failure.cause is Cause.UNEXPECTED]
        assert [reason for reason in reasons if InjectedError.__name__ not in reason] == []

    # --- what happens

    def _open(self, manifest: dict[str, int], *, previous: str | None = None) -> None:
        self.world.deploy(*adapters(manifest, self.percents), previous=previous)
        self.before, self.wanted = self.wanted, dict(manifest)

    @rule(name=st.sampled_from(NAMES), version=VERSIONS, passes=st.integers(0, 6))
    def release(self, name: str, version: int, passes: int) -> None:
        self.deploy({**self.wanted, name: version}, passes)

    @rule(manifest=MANIFESTS, passes=st.integers(0, 6))
    def deploy(self, manifest: dict[str, int], passes: int) -> None:
        if self.world.newest().outcome in (Outcome.FAILED, Outcome.REFUSED):
            self.cloudformation_rolls_back()
        self._open(manifest, previous=self._digest())
        self.run(600.0, passes)

    def _digest(self) -> str:
        return DesiredFleet(adapters=adapters(self.wanted, self.percents)).digest

    @rule(name=st.sampled_from(NAMES), percent=st.sampled_from([None, 1, 50, 100]))
    def say_a_share(self, name: str, percent: int | None) -> None:
        self.percents[name] = percent

    @rule(name=st.sampled_from(NAMES), percent=st.sampled_from([10, 60, 100]))
    def raise_by_hand(self, name: str, percent: int) -> None:
        """Do what `adapters promote` does."""
        self._raise(name, percent)

    def _raise(self, name: str, percent: int) -> None:
        releases = self.world.target.settings.releases
        route = self.world.registry.routes.read().routes.get(name)
        candidate, now = None if route is None else route.candidate, self.world.clock.now()
        if releases is None or route is None or candidate is None or percent <= candidate.percent:
            return
        raised = route.to(candidate.component, candidate.artifact, now=now, releases=releases)
        if percent < 100:
            raised = route.with_candidate(replace(candidate, percent=percent, since=now, judged=now))
        if self.world.registry.routes.put_by_hand(raised):
            self._note_route(self.world.registry.routes.read().routes[name])
        self.world.start_machine("order")

    @rule()
    def cloudformation_rolls_back(self) -> None:
        self._open(self.before, previous=self._digest())

    @rule(releases=st.one_of(st.none(), RELEASES))
    def switch(self, releases: ReleaseSettings | None) -> None:
        if not self._is_old:
            self.world.with_settings(replace(self.world.target.settings, releases=releases))
            self._open(self.wanted)

    @rule(old=st.booleans(), passes=st.integers(0, 4), rolled_back=st.booleans())
    def change_the_code(self, old: bool, passes: int, rolled_back: bool) -> None:
        """Deploy the code of a release without routes, or this one, alone or as it takes back an update."""
        if old == self._is_old:
            return
        if old:
            self.releases = self.world.target.settings.releases
            blind = WithoutRoutes(self.world.registry)
            self.world.reconciler = replace(self.code, registry=blind)  # type: ignore[arg-type]
        else:
            self._return_to_the_code()
        settings = replace(self.world.target.settings, releases=None if old else self.releases)
        self.world.with_settings(settings)
        self._open(self.before if rolled_back else self.wanted, previous=self._digest())
        self.run(600.0, passes)

    def _return_to_the_code(self) -> None:
        self.world.reconciler = self.code
        # What it left is nobody's promise.
        self.contested |= {record.component for record in self.world.registry.records.all().values()}
        self.lost |= self.known.keys()

    def _roll_back(self, name: str, index: int) -> None:
        """Do what `adapters rollback` does: back to a version that stays, by its route."""
        releases = self.world.target.settings.releases
        route = self.world.registry.routes.read().routes.get(name)
        if releases is None or route is None or name not in self.wanted:
            return
        there = self.world.service.components
        kept = [version for version in route.served[: releases.keep + 1] if version.component in there]
        declared = artifact(name, self.wanted[name])
        if index >= len(kept) or kept[index].artifact.same_version_as(declared):
            return
        to = kept[index]
        order = Order(
            kind=OrderKind.PIN,
            component=f"p-{name}",
            at=self.world.clock.now(),
            artifact=to.artifact,
            replaces=declared,
        )
        if self.world.registry.routes.put_by_hand(
            route.to(to.component, to.artifact, now=self.world.clock.now(), releases=releases),
            with_retry(order),
        ):
            self._note_route(self.world.registry.routes.read().routes[name])
        self.world.start_machine("order")

    @rule(name=st.sampled_from(NAMES), what=st.sampled_from([1, 2, OrderKind.UNPIN, OrderKind.RETRY]))
    def order(self, name: str, what: int | OrderKind) -> None:
        if isinstance(what, OrderKind):
            self.world.order(what, name)
        else:
            self._roll_back(name, what)

    @rule(deadline=st.sampled_from([0.2, 2.0, 600.0]), times=st.integers(1, 6))
    def run(self, deadline: float, times: int) -> None:
        self.run_passes(deadline, times)

    @rule(
        calls=st.integers(0, 40),
        what=st.sampled_from(["crash", "error", "roll back", "raise", "deploy", "stall"]),
        name=st.sampled_from(NAMES),
        manifest=MANIFESTS,
    )
    def interfere(self, calls: int, what: str, name: str, manifest: dict[str, int]) -> None:
        """Let something happen at one of the calls of a pass."""

        def act() -> None:
            match what:
                case "crash":
                    raise Crash
                case "error":
                    raise InjectedError
                case "roll back":
                    self._roll_back(name, 1)
                case "raise":
                    self._raise(name, 100)
                case "deploy":
                    self._open(manifest)
                case "stall":
                    self.world.clock.time += 120.0
                    self.world.start_machine("order")
                    self._run(600.0, self.world.executions[-1])

        self.happens(calls, act)

    @rule(seconds=st.sampled_from([1.0, DRAIN / 2, DRAIN + 1, 4000.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.clock.time += seconds

    @rule(throttled=st.integers(0, 10), before=st.integers(0, 3), after=st.integers(0, 3))
    def lose_calls(self, throttled: int, before: int, after: int) -> None:
        faults = self.world.service.faults
        faults.throttled, faults.lost_before, faults.lost_after = throttled, before, after

    @rule(
        name=st.sampled_from(NAMES),
        version=VERSIONS,
        how=st.sampled_from(["silent", "silent", "broken", "missing", "worse", "worse", "well"]),
    )
    def spoil(self, name: str, version: int, how: str) -> None:
        faults, uri = self.world.service.faults, artifact(name, version).uri
        faults.broken.pop(uri, None)
        faults.silent.discard(uri)
        faults.missing.discard(uri)
        faults.worse.discard(uri)
        if how == "broken":
            faults.broken[uri] = "bad tensors"
        elif how != "well":
            getattr(faults, how).add(uri)
        # What has passed before may be routed to afterwards.
        records = self.world.registry.records.all().values()
        self.proven |= {record.component for record in records if record.passed and record.passed.uri == uri}

    @rule(asked=st.sampled_from([0.0, 1000.0]))
    def ask(self, asked: float) -> None:
        self.world.service.faults.asked = asked

    @rule(copies=st.sampled_from([0, 1, 3]))
    def scale(self, copies: int) -> None:
        self.world.service.copies = copies
        self.world.start_machine("scaling" if copies else "drift")

    @rule(data=st.data())
    def delete_by_hand(self, data: st.DataObject) -> None:
        names = sorted(name for name, there in self.world.service.components.items() if there.base)
        if names:
            name = data.draw(st.sampled_from(names))
            self.contested.add(name)
            self.world.service.remove(name)

    @rule(
        data=st.data(),
        how=st.sampled_from(["fleet's", "callers'", "both", *["edited"] * 4, "older", "what answers"]),
        looks=st.booleans(),
    )
    def lose_a_route(self, data: st.DataObject, how: str, looks: bool) -> None:
        """Delete or edit rows of a route, restore the fleet's from an older day, or delete what it names."""
        self.run(600.0, 4)
        names, items = sorted(self.world.registry.routes.read().routes), self.world.registry.items
        if not names or self._is_old:
            return
        name = data.draw(st.sampled_from(names))
        live = self.world.registry.routes.read().routes[name].live.component
        rows, read = items["routes"], items.get(f"route#{name}", {})
        match how:
            case "edited" if read:
                other = data.draw(st.sampled_from(names))
                theirs = [f"p-{name}-99999999", f"p-{other}-33333333", self.known[other].live.component]
                named = data.draw(st.sampled_from(theirs))
                document = rows[name]["doc"]["S"].replace(live, data.draw(st.sampled_from([live, named])))
                rows[name] = {**rows[name], "doc": {"S": document}}
                read["route"] = {**read["route"], "component": {"S": named}, "revision": {"N": "0"}}
            case "older" if name in self.older:
                rows[name] = self.older.pop(name)
            case "older":
                self.older[name] = rows[name]
                return
            case "what answers" if live in self.world.service.components:
                self.contested.add(live)
                self.world.service.remove(live)
            case _:
                if how in ("fleet's", "both"):
                    del rows[name]
                if how in ("callers'", "both"):
                    read.clear()
        if how != "what answers":
            self.lost.add(name)
        self.world.start_machine("order")
        if looks:
            self.look_after_a_pass()

    @rule()
    def look_after_a_pass(self) -> None:
        """A pass without faults mends every route to what is not there, if anything else serves."""
        world, faults = self.world, self.world.service.faults
        if self._is_old or world.newest().outcome not in (Outcome.OPEN, Outcome.CONVERGED):
            return
        faults.throttled = faults.lost_before = faults.lost_after = 0
        world.end_executions()
        world.start_machine("order")
        world.clock.time += 120.0  # after the lease of a pass that died, and after every lag
        self._run(600.0, world.executions[-1])
        pins = {
            order.component: order for order in world.registry.orders.all() if order.kind is OrderKind.PIN
        }
        records = world.registry.records.all()
        for name, route in world.registry.routes.read().routes.items():
            clashes = {"a", NAMES[-1]} <= self.wanted.keys() and name in ("a", NAMES[-1])
            if name not in self.wanted or clashes:
                continue  # where one could take the other's component, both are left alone
            row = world.registry.items[f"route#{name}"].get("route", {"component": None})
            assert row["component"] == {"S": route.live.component}, f"callers read {row}, not {route}"
            there = world.service.components.get(route.live.component)
            record = records.get(route.live.component)
            assert record is None or record.name == name, f"{route} names {record}"
            others = [
                record.component
                for record in records.values()
                if record.name == name
                and proven_artifact(record) is not None
                and (record.failure, record.counted, record.intent) == (None, None, None)
                and f"p-{name}" not in pins
            ]
            serves = there is not None and there.status in (Status.IN_SERVICE, Status.UPDATING)
            assert serves or not others, f"{route} names {there}, and {others} serve"

    @rule(lost=st.booleans())
    def lose_the_registry(self, lost: bool) -> None:
        """Restore a backup of the registry, which may name what has gone since; or lose it."""
        if lost:
            self.world.lose_registry()
            self.backups.clear()
        elif not self.backups:
            self.backups.append(self.world.registry.clone())
            return
        else:
            self.world.registry.restore(self.backups.pop())
        self._after_loss()

    def _after_loss(self) -> None:
        self.world.end_executions()
        self.contested |= set(self.world.service.components)
        self.known = self.world.registry.routes.read().routes
        self.lost.clear()
        self.older.clear()
        self._open(self.wanted)

    # --- in the end

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        world, faults = self.world, self.world.service.faults
        faults.throttled = faults.lost_before = faults.lost_after = 0
        faults.broken.clear()
        faults.silent.clear()
        faults.missing.clear()
        faults.worse.clear()
        faults.asked = 1000.0
        self.percents.clear()
        world.service.copies = max(1, world.service.copies)
        if self._is_old:
            self._return_to_the_code()
            self._open(self.wanted)
        for _ in range(2):
            self.settle()
            for name in NAMES:
                world.order(OrderKind.UNPIN, name)
            for component in world.registry.records.all():
                world.order(OrderKind.RETRY, component.removeprefix("p-"))
            world.clock.time += 10.0
            self._open(self.wanted)
            self.settle()
            self._part_adapters()
        assert world.newest().outcome is Outcome.CONVERGED, world.describe()
        routes, serving = world.registry.routes.read().routes, world.serving()
        releases = world.target.settings.releases
        if releases is not None or routes:
            assert routes.keys() == self.wanted.keys() or releases is None
        for name, version in self.wanted.items():
            component = routes[name].live.component if name in routes else f"p-{name}"
            assert serving[component.removeprefix("p-")] == artifact(name, version).uri, world.describe()
        # What the registry found with the fleet's tag is reported, and only a person deletes it.
        own = [record.component for record in world.registry.records.all().values() if not record.adopted]
        most = 1 + (0 if releases is None else releases.keep)
        assert len(own) <= most * len(self.wanted), f"{own} are left: {world.describe()}"
        items = world.registry.items
        for name, route in routes.items():
            assert route.candidate is None
            assert items[f"route#{name}"]["route"]["component"] == {"S": route.live.component}
            assert "percent" not in items[f"route#{name}"]["route"]
        world.clock.time += 1000
        writes = len(world.writes())
        self._open(self.wanted)
        self.settle()
        assert world.writes()[writes:] == []

    def _part_adapters(self) -> None:
        """Do what a refusal asks for, where an adapter would take the component of another one."""
        refused = re.search(
            "adapter '(.*?)' would take .* from adapter '(.*?)'", self.world.newest().reason or ""
        )
        if refused is None:
            return
        former, latter = refused.groups()
        for leaves in (former, latter):
            self._open({name: version for name, version in self.wanted.items() if name != leaves})
            self.settle()


def _answering(route: Route) -> set[str]:
    """Return the components that callers are sent to."""
    return {route.live.component} | ({route.candidate.component} if route.candidate is not None else set())


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_releases_keep_their_promises_whatever_happens() -> None:
    run_stories(FleetOfReleases, examples=stories(40))
