"""SageMaker ignores the case of names, and lists a component as its creator spelled it."""

from dataclasses import replace

from adapter_fleet.common.naming import FLEET_TAG
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.records import AdapterRecord
from tests.adapter_fleet.fleet_world import UID, World, adapter, artifact, deployed


def test_rollback_to_another_spelling_takes_nothing_down() -> None:
    world = World()
    world.service.make("p-acme", artifact("acme").uri, tags={FLEET_TAG: UID})
    world.service.faults.broken[artifact("bad").uri] = "bad tensors"
    world.apply(adapter("ACME"), adapter("bad"), digest="two", previous="one")
    assert world.newest().outcome is Outcome.FAILED
    assert world.deploy(adapter("acme"), digest="one", previous="two").undo
    world.settle()
    assert set(world.registry.records.all()) == {"p-acme"}
    assert (world.newest().in_service, world.newest().orphans) == (1, 0)
    assert world.deletions() == ["DeleteInferenceComponent p-bad"]


def test_failure_under_another_spelling_is_no_component_that_is_left_over() -> None:
    world = World()
    world.service.make("p-acme", artifact("acme").uri)
    world.apply(adapter("ACME"))
    assert world.record("ACME").failure is not None
    world.service.make("p-acme", artifact("acme").uri, tags={FLEET_TAG: UID})
    world.apply(adapter("acme"))
    assert (world.newest().outcome, world.newest().in_service) == (Outcome.CONVERGED, 1)
    assert world.deletions() == []


def test_record_that_another_spelling_left_is_dropped() -> None:
    world = deployed(adapter("acme"))
    for record in (
        AdapterRecord(name="ACME", component="p-ACME"),
        replace(world.record("acme"), component="p-ACME"),
    ):
        world.registry.overwrite(record)
        world.apply(adapter("acme"), digest=record.name)
        assert set(world.registry.records.all()) == {"p-acme"}
        assert (world.newest().in_service, world.deletions()) == (1, [])
