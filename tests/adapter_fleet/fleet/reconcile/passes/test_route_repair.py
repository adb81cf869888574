"""Routes whose rows were lost, restored or edited, and routes to what is not there."""

from dataclasses import replace

import pytest

from adapter_fleet.fleet.state.fleet_settings import CanarySettings, DriftAction, ReleaseSettings
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.records import OrderKind
from adapter_fleet.manifest.desired import SmokeRequest
from tests.adapter_fleet.fleet.reconcile.passes.test_releases import (
    IN_PLACE,
    RELEASES,
    artifact,
    component,
    routed,
)
from tests.adapter_fleet.fleet_world import World, deployed
from tests.adapter_fleet.fleet_world import released as adapter

CANARY = replace(RELEASES, releases=ReleaseSettings(keep=1, drain_seconds=900.0, canary=CanarySettings()))


def read(world: World, name: str = "a") -> dict[str, str]:
    """Return what callers of an adapter read."""
    row = world.registry.items[f"route#{name}"]["route"]
    return {key: next(iter(row[key].values())) for key in ("component", "candidate", "percent") if key in row}


def lose(world: World, *which: str) -> None:
    """Delete rows of a route: the fleet's, or that of callers."""
    if "fleet" in which:
        del world.registry.items["routes"]["a"]
    if "callers" in which:
        del world.registry.items["route#a"]


def edit(world: World, name: str, component: str, *, callers: bool = False) -> None:
    """Let the fleet's row of an adapter's first version name another component; that of callers, too."""
    row = world.registry.items["routes"][name]
    row["doc"] = {"S": row["doc"]["S"].replace(f"p-{name}-11111111", component)}
    if callers:
        world.registry.items[f"route#{name}"]["route"]["component"] = {"S": component}


def roll_back(world: World, version: int, *, declared: int = 2) -> None:
    world.carry_out(OrderKind.PIN, "a", artifact=artifact("a", version), replaces=artifact("a", declared))


@pytest.fixture
def world() -> World:
    """A fleet whose adapter has had two versions."""
    world = deployed(adapter("a"), settings=RELEASES)
    world.apply(adapter("a", 2))
    return world


@pytest.mark.parametrize("trigger", [DriftAction.REPORT, DriftAction.REPAIR, "deployment"])
@pytest.mark.parametrize("revision", [None, 0, 10**9])
def test_row_of_callers_is_written_again(world: World, trigger: str, revision: int | None) -> None:
    if trigger != "deployment":
        world.apply(adapter("a", 2), settings=replace(RELEASES, drift=DriftAction(trigger)), digest="drift")
    meant = read(world)
    lose(world, "callers")
    if revision is not None:
        world.registry.write("route#a", "route", component=component("a", 1), revision=revision)
    if trigger == "deployment":
        world.apply(adapter("a", 2), digest="again")
    else:
        world.drift()
    assert read(world) == meant


@pytest.mark.parametrize("rows", [("fleet",), ("callers",), ("fleet", "callers")])
def test_rollback_outlives_the_loss_of_rows(world: World, rows: tuple[str, ...]) -> None:
    roll_back(world, 1)
    lose(world, *rows)
    writes = len(world.writes())
    world.drift()
    world.apply(adapter("a", 2), digest="again")
    assert routed(world)["a"] == read(world)["component"] == component("a", 1)
    assert world.writes()[writes:] == []
    world.carry_out(OrderKind.UNPIN, "a")
    assert routed(world)["a"] == component("a", 2)


def test_version_that_answered_all_answers_them_after_the_loss_of_both_rows(world: World) -> None:
    world.service.copies = 0
    world.start_machine("scaling")
    world.run_for(60)
    lose(world, "fleet", "callers")
    world.start_machine("order")
    world.step()
    assert read(world)["component"] == component("a", 2)


def test_row_of_the_fleet_from_an_older_day_moves_no_caller(world: World) -> None:
    older = world.registry.items["routes"]["a"]
    world.apply(adapter("a", 3))
    roll_back(world, 2, declared=3)
    world.apply(adapter("a", 3), digest="again")
    world.registry.items["routes"]["a"] = older
    world.drift()
    assert routed(world)["a"] == read(world)["component"] == component("a", 2)
    assert world.deletions() == [f"DeleteInferenceComponent {component('a', 1)}"], "it was drained before"


def test_row_of_an_older_day_that_names_what_another_adapter_has_by_now_counts_as_lost() -> None:
    world = deployed(adapter("a"), adapter("z"), settings=RELEASES)
    older = world.registry.items["routes"]["a"]
    world.apply(adapter("z"))
    world.run_for(5000)
    world.apply(adapter("z"), adapter("a-11111111"), settings=IN_PLACE)
    world.apply(adapter("a", 2), adapter("z"), adapter("a-11111111"), settings=RELEASES)
    world.registry.items["routes"]["a"] = older
    world.drift()
    assert routed(world)["a"] == read(world)["component"] == component("a", 2)


def test_edited_row_takes_nothing_from_callers_where_nothing_is_proven() -> None:
    world = deployed(adapter("a"), settings=replace(RELEASES, drift=DriftAction.REPORT))
    meant = read(world)
    world.service.edit(component("a", 1), "s3://bucket/by-hand.tar.gz")
    world.drift()
    edit(world, "a", component("a", 9))
    world.drift()
    assert read(world) == meant


def test_older_row_of_the_fleet_and_a_component_that_is_gone_are_mended_in_one_pass(world: World) -> None:
    older = world.registry.items["routes"]["a"]
    world.apply(adapter("a", 3))
    world.registry.items["routes"]["a"] = older
    world.service.remove(component("a", 3))
    world.start_machine("order")
    world.step()
    assert read(world)["component"] == component("a", 2)


@pytest.mark.parametrize("report", [True, False])
@pytest.mark.parametrize("callers", [True, False])
def test_route_to_another_adapter_is_rebuilt_from_what_serves(report: bool, callers: bool) -> None:
    world = deployed(adapter("a"), adapter("b"), settings=replace(RELEASES, drift=DriftAction.REPORT))
    edit(world, "a", component("b", 1), callers=callers)
    if report:
        world.drift()
        assert read(world)["component"] == component("a", 1)
    world.apply(adapter("a", 2), adapter("b"))
    assert (world.newest().outcome, world.newest().failed) == (Outcome.CONVERGED, 0)
    assert routed(world) == {"a": component("a", 2), "b": component("b", 1)}


@pytest.mark.parametrize("report", [True, False])
def test_route_to_another_adapter_goes_where_nothing_serves_of_its_own(report: bool) -> None:
    world = deployed(adapter("a"), adapter("b"), settings=replace(RELEASES, drift=DriftAction.REPORT))
    world.service.remove(component("a", 1))
    world.service.faults.missing.add(artifact("a", 1).uri)
    world.start_machine("order")
    world.run_for(60)
    edit(world, "a", component("b", 1), callers=True)
    world.end_executions()
    world.clock.time += 3600.0
    world.start_machine("drift" if report else "order")
    world.step()
    assert not world.registry.items["route#a"]
    world.service.faults.missing.clear()
    world.apply(adapter("a"), adapter("b"), digest="mended")
    assert read(world)["component"] == component("a", 1)


def test_versions_beside_the_one_that_answers_are_drained_after_a_loss(world: World) -> None:
    world.with_settings(replace(RELEASES, releases=ReleaseSettings(keep=0, drain_seconds=900.0)))
    world.apply(adapter("a", 3), retries=False)
    lose(world, "fleet")
    lost = world.clock.now()
    world.apply(adapter("a", 3), digest="again")
    assert set(world.serving()) == {"a-33333333"}
    assert world.clock.now() >= lost + 900.0


def test_share_that_callers_read_goes_on_after_a_loss() -> None:
    world = deployed(adapter("a"), settings=RELEASES)
    world.apply(replace(adapter("a", 2), percent=5))
    meant = read(world)
    assert meant["percent"] == "5"
    lose(world, "fleet")
    world.drift()
    assert read(world) == meant
    assert routed(world)["a"] == component("a", 1)


def test_canary_begins_again_where_nothing_says_who_answered() -> None:
    world = deployed(adapter("a"), settings=CANARY)
    world.apply(adapter("a", 2), retries=False)
    before = read(world)
    lose(world, "fleet", "callers")
    world.run_for(60)
    world.apply(adapter("a", 2), digest="again", retries=False)
    assert before == read(world)
    assert before["component"] == component("a", 1)


def test_route_to_what_an_older_release_deleted_leads_to_what_serves() -> None:
    """It knows no routes: it took the update back, and left a route to a component that is gone."""
    world = deployed(adapter("a"), settings=IN_PLACE)
    world.apply(adapter("a", 2), settings=RELEASES)
    assert read(world)["component"] == component("a", 2)
    world.service.remove(component("a", 2))
    del world.registry.items["records"][component("a", 2)]
    world.with_settings(IN_PLACE)
    writes = len(world.writes())
    world.deploy(adapter("a"), digest="again")
    world.step()
    assert read(world)["component"] == "p-a", "within one pass"
    world.settle()
    assert world.newest().outcome is Outcome.CONVERGED
    assert world.writes()[writes:] == [], "what nobody declares is not created"


def test_route_to_what_is_gone_leads_to_the_version_before_and_back(world: World) -> None:
    world.service.remove(component("a", 2))
    world.start_machine("order")
    world.step()
    assert read(world)["component"] == component("a", 1), "within one pass"
    world.settle()
    assert read(world)["component"] == component("a", 2), "it is created again"
    assert world.newest().outcome is Outcome.CONVERGED


@pytest.mark.parametrize("copies", [0, 1])
def test_new_version_answers_all_where_what_answered_is_gone(copies: int) -> None:
    world = deployed(adapter("a"), settings=CANARY)
    world.service.copies = copies
    world.service.faults.missing.add(artifact("a", 1).uri)
    world.service.remove(component("a", 1))
    world.deploy(adapter("a", 2))
    world.step()
    assert read(world) == {"component": component("a", 2)}, "within one pass"


def test_canary_keeps_its_share_where_an_earlier_version_can_answer() -> None:
    world = deployed(adapter("a"), settings=CANARY)
    for version in (2, 3):
        world.apply(adapter("a", version), retries=False)
        world.run_for(100_000 if version == 2 else 60)
    world.service.remove(component("a", 2))
    world.deploy(adapter("a", 3), digest="again")
    world.step()
    assert read(world)["component"] == component("a", 1)


def test_nobody_is_sent_to_a_version_that_was_rolled_back_from(world: World) -> None:
    roll_back(world, 1)
    world.service.remove(component("a", 1))
    world.start_machine("order")
    world.step()
    assert read(world)["component"] == component("a", 1)
    world.settle()
    assert read(world)["component"] == component("a", 1)
    assert world.serving()["a-11111111"] == artifact("a", 1).uri


def test_rollback_stays_where_nothing_else_is_left_than_what_it_went_back_from(world: World) -> None:
    roll_back(world, 1)
    world.service.faults.missing.add(artifact("a", 1).uri)
    world.service.remove(component("a", 1))
    world.clock.time += 3600.0
    world.start_machine("drift")
    world.run_for(60)
    world.apply(adapter("a", 2), digest="again", retries=False)
    assert read(world)["component"] == component("a", 1)
    assert [order.kind for order in world.registry.orders.all()] == [OrderKind.PIN]
    assert "'adapters rollback a --undo'" in str(world.newest().reason)
    world.carry_out(OrderKind.UNPIN, "a")
    assert read(world)["component"] == component("a", 2)


@pytest.mark.parametrize("settings", [RELEASES, IN_PLACE], ids=["releases", "in place"])
def test_rollback_to_an_archive_that_is_gone_changes_nothing(settings: object) -> None:
    world = World(settings=settings)  # type: ignore[arg-type]
    for version in (1, 2, 3):
        world.apply(adapter("a", version))
        world.clock.time += 2000
        world.drift()
    roll_back(world, 2, declared=3)
    serving, routes = world.serving(), routed(world)
    world.clock.time += 2000
    world.service.faults.missing.add(artifact("a", 1).uri)
    roll_back(world, 1, declared=3)
    assert (world.serving(), routed(world)) == (serving, routes)
    [order] = world.registry.orders.all()
    assert order.artifact == artifact("a", 2)
    [event] = [event for event in world.log.events if event.what == "unpinned"]
    assert "goes on answering" in (event.cause or "")


@pytest.mark.parametrize("declared", [1, 2])
def test_lost_route_of_a_version_that_no_copy_has_proven_keeps_what_callers_read(declared: int) -> None:
    world = World(settings=RELEASES)
    world.service.copies = 0
    smoke = SmokeRequest.from_prompt("Hello")
    world.deploy(adapter("a", smoke=smoke))
    world.run_for(120)
    lose(world, "fleet")
    world.service.copies = 1
    world.service.faults.silent |= {artifact("a", 1).uri, artifact("a", declared).uri}
    world.apply(adapter("a", declared, smoke=smoke), digest="again")
    assert routed(world)["a"] == read(world)["component"] == component("a", 1)
    assert component("a", 1) in world.service.components


def test_lost_route_of_an_adapter_that_goes_leaves_nothing_for_callers(world: World) -> None:
    lose(world, "fleet")
    world.apply(adapter("b"))
    assert "route" not in world.registry.items["route#a"]


@pytest.mark.parametrize("other", ["b", "a"], ids=["of another adapter", "of another version"])
def test_pin_that_is_not_of_the_declared_version_keeps_no_caller_from_what_serves(
    world: World, other: str
) -> None:
    world.order(OrderKind.PIN, other, artifact=artifact("a", 3), replaces=artifact("a", 1))
    world.service.remove(component("a", 2))
    world.step()
    assert read(world)["component"] == component("a", 1)
