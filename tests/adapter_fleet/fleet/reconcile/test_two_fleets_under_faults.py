"""Two fleets with releases on one endpoint leave each other alone, though their names nest."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from adapter_fleet.common.naming import FLEET_TAG
from adapter_fleet.fleet.state.failures import Cause
from adapter_fleet.fleet.state.fleet_settings import (
    DeletionLimit,
    DriftAction,
    FailureLimit,
    FleetSettings,
    ReleaseSettings,
)
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.records import OrderKind
from adapter_fleet.fleet.state.routes import Route
from adapter_fleet.fleet.state.rows.leased_table import Lease
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter
from tests.adapter_fleet.fake_service import Crash, Faults
from tests.adapter_fleet.fleet.reconcile.under_faults import BrokenPromise, promise, run_stories
from tests.adapter_fleet.fleet_world import Execution, World
from tests.nightly import stories

PREFIXES = ("p", "p-a")
NAMES = (["a", "b", "a-b"], ["b", "11111111", "c"])
"""The first fleet's `a-b` and version 1 of its `a` want the components of the second's `b` and `11111111`."""
RELEASES = st.sampled_from([None, *(ReleaseSettings(keep=keep, drain_seconds=60.0) for keep in (0, 1))])
FLEETS = st.integers(0, 1)


def artifact(uid: str, name: str, version: int) -> Artifact:
    return Artifact(uri=f"s3://{uid}/{name}/v{version}.tar.gz", digest=f"{version}" * 64)


class OneOfTwo(World):
    """A fleet on the endpoint of another one, with a role and a base model of its own."""

    def __init__(self, number: int, base: str, fleet: FleetSettings, beside: OneOfTwo | None) -> None:
        super().__init__(settings=fleet, clock=None if beside is None else beside.clock)
        self.uid = f"uid-{number}"
        if beside is not None:
            self.service = beside.service
        if base not in self.service.components:
            self.service.add_base("endpoint", base)
        self.target = replace(self.target, prefix=PREFIXES[number], base=base)
        self.reconciler = replace(self.reconciler, uid=self.uid, service=self.service)
        put_routes = self.registry.routes.put

        def put(routes: list[Route], lease: Lease) -> list[Route]:
            self.check_routes(routes)
            return put_routes(routes, lease)

        self.registry.routes.put = put  # type: ignore[assignment,method-assign]

    def run_pass(self, execution: Execution, *, deadline: float = 600.0) -> None:
        self.service.uid = self.uid
        super().run_pass(execution, deadline=deadline)

    def check_routes(self, routes: list[Route]) -> None:
        """Callers are sent to nothing but the fleet's own components, each for its own adapter."""
        self.service._settle()
        for route in routes:
            there = self.service.components.get(route.live.component)
            own = there is not None and there.tags.get(FLEET_TAG) == self.uid
            promise(own and f"s3://{self.uid}/{route.adapter}/" in there.uri, f"{route} names {there}")

    def adapters(self, manifest: dict[str, int]) -> tuple[DesiredAdapter, ...]:
        return tuple(
            DesiredAdapter(
                name=name,
                component=f"{self.target.prefix}-{name}",
                artifact=artifact(self.uid, name, version),
            )
            for name, version in sorted(manifest.items())
        )


class TwoFleets(RuleBasedStateMachine):
    """Two fleets, what people do to either, and a service that loses calls."""

    @initialize(
        seconds=st.sampled_from([0.5, 5.0]),
        releases=st.tuples(RELEASES, RELEASES),
        one_base=st.booleans(),
        drift=st.sampled_from([None, *DriftAction]),
        faults=st.builds(
            Faults, listing_lag=st.sampled_from([0.0, 3.0]), tags_lag=st.sampled_from([0.0, 8.0])
        ),
    )
    def begin(
        self,
        seconds: float,
        releases: tuple[ReleaseSettings | None, ...],
        one_base: bool,
        drift: DriftAction | None,
        faults: Faults,
    ) -> None:
        fleet = FleetSettings(
            request_rate=10.0,
            drift=drift,
            failures=FailureLimit(share=1.0),
            deletions=DeletionLimit(share=1.0, allow_empty=True),
        )
        first = OneOfTwo(0, "base", replace(fleet, releases=releases[0]), None)
        base = "base" if one_base else "other-base"
        self.fleets = first, OneOfTwo(1, base, replace(fleet, releases=releases[1]), first)
        self.service = first.service
        self.service.seconds, self.service.faults = seconds, faults
        self.wanted: list[dict[str, int]] = [{}, {}]
        self.owned: dict[tuple[str, float], str] = {}
        self.calls: int | None = None
        for number, names in enumerate(NAMES):
            self._open(number, dict.fromkeys(names[:2], 1))

    def _open(self, number: int, manifest: dict[str, int]) -> None:
        self.wanted[number] = manifest
        self.fleets[number].deploy(*self.fleets[number].adapters(manifest))

    def _around(self, _operation: str, _when: str) -> None:
        """No component changes hands, and none serves what another fleet declares."""
        for name, there in self.service.components.items():
            uid = there.tags.get(FLEET_TAG)
            if there.base is not None and uid is not None:
                first = self.owned.setdefault((name, there.created), uid)
                promise(first == uid, f"{name} went from {first} to {uid}")
                promise(f"s3://{uid}/" in there.uri, f"{name} of {uid} has {there.uri}")
        promise(self.service.foreign_writes == [], f"refused by a role: {self.service.foreign_writes}")
        if self.calls is not None:
            self.calls -= 1
            if self.calls < 0:
                self.calls = None
                raise Crash

    # --- what happens

    @rule(number=FLEETS, times=st.integers(1, 6), deadline=st.sampled_from([2.0, 600.0]))
    def run(self, number: int, times: int, deadline: float) -> None:
        fleet = self.fleets[number]
        for _ in range(times):
            self.service.around = self._around
            execution = fleet.next_execution()
            if execution is None:
                return
            try:
                fleet.run_pass(execution, deadline=deadline)
            except BrokenPromise as broken:
                raise AssertionError(*broken.args) from broken

    @rule(number=FLEETS, data=st.data(), passes=st.integers(0, 4))
    def deploy(self, number: int, data: st.DataObject, passes: int) -> None:
        manifests = st.dictionaries(st.sampled_from(NAMES[number]), st.integers(1, 3))
        self._open(number, data.draw(manifests))
        self.run(number, passes, 600.0)

    @rule(number=FLEETS, releases=RELEASES)
    def switch(self, number: int, releases: ReleaseSettings | None) -> None:
        fleet = self.fleets[number]
        fleet.with_settings(replace(fleet.target.settings, releases=releases))
        self._open(number, self.wanted[number])

    @rule(number=FLEETS, trigger=st.sampled_from(["drift", "order", "scaling"]))
    def start(self, number: int, trigger: str) -> None:
        self.fleets[number].start_machine(trigger)

    @rule(number=FLEETS, calls=st.integers(0, 40))
    def crash(self, number: int, calls: int) -> None:
        self.calls = calls
        self.run(number, 1, 600.0)
        self.calls = None

    @rule(throttled=st.integers(0, 6), before=st.integers(0, 2), after=st.integers(0, 2))
    def lose_calls(self, throttled: int, before: int, after: int) -> None:
        faults = self.service.faults
        faults.throttled, faults.lost_before, faults.lost_after = throttled, before, after

    @rule(seconds=st.sampled_from([1.0, 61.0, 4000.0]))
    def time_passes(self, seconds: float) -> None:
        self.service.clock.time += seconds

    @rule(number=FLEETS, lost=st.booleans())
    def replace_the_base(self, number: int, lost: bool) -> None:
        fleet = self.fleets[number]
        self.service.replace_base(f"model-{self.service.clock.now()}", lost=lost, base=fleet.target.base)

    @rule(number=FLEETS)
    def lose_the_registry(self, number: int) -> None:
        self.fleets[number].lose_registry()
        self._open(number, self.wanted[number])

    # --- in the end

    def teardown(self) -> None:
        if not hasattr(self, "fleets"):
            return
        faults = self.service.faults
        faults.throttled = faults.lost_before = faults.lost_after = 0
        self.calls = None
        for _ in range(2):
            self.service.clock.time += 4000.0
            for number, fleet in enumerate(self.fleets):
                self._open(number, self.wanted[number])
                for component in fleet.registry.records.all():
                    fleet.order(OrderKind.RETRY, component.removeprefix("p-"))
                self._settle(number)
        for number in (0, 1):
            self._check_fleet(number)
        kept = self._components_of(1)
        self.fleets[0].destroy()
        self._settle(0)
        left = self._components_of(0)
        assert not [name for name in left if name not in str(self.fleets[0].newest().reason)]
        assert self._components_of(1) == kept

    def _components_of(self, number: int) -> dict[str, str]:
        there, uid = self.service.components, self.fleets[number].uid
        return {name: one.uri for name, one in there.items() if one.tags.get(FLEET_TAG) == uid}

    def _settle(self, number: int) -> None:
        for _ in range(300):
            if self.fleets[number].next_execution() is None:
                return
            self.run(number, 1, 600.0)
        raise AssertionError(f"it does not converge: {self.fleets[number].describe()}")

    def _check_fleet(self, number: int) -> None:
        """Each adapter answers, or the other fleet has its component and its failure says so."""
        fleet, serving = self.fleets[number], self.service.serving()
        assert fleet.newest().outcome is Outcome.CONVERGED, fleet.describe()
        routes, records = fleet.registry.routes.read().routes, fleet.registry.records.all()
        for name, version in self.wanted[number].items():
            component = routes[name].live.component if name in routes else f"{fleet.target.prefix}-{name}"
            if serving.get(component) != artifact(fleet.uid, name, version).uri:
                failures = [record.failure for record in records.values() if record.name == name]
                assert Cause.FOREIGN in [each.cause for each in failures if each], fleet.describe()


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_two_fleets_on_one_endpoint_leave_each_other_alone() -> None:
    run_stories(TwoFleets, examples=stories(30))
