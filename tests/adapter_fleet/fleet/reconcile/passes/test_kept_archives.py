"""The fleet's own copies of archives from deployments, and pins whose archive is gone."""

from dataclasses import replace

import pytest

from adapter_fleet.fleet.requests.requested_manifest import desired_of
from adapter_fleet.fleet.state.fleet_settings import FailureLimit, FleetSettings
from adapter_fleet.fleet.state.records import OrderKind
from adapter_fleet.manifest.desired import DesiredAdapter
from tests.adapter_fleet.fleet.steps.test_archive_verification import put
from tests.adapter_fleet.fleet_world import World, adapter, artifact, released

IDENTITY = "a" * 64
ASSET = f"s3://assets/lora-adapters/{IDENTITY}.tar.gz"
KEPT = "s3://assets/lora-adapters/fleet-c8.uid/"


@pytest.fixture
def world() -> World:
    return World(settings=FleetSettings(failures=FailureLimit(count=5), request_rate=10.0))


def kept(world: World, name: str, version: int = 1) -> DesiredAdapter:
    """An adapter of an asset that the fleet has not copied yet."""
    want = released(name, version)
    source = f"s3://assets/{name}{version}.tar.gz"
    put(world, replace(want.artifact, uri=source))
    world.service.faults.not_copied.add(want.artifact.uri)
    return replace(want, artifact=replace(want.artifact, source=source))


def collect_garbage(world: World, *wants: DesiredAdapter) -> None:
    """Delete assets that no template names, as `cdk gc` does."""
    world.service.faults.missing |= {want.artifact.source or "" for want in wants}


def replace_base(world: World) -> None:
    """Have all adapters re-created, as on another base."""
    for name in list(world.service.components):
        if name != "base":
            world.service.remove(name)
    world.trigger("deployment")


class TestResolving:
    TEXT = f"adapters: [{{name: acme, artifact: 'asset:{IDENTITY}'}}]".encode()

    def test_fleet_uses_its_own_copy_of_an_asset(self, world: World) -> None:
        target = replace(world.target, archives={IDENTITY: ASSET}, kept_archives=KEPT)
        (made,) = desired_of(self.TEXT, where="m", target=target).adapters
        assert made.artifact.uri == f"{KEPT}{IDENTITY}.tar.gz"
        assert made.artifact.source == ASSET
        assert made.artifact.digest == IDENTITY


class TestCopies:
    def test_archive_is_copied_and_verified_once_before_it_is_used(self, world: World) -> None:
        want = kept(world, "a")
        world.apply(want)
        replace_base(world)
        assert world.serving() == {"a": want.artifact.uri}
        assert world.service.calls["CopyObject"] == 1
        assert world.service.calls["GetObject"] == 1

    def test_rolled_back_adapter_outlives_the_asset_and_its_component(self, world: World) -> None:
        first, second = kept(world, "a"), kept(world, "a", 2)
        for want in (first, second):
            world.apply(want)
        world.carry_out(OrderKind.PIN, "a", artifact=first.artifact, replaces=second.artifact)
        collect_garbage(world, first)
        replace_base(world)
        assert world.serving() == {"a": first.artifact.uri}

    def test_missing_asset_is_the_failure_of_its_adapter(self, world: World) -> None:
        gone, there = kept(world, "gone"), kept(world, "there")
        collect_garbage(world, gone)
        world.apply(gone, there, retries=False)
        assert world.serving() == {"there": there.artifact.uri}
        assert world.failure("gone").reason == f"NoSuchKey: {gone.artifact.source} does not exist"


def test_rollback_whose_archive_and_component_are_gone_stays_and_says_what_to_do(world: World) -> None:
    for version in (1, 2):
        world.apply(adapter("a", version))
    world.carry_out(OrderKind.PIN, "a", artifact=artifact("a", 1), replaces=artifact("a", 2))
    world.service.faults.missing.add(artifact("a", 1).uri)
    world.service.remove("p-a")
    world.start_machine("deployment")
    world.run_for(60)
    assert world.serving() == {}
    assert [order.kind for order in world.registry.orders.all()] == [OrderKind.PIN]
    reason = world.failure("a").reason
    assert reason.startswith(f"NoSuchKey: {artifact('a', 1).uri} does not exist; it is rolled back to that")
    assert "'adapters rollback a --undo'" in reason
    world.carry_out(OrderKind.UNPIN, "a")
    assert world.serving() == {"a": artifact("a", 2).uri}
