"""Which versions of an adapter have served."""

from dataclasses import replace

from adapter_fleet.fleet.state.fleet_settings import DeletionLimit, FleetSettings, ReleaseSettings
from adapter_fleet.fleet.state.known_versions import KnownVersions, served_versions
from adapter_fleet.fleet.state.records import AdapterRecord
from adapter_fleet.fleet.state.routes import Route
from tests.adapter_fleet.fleet_world import World, released

V1, V2, V3 = (released("a", version).artifact for version in (1, 2, 3))
RELEASES = ReleaseSettings(keep=0, drain_seconds=120.0)
RECORD = AdapterRecord(name="a", component="p-a", versions=(V3, V1))


def test_versions_that_served_are_those_of_the_route_then_those_of_records() -> None:
    route = Route.first("a", "p-a-22222222", V2, RELEASES)
    assert served_versions([RECORD], route) == (V2, V3, V1)
    assert served_versions([RECORD, RECORD], None) == (V3, V1)


def test_version_that_a_canary_took_back_has_not_served() -> None:
    route = Route.first("a", "p-a-11111111", V1, RELEASES)
    taken_back = replace(route.live, component="p-a-33333333", artifact=V3, abandoned=True)
    route = replace(route, versions=(*route.versions, taken_back))
    assert served_versions([RECORD], route) == (V1,)


def test_version_whose_component_is_drained_is_known() -> None:
    """Else a fleet with a required evaluation would refuse to go back to it."""
    world = World(
        settings=FleetSettings(releases=RELEASES, deletions=DeletionLimit(share=1.0, allow_empty=True))
    )
    for version in (1, 2):
        world.apply(released("a", version))
        world.clock.time += 4000
        world.trigger("drift")
    assert list(world.registry.records.all()) == ["p-a-22222222"]
    known = KnownVersions(world.registry)
    assert [known("A", artifact.digest or "") for artifact in (V1, V2, V3)] == [True, True, False]
