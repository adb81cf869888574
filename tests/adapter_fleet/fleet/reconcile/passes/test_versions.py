"""Which versions of an adapter are remembered: those with other weights, at whatever address."""

from dataclasses import replace

from adapter_fleet.fleet.state.fleet_settings import FailureLimit, FleetSettings
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.records import MAX_VERSIONS, OrderKind
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter
from tests.adapter_fleet.fleet_world import World, adapter

DIGESTS = {version: f"{version:x}" * 64 for version in range(1, 10)}
BEFORE = "s3://bucket/acme/sha256-{digest}.tar.gz"
AFTER = "s3://bucket/2027/acme/sha256-{digest}.tar.gz"


def at(version: int, place: str = BEFORE) -> DesiredAdapter:
    """The adapter with the weights of a version, in an archive at some address."""
    digest = DIGESTS[version]
    return replace(adapter("acme"), artifact=Artifact(uri=place.format(digest=digest), digest=digest))


def deployed(*wanted: DesiredAdapter) -> World:
    world = World(settings=FleetSettings(request_rate=10, failures=FailureLimit(count=1)))
    for want in wanted:
        world.apply(want)
        assert world.newest().outcome is Outcome.CONVERGED
    return world


def versions(world: World) -> list[Artifact]:
    return list(world.record("acme").versions)


class TestArchiveThatMoved:
    def test_pin_outlasts_the_move_of_the_version_that_it_replaces(self) -> None:
        world = deployed(at(1, BEFORE), at(2, BEFORE))
        world.carry_out(
            OrderKind.PIN, "acme", artifact=at(1, BEFORE).artifact, replaces=at(2, BEFORE).artifact
        )
        world.apply(at(2, AFTER))
        assert world.serving() == {"acme": at(1, BEFORE).artifact.uri}

    def test_adapter_missing_at_the_new_address_goes_on_serving_from_the_old_one(self) -> None:
        world = deployed(at(1, BEFORE))
        world.service.faults.missing.add(at(1, AFTER).artifact.uri)
        world.apply(at(1, AFTER), retries=False)
        world.service.remove("p-acme")
        world.start_machine("deployment")
        world.run_for(60)
        assert world.serving() == {"acme": at(1, BEFORE).artifact.uri}


def test_last_five_versions_that_served_are_kept_the_newest_first() -> None:
    world = deployed(*(at(version) for version in range(1, 8)))
    world.service.faults.broken[at(8).artifact.uri] = "bad tensors"
    world.apply(at(8), retries=False)
    assert versions(world) == [at(version).artifact for version in (7, 6, 5, 4, 3)]
    assert len(versions(world)) == MAX_VERSIONS
