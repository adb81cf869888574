"""Archives of what serves: a drift check looks at each of them once a day."""

from collections import Counter
from dataclasses import replace

import pytest

from adapter_fleet.fleet.planning.decide import Decision, Step
from adapter_fleet.fleet.planning.surveys import archives_to_check
from adapter_fleet.fleet.state.archive_version import ArchiveVersion
from adapter_fleet.fleet.state.components import ObservedComponent, Status
from adapter_fleet.fleet.state.configuration import ARCHIVES_A_DRIFT_CHECK
from adapter_fleet.fleet.state.fleet_settings import DriftAction, FleetSettings
from adapter_fleet.fleet.state.records import AdapterRecord
from adapter_fleet.fleet.state.sagemaker_port import ThrottledError
from adapter_fleet.manifest.desired import DesiredAdapter
from tests.adapter_fleet.fleet_world import World, adapter, artifact, released

DIGEST = "1" * 64
URI = artifact("a").uri
DAY = 24 * 3600.0


@pytest.fixture(params=[DriftAction.REPORT, DriftAction.REPAIR])
def world(request: pytest.FixtureRequest) -> World:
    return World(settings=FleetSettings(request_rate=10.0, drift=request.param))


def day(world: World) -> None:
    for _ in range(24):
        world.drift()


def lost(world: World) -> float:
    return world.log.metrics[-1]["lost_archives"]


def test_archive_that_is_gone_is_noted_until_it_is_back_and_nothing_is_written(world: World) -> None:
    world.apply(released("a"), released("b"))
    world.drift()
    writes = len(world.writes())
    world.service.faults.missing.add(URI)
    day(world)
    why = f"NoSuchKey: {URI} does not exist; it serves, and no new copy or restart can load it"
    assert (world.record("a").archive_trouble, world.record("b").archive_trouble) == (why, None)
    assert lost(world) == 1
    assert world.serving() == {"a": URI, "b": artifact("b").uri}
    world.service.faults.missing.clear()
    world.drift()  # it is looked at each time
    assert (world.record("a").archive_trouble, lost(world)) == (None, 0)
    assert len(world.writes()) == writes


def test_each_archive_is_looked_at_about_once_a_day(world: World) -> None:
    names = [f"a{number:02}" for number in range(48)]
    world.apply(*map(released, names))
    world.drift()
    looks: Counter[str] = Counter()
    world.service.around = lambda call, at: looks.update([call] * (at == "before" and "HeadObject" in call))
    day(world)
    assert set(looks.values()) == {1, 2}
    assert len(looks) == 48
    assert sum(looks.values()) <= 48 + 24


def test_one_check_looks_at_a_bounded_number_and_the_next_goes_on_there() -> None:
    live = ObservedComponent(status=Status.IN_SERVICE, created=1.0, modified=1.0)
    records = {
        f"p-{number:04}": AdapterRecord(
            name=f"{number:04}", component=f"p-{number:04}", live=live, serving=artifact("a")
        )
        for number in range(2 * ARCHIVES_A_DRIFT_CHECK)
    }
    keep = dict.fromkeys(records, Decision(step=Step.KEEP))
    first = archives_to_check(records, keep, after="", seconds=1e9)
    second = archives_to_check(records, keep, after=first[-1], seconds=1e9)
    assert sorted([*first, *second]) == sorted(records)
    assert len(archives_to_check(records, keep, after="", seconds=3600)) == 42
    updated = keep | {first[0]: Decision(step=Step.UPDATE)}
    assert first[0] not in archives_to_check(records, updated, after="", seconds=1e9)


@pytest.mark.parametrize("same", [True, False])
def test_archive_that_was_replaced_is_read_once_and_told_if_it_is_another_adapter(
    world: World, same: bool
) -> None:
    world.apply(released("a"))
    world.service.archives[URI] = ArchiveVersion(uri=URI, etag="new", size=1, modified=5.0)
    world.service.identities["new"] = DIGEST if same else "e" * 64
    reads = world.service.calls["GetObject"]
    day(world)
    trouble = world.record("a").archive_trouble
    assert (trouble is None) == same
    assert trouble is None or f"should be the adapter with digest sha256:{DIGEST}" in trouble
    assert world.service.calls["GetObject"] == reads + 1


@pytest.mark.parametrize("want", [released("a"), adapter("a")], ids=["with a digest", "without"])
def test_refused_look_is_told_where_the_fleet_has_to_read_the_archive(
    world: World, want: DesiredAdapter
) -> None:
    world.apply(want)
    world.service.faults.unreadable.add(URI)
    world.drift()
    trouble = world.record("a").archive_trouble
    digest = want.artifact.digest
    assert (trouble or "").startswith("AccessDenied: the fleet's functions may not read" if digest else "")
    assert (trouble is None) == (digest is None)


def test_look_without_an_answer_changes_nothing(world: World) -> None:
    world.apply(released("a"))
    world.service.faults.missing.add(URI)
    world.drift()
    before = world.record("a").archive_trouble
    world.service.faults.missing.clear()
    world.service.fail("HeadObject", ThrottledError("SlowDown"))
    world.drift()
    assert before is not None
    assert world.record("a").archive_trouble == before


def test_copy_that_the_fleet_made_is_what_sagemaker_would_load(world: World) -> None:
    want = released("a")
    world.service.faults.not_copied.add(URI)
    world.apply(replace(want, artifact=replace(want.artifact, source="s3://assets/a.tar.gz")))
    del world.service.archives[URI]
    world.drift()
    assert "NoSuchKey" in (world.record("a").archive_trouble or "")


def test_next_version_has_an_archive_of_its_own(world: World) -> None:
    world.apply(released("a"))
    world.service.faults.missing.add(URI)
    world.drift()
    world.apply(released("a", 2))
    assert (world.record("a").archive_trouble, lost(world)) == (None, 0)
