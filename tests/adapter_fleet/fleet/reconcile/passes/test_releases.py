"""Releases: a component for each version of an adapter, and a route to the one that answers."""

import itertools
from dataclasses import replace

import pytest

from adapter_fleet.common.naming import ADAPTER_TAG, FLEET_TAG
from adapter_fleet.fleet.state.failures import Cause
from adapter_fleet.fleet.state.fleet_settings import (
    CanarySettings,
    DeletionLimit,
    DriftAction,
    FailureLimit,
    FleetSettings,
    ReleaseSettings,
)
from adapter_fleet.fleet.state.generations import Outcome, Source
from adapter_fleet.fleet.state.records import Order, OrderKind
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter, DesiredFleet, SmokeRequest
from tests.adapter_fleet.fleet_world import UID, World, deployed
from tests.adapter_fleet.fleet_world import released as adapter

DRAIN = 900.0
RELEASES = FleetSettings(
    request_rate=10.0, drift=DriftAction.REPAIR, releases=ReleaseSettings(keep=1, drain_seconds=DRAIN)
)
IN_PLACE = replace(RELEASES, releases=None)
SMOKE = SmokeRequest(body={"inputs": "Hello"})


def artifact(name: str, version: int) -> Artifact:
    return adapter(name, version).artifact


def component(name: str, version: int) -> str:
    return f"p-{name}-{str(version) * 8}"


def routed(world: World) -> dict[str, str]:
    return {name: route.live.component for name, route in world.registry.routes.read().routes.items()}


@pytest.fixture
def world() -> World:
    return World(settings=RELEASES)


def test_version_is_a_component_of_its_own_and_its_predecessor_stays(world: World) -> None:
    world.apply(adapter("a"), adapter("b"))
    assert routed(world) == {"a": component("a", 1), "b": component("b", 1)}
    assert world.service.components[component("a", 1)].tags == {FLEET_TAG: UID, ADAPTER_TAG: "a"}
    writes = len(world.writes())
    world.apply(adapter("a", 2), adapter("b"))
    assert world.writes()[writes:] == [f"CreateInferenceComponent {component('a', 2)}"]
    assert routed(world)["a"] == component("a", 2)
    assert world.newest().outcome is Outcome.CONVERGED
    assert (world.newest().desired, world.newest().in_service, world.newest().changes) == (2, 2, 1)


def test_retry_restores_every_version_of_the_adapter_that_it_names_and_of_no_other(world: World) -> None:
    world.with_settings(replace(RELEASES, drift=None))
    for version in (1, 2):
        world.apply(adapter("a", version), adapter("b", version))
    for name, version in itertools.product("ab", (1, 2)):
        world.service.remove(component(name, version))
    world.carry_out(OrderKind.RETRY, "a-22222222")
    assert set(world.serving()) == {"a-11111111", "a-22222222"}


def test_version_that_nobody_goes_back_to_is_deleted_once_it_is_drained(world: World) -> None:
    for version, drain in ((1, DRAIN), (2, 60.0), (3, 60.0)):  # a shorter one is that of later versions
        world.with_settings(replace(RELEASES, releases=ReleaseSettings(drain_seconds=drain)))
        world.apply(adapter("a", version), retries=False)
        until = world.clock.now() + DRAIN
    assert set(world.serving()) == {f"a-{str(version) * 8}" for version in (1, 2, 3)}
    world.run_for(DRAIN - 60)
    assert component("a", 1) in world.service.components
    world.settle()
    assert world.deletions() == [f"DeleteInferenceComponent {component('a', 1)}"]
    assert until - 10 <= world.clock.now() <= until + 60
    assert set(world.serving()) == {"a-22222222", "a-33333333"}


def test_version_at_another_address_is_the_same_one(world: World) -> None:
    world.apply(adapter("a"))
    writes = len(world.writes())
    moved = replace(artifact("a", 1), uri="s3://other/a.tar.gz")
    world.apply(replace(adapter("a"), artifact=moved))
    assert world.writes()[writes:] == []
    assert world.newest().outcome is Outcome.CONVERGED


def test_version_that_fails_is_deleted_and_the_route_stays(world: World) -> None:
    world.apply(adapter("a"), adapter("b"), settings=replace(RELEASES, failures=FailureLimit(share=1.0)))
    world.service.faults.broken[artifact("a", 2).uri] = "bad tensors"
    world.apply(adapter("a", 2), adapter("b"))
    assert routed(world)["a"] == component("a", 1)
    assert component("a", 2) not in world.service.components
    assert "bad tensors" in (world.newest().reason or "")
    assert world.newest().failed == 1
    writes = len(world.writes())
    world.drift()
    assert world.writes()[writes:] == []


def test_failed_deployment_is_rolled_back_without_a_write_but_to_what_failed(world: World) -> None:
    first = world.deploy(adapter("a"), adapter("b"))
    world.settle()
    world.service.faults.silent.add(artifact("a", 2).uri)
    digest = first.request.source_digest
    world.apply(adapter("a", 2, smoke=SMOKE), adapter("b", 2), digest="second", previous=digest)
    assert world.newest().outcome is Outcome.FAILED
    assert routed(world) == {"a": component("a", 1), "b": component("b", 2)}
    writes = len(world.writes())
    world.apply(adapter("a"), adapter("b"), digest=digest, previous="second")
    assert world.newest().outcome is Outcome.CONVERGED
    assert routed(world) == {"a": component("a", 1), "b": component("b", 1)}
    assert not [write for write in world.writes()[writes:] if write.startswith("Create")]


def test_guard_counts_adapters_and_no_versions(world: World) -> None:
    world.with_settings(replace(RELEASES, deletions=DeletionLimit(share=0.0, above=0)))
    names = ["a", "b", "c"]
    world.apply(*map(adapter, names))
    for version in (2, 3):
        world.apply(*(adapter(name, version) for name in names))
        assert world.newest().outcome is Outcome.CONVERGED
    world.apply(*(adapter(name, 3) for name in names[:2]))
    assert world.newest().outcome is Outcome.REFUSED
    assert "1 of 3 adapters" in (world.newest().reason or "")
    world.apply(*(adapter(name, 3) for name in names[:2]), settings=RELEASES)
    assert set(routed(world)) == {"a", "b"}
    assert not [name for name in world.serving() if name.startswith("c-")]


def test_fleet_that_was_updated_in_place_routes_to_what_is_there_and_goes_back(world: World) -> None:
    world.apply(adapter("a"), adapter("b"), settings=IN_PLACE)
    world.with_settings(RELEASES)
    writes = len(world.writes())
    world.apply(adapter("a", 2), adapter("b"))
    assert routed(world) == {"a": component("a", 2), "b": "p-b"}
    assert sorted(world.writes()[writes:]) == [
        "AddTags p-a",
        "AddTags p-b",
        f"CreateInferenceComponent {component('a', 2)}",
    ]
    assert set(world.serving()) == {"a", "b", "a-22222222"}
    world.apply(adapter("a", 3), adapter("b", 2), settings=IN_PLACE)
    assert routed(world) == {"a": "p-a", "b": "p-b"}
    assert world.serving() == {"a": artifact("a", 3).uri, "b": artifact("b", 2).uri}


def test_nobody_is_routed_to_a_component_that_has_gone_unnoticed(world: World) -> None:
    world.apply(adapter("a"), settings=IN_PLACE)
    world.service.remove("p-a")
    world.apply(adapter("a"), settings=RELEASES)
    assert routed(world) == {"a": component("a", 1)}


def test_component_that_was_drained_and_deleted_is_created_again_when_releases_end(world: World) -> None:
    short = replace(RELEASES, releases=ReleaseSettings(keep=0, drain_seconds=60.0))
    for settings, version in ((IN_PLACE, 1), (short, 2), (IN_PLACE, 2)):
        world.apply(adapter("a", version), settings=settings)
    assert world.serving() == {"a": artifact("a", 2).uri}
    told = [event.cause for event in world.log.events if event.what == "routed"]
    assert told[-1] == f"p-a answers instead of {component('a', 2)}"


def test_person_goes_back_by_the_route_alone_until_the_manifest_has_another_version(world: World) -> None:
    world.apply(adapter("a"))
    world.apply(adapter("a", 2))
    writes = len(world.writes())
    route = world.registry.routes.read().routes["a"]
    earlier = route.versions[1]
    assert roll_back(world, 1, 2)
    assert not world.registry.routes.put_by_hand(route, []), "somebody has changed it since"
    assert routed(world)["a"] == earlier.component
    for trigger in ("order", "drift"):
        world.trigger(trigger)
        assert routed(world)["a"] == earlier.component
    assert world.writes()[writes:] == []
    world.apply(adapter("a", 3))
    assert routed(world)["a"] == component("a", 3)


def roll_back(world: World, to: int, declared: int) -> bool:
    """Do what `adapters rollback` of an earlier release does, which retries nothing."""
    route = world.registry.routes.read().routes["a"]
    back = route.to(component("a", to), artifact("a", to), now=world.clock.now(), releases=ReleaseSettings())
    pin = Order(
        kind=OrderKind.PIN,
        component="p-a",
        at=world.clock.now(),
        artifact=artifact("a", to),
        replaces=artifact("a", declared),
    )
    return world.registry.routes.put_by_hand(back, [pin])


def test_first_version_is_routed_at_zero_copies_and_a_successor_once_a_copy_has_answered(
    world: World,
) -> None:
    world.service.copies = 0
    world.apply(adapter("a", smoke=SMOKE), adapter("b"), retries=False)
    assert routed(world) == {"a": component("a", 1), "b": component("b", 1)}
    world.deploy(adapter("a", 2, smoke=SMOKE), adapter("b", 2))
    world.run_for(600)
    assert routed(world) == {"a": component("a", 1), "b": component("b", 1)}
    world.service.copies = 1
    world.settle()
    assert routed(world) == {"a": component("a", 2), "b": component("b", 2)}


def test_routes_go_before_the_fleet_does(world: World) -> None:
    world.apply(adapter("a"), adapter("b"))
    seen: list[dict[str, str]] = []
    world.service.on("DeleteInferenceComponent", lambda: seen.append(routed(world)))
    world.take_down()
    assert (world.serving(), seen) == ({}, [{}, {}])


def test_component_that_no_route_has_named_is_an_orphan_and_stays(world: World) -> None:
    world.apply(adapter("a"))
    world.service.make("p-a-99999999", "s3://bucket/x", tags={FLEET_TAG: UID})
    world.drift()
    assert "p-a-99999999" in world.service.components
    assert world.newest().orphans == 1


def test_component_of_someone_else_is_in_the_way_of_no_version_and_may_be_taken_over(world: World) -> None:
    there = world.service.make("p-a", artifact("a", 1).uri)
    world.service.make("p-b", artifact("b", 1).uri)
    world.apply(adapter("a"), adapter("b"))
    assert routed(world) == {"a": component("a", 1), "b": component("b", 1)}
    world.apply(adapter("b"))
    world.order(OrderKind.CLAIM, "a", created=there.created)
    world.apply(adapter("a"), adapter("b"))
    assert routed(world) == {"a": "p-a", "b": component("b", 1)}
    assert "p-b" in world.service.components


def test_removal_that_is_taken_back_leaves_the_route_and_its_history(world: World) -> None:
    world.apply(adapter("a"), adapter("b"))
    world.apply(adapter("a", 2), adapter("b"))
    before = world.registry.routes.read().routes["a"]
    world.service.faults.broken[artifact("b", 2).uri] = "bad tensors"
    kept = world.newest().request.source_digest
    world.apply(adapter("b", 2), digest="removal", previous=kept)
    assert world.newest().outcome is Outcome.FAILED
    assert world.registry.routes.read().routes["a"] == before
    world.apply(adapter("a", 2), adapter("b"), digest=kept, previous="removal")
    assert world.registry.routes.read().routes["a"] == before
    assert world.deletions() == [f"DeleteInferenceComponent {component('b', 2)}"]


def test_component_of_another_adapter_is_no_first_version(world: World) -> None:
    world.apply(replace(adapter("a"), component="p-x"), settings=IN_PLACE)
    world.with_settings(RELEASES)
    world.service.faults.silent.add(artifact("b", 1).uri)
    world.apply(replace(adapter("b", smoke=SMOKE), component="p-x"))
    assert "b" not in routed(world)


def test_update_in_place_that_is_under_way_ends_before_its_adapter_is_routed(world: World) -> None:
    world.apply(adapter("a"), settings=IN_PLACE)
    world.deploy(adapter("a", 2))
    world.run_for(1)
    world.apply(adapter("a", 2), settings=RELEASES)
    assert routed(world) == {"a": "p-a"}
    assert set(world.serving()) == {"a"}


class TestCanary:
    """A new version answers a share of the callers, which grows while it does as well as the one before."""

    @pytest.fixture
    def world(self) -> World:
        releases = ReleaseSettings(drain_seconds=DRAIN, canary=CanarySettings(every_seconds=600.0))
        return deployed(adapter("a"), adapter("b"), settings=replace(RELEASES, releases=releases))

    def shares(self, world: World) -> dict[str, str]:
        """Return what callers read of each adapter: the component, the candidate and its share."""
        items = {name: world.registry.items[f"route#{name}"]["route"] for name in ("a", "b")}
        return {
            name: " ".join(value for key, field in item.items() if key in PARTS for value in field.values())
            for name, item in items.items()
        }

    def begin(self, world: World) -> None:
        world.apply(adapter("a", 2), adapter("b"), retries=False)

    def test_share_grows_step_by_step_and_the_deployment_waits_for_the_first(self, world: World) -> None:
        self.begin(world)
        assert world.newest().outcome is Outcome.CONVERGED
        assert self.shares(world) == {
            "a": f"{component('a', 1)} {component('a', 2)} 5",
            "b": component("b", 1),
        }
        began = world.clock.now()
        while self.shares(world)["a"].endswith(" 5"):
            world.step()
        assert self.shares(world)["a"].endswith(" 25")
        assert 600 < world.clock.now() - began < 860
        world.settle()
        assert self.shares(world)["a"] == component("a", 2)
        assert world.registry.routes.read().routes["a"].versions[1].component == component("a", 1)

    def test_version_that_does_worse_leaves_and_is_not_tried_again(self, world: World) -> None:
        world.service.faults.worse.add(artifact("a", 2).uri)
        world.apply(adapter("a", 2), adapter("b", 2))
        assert self.shares(world) == {"a": component("a", 1), "b": component("b", 2)}
        failure = world.failure("a-22222222")
        assert (failure.cause, failure.reason) == (
            Cause.CANARY,
            "100.0% of its 1000 requests failed, and 0.0% of the 1000 of the version before",
        )
        assert f"DeleteInferenceComponent {component('a', 2)}" in world.deletions(), "it is drained"
        writes = len(world.writes())
        world.apply(adapter("a", 2), adapter("b", 2))
        assert world.writes()[writes:] == []
        world.service.faults.worse.clear()
        world.carry_out(OrderKind.RETRY, "a-22222222")
        assert self.shares(world)["a"] == component("a", 2)

    def test_last_modified_time_that_moves_by_itself_begins_no_canary_again(self, world: World) -> None:
        world.service.faults.worse.add(artifact("a", 2).uri)
        world.service.faults.modified_moves = True
        world.apply(adapter("a", 2), adapter("b"))
        assert world.failure("a-22222222").cause is Cause.CANARY

    def test_new_code_alone_goes_on_with_the_canary_that_is_under_way(self, world: World) -> None:
        self.begin(world)
        under_way = world.registry.routes.read().routes["a"].candidate
        desired, writes = DesiredFleet(adapters=(adapter("a", 2), adapter("b"))), len(world.writes())
        world.open(world.request(Source.DEPLOYMENT, code_alone=True), desired)
        world.settle_without_retries()
        assert (world.newest().outcome, world.newest().changes) == (Outcome.CONVERGED, 0)
        assert world.registry.routes.read().routes["a"].candidate == under_way
        assert world.writes()[writes:] == []

    def test_version_is_not_blamed_for_what_somebody_put_in_its_place(self, world: World) -> None:
        self.begin(world)
        world.service.faults.worse.add("s3://bucket/by-hand")
        world.service.edit(component("a", 2), "s3://bucket/by-hand")
        world.settle()
        assert world.record("a-22222222").failure is None
        assert self.shares(world)["a"] == component("a", 2)

    def test_step_with_too_few_requests_goes_on_and_says_so(self, world: World) -> None:
        world.service.faults.asked = 99.0
        self.begin(world)
        world.run_for(3000.0)
        candidate = world.registry.routes.read().routes["a"].candidate
        assert candidate is not None
        assert (candidate.percent, candidate.held) == (5, "it got 99 requests, 100 wanted")
        world.service.faults.asked = 100.0
        world.settle()
        assert self.shares(world)["a"] == component("a", 2)

    def test_share_of_the_manifest_stays_until_it_says_another(self, world: World) -> None:
        for percent in (10, 60):
            world.apply(replace(adapter("a", 2), percent=percent), adapter("b"))
            world.run_for(5000.0)
            assert self.shares(world)["a"].endswith(f" {percent}")
        world.apply(replace(adapter("a", 2), percent=100), adapter("b"))
        assert self.shares(world)["a"] == component("a", 2)

    def test_share_of_the_manifest_is_the_end_of_a_canary_by_itself(self, world: World) -> None:
        self.begin(world)
        world.service.faults.worse.add(artifact("a", 2).uri)
        world.apply(replace(adapter("a", 2), percent=40), adapter("b"))
        world.run_for(5000.0)
        assert self.shares(world)["a"].endswith(" 40")
        world.service.faults.worse.clear()
        world.apply(adapter("a", 2), adapter("b"), retries=False)
        assert self.shares(world)["a"].endswith(" 40"), "a canary goes on from there"
        world.settle()
        assert self.shares(world)["a"] == component("a", 2)

    def test_fleet_without_the_canary_any_more_sends_all_callers_there(self, world: World) -> None:
        self.begin(world)
        world.apply(adapter("a", 2), adapter("b"), settings=RELEASES)
        assert self.shares(world)["a"] == component("a", 2)

    def test_version_that_has_answered_all_callers_does_so_again_at_once(self, world: World) -> None:
        for version in (2, 3):
            world.apply(adapter("a", version), adapter("b"))
        world.service.faults.asked = 0.0
        world.apply(replace(adapter("a", 2), percent=5), adapter("b"))
        assert self.shares(world)["a"] == component("a", 2)
        pin = {"artifact": artifact("a", 1), "replaces": artifact("a", 2)}
        assert component("a", 1) not in world.service.components
        world.carry_out(OrderKind.PIN, "a", **pin)
        assert self.shares(world)["a"] == component("a", 1), "it was loaded again"

    def test_manifest_that_takes_it_back_sends_nobody_there_and_drains_it(self, world: World) -> None:
        self.begin(world)
        world.apply(adapter("a"), adapter("b"), retries=False)
        assert self.shares(world)["a"] == component("a", 1)
        began = world.clock.now()
        world.settle()
        assert DRAIN <= world.clock.now() - began < DRAIN + 60
        assert set(world.serving()) == {"a-11111111", "b-11111111"}

    def test_candidate_that_is_deleted_by_hand_is_asked_by_nobody(self, world: World) -> None:
        self.begin(world)
        world.service.remove(component("a", 2))
        world.service.faults.broken[artifact("a", 2).uri] = "bad tensors"
        world.drift()
        assert self.shares(world)["a"] == component("a", 1)


PARTS = ("component", "candidate", "percent")


class TestComponentThatTwoAdaptersMayHave:
    """`a-11111111` was updated in place, and a version of `a` would get its component, or the reverse."""

    def world(self, *adapters: DesiredAdapter) -> World:
        world = deployed(*adapters, settings=replace(IN_PLACE, deletions=DeletionLimit(share=1.0)))
        world.apply(*adapters, settings=replace(RELEASES, deletions=DeletionLimit(share=1.0)))
        return world

    def check_answers(self, world: World) -> None:
        """Callers of both get what their own adapter answers."""
        serving = world.service.serving()
        for name, component in routed(world).items():
            assert f"/{name}/" in str(serving[component])

    def test_change_that_declares_both_is_refused_and_both_answer_on(self) -> None:
        world = self.world(adapter("a", 2), adapter("a-11111111", 3))
        writes = len(world.writes())
        world.apply(adapter("a", 1), adapter("a-11111111", 3))
        assert world.newest().outcome is Outcome.REFUSED
        reason = "adapter 'a' would take p-a-11111111 from adapter 'a-11111111'; give one of them another"
        assert str(world.newest().reason).startswith(reason)
        assert world.newest().failed == 0
        assert world.writes()[writes:] == []
        self.check_answers(world)

    def test_one_that_leaves_keeps_it_until_it_is_gone(self) -> None:
        world = self.world(adapter("a", 2), adapter("a-11111111", 3))
        world.apply(adapter("a", 1))
        assert world.newest().outcome is Outcome.REFUSED
        self.check_answers(world)
        world.apply(adapter("a", 2))
        world.apply(adapter("a", 1))
        assert world.newest().outcome is Outcome.CONVERGED
        assert routed(world) == {"a": "p-a-11111111"}
        self.check_answers(world)

    def test_version_that_leaves_keeps_it_from_an_adapter_that_is_updated_in_place(
        self, world: World
    ) -> None:
        world.apply(adapter("a", 1), adapter("b"))
        world.apply(
            adapter("a-11111111", 3),
            adapter("b"),
            settings=replace(IN_PLACE, deletions=DeletionLimit(share=1.0)),
        )
        assert world.newest().outcome is Outcome.REFUSED
        self.check_answers(world)

    def test_undo_that_no_guard_refuses_fails_that_adapter_alone(self) -> None:
        world = self.world(adapter("a", 2), adapter("a-11111111", 3))
        desired = DesiredFleet(adapters=(adapter("a", 1), adapter("a-11111111", 3), adapter("b")))
        world.open(world.request(Source.UNDO, source_digest=desired.digest), desired)
        world.settle()
        assert str(world.newest().reason).startswith("a: adapter 'a' would take p-a-11111111")
        assert routed(world) == {"a": "p-a", "a-11111111": "p-a-11111111", "b": component("b", 1)}
        self.check_answers(world)


def test_component_that_looks_like_a_version_s_is_the_adapter_s_own_if_the_manifest_names_it() -> None:
    """`component: p-a-11111111`: the first eight digits of the version that it has."""
    first, other = replace(adapter("a"), component=component("a", 1)), adapter("b")
    world = deployed(first, other, settings=replace(IN_PLACE, deletions=DeletionLimit(share=0.0, above=0)))
    world.apply(replace(first, artifact=artifact("a", 2)), other)
    assert world.service.components[component("a", 1)].serves == artifact("a", 2).uri
    world.with_settings(replace(RELEASES, deletions=DeletionLimit(share=0.0, above=0)))
    writes = len(world.writes())
    world.apply(replace(first, artifact=artifact("a", 2)), other)
    assert world.newest().outcome is Outcome.CONVERGED
    assert {write.split()[0] for write in world.writes()[writes:]} == {"AddTags"}
    assert routed(world) == {"a": component("a", 1), "b": "p-b"}
    world.apply(replace(first, artifact=artifact("a", 3)), other)
    assert world.newest().outcome is Outcome.CONVERGED
    assert routed(world)["a"] == f"{component('a', 1)}-33333333"
