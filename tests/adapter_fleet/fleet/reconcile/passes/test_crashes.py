"""A pass dies before or after any single call, and the next passes reach the same end."""

import re
from dataclasses import replace
from typing import Any

import pytest

from adapter_fleet.common.naming import FLEET_TAG
from adapter_fleet.fleet.state.fleet_settings import DeletionLimit, FailureLimit, FleetSettings
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.records import OrderKind
from adapter_fleet.manifest.desired import SmokeRequest
from tests.adapter_fleet.fake_service import Crash
from tests.adapter_fleet.fleet_world import UID, Hooked, World, adapter, artifact

SMOKE = SmokeRequest(body={"inputs": "Hello"})
BEFORE = [adapter("a", smoke=SMOKE), adapter("b"), adapter("c"), adapter("d")]
AFTER = [
    adapter("a", 2, smoke=SMOKE),
    adapter("b", 2),
    adapter("c", tags={"tier": "gold"}),
    adapter("e"),
    adapter("f"),
]


READS = re.compile(r"lineage\.|(\w+\.)?(all|describe|desired|find|fleet|list|newest|published|read|tags)")


class Ticks:
    """Counts the calls that change something, and lets the process die after one of them.

    What it knew is lost, so that dying before a call is the same as dying after the change before it.
    """

    def __init__(self) -> None:
        self.operations: list[str] = []
        self.dies_at: int | None = None

    def tick(self, operation: str, when: str) -> None:
        if when == "before" or READS.match(operation):
            return
        number = len(self.operations)
        self.operations.append(operation)
        if number == self.dies_at:
            raise Crash


class Story:
    """A deployment that adds, changes, tags and removes adapters; one is broken, one fails its request."""

    def __init__(self) -> None:
        self.world = World(
            seconds=1.0,
            settings=FleetSettings(
                request_rate=50, failures=FailureLimit(share=1.0), deletions=DeletionLimit(share=1.0)
            ),
        )
        self.world.apply(*BEFORE)
        faults = self.world.service.faults
        faults.broken[artifact("f").uri] = "bad tensors"
        faults.silent.add(artifact("a", 2).uri)

    def tell(self, *, dies_at: int | None = None) -> list[str]:
        """Deploy, and return the calls. The process dies at one of them, and the next pass goes on."""
        ticks, world = Ticks(), self.world
        ticks.dies_at = dies_at
        world.reconciler = replace(
            world.reconciler,
            registry=Hooked(world.registry, ticks.tick),  # type: ignore[arg-type]
            service=Hooked(world.service, ticks.tick),
        )
        world.deploy(*AFTER)
        world.settle(passes=40)
        return ticks.operations

    def end(self) -> dict[str, Any]:
        """The final state, without times and counts of calls."""
        world, newest = self.world, self.world.newest()
        return {
            "outcome": newest.outcome,
            "changes": newest.changes,
            "counts": (newest.desired, newest.in_service, newest.failed, newest.pending, newest.failures),
            "serving": world.serving(),
            "tags": {name: there.tags for name, there in world.service.components.items()},
            "records": {
                name: (record.serving, record.last_good, record.intent, record.passed, record.tags)
                for name, record in world.registry.records.all().items()
            },
            "failures": {
                name: (record.failure.cause, record.failure.artifact)
                for name, record in world.registry.records.all().items()
                if record.failure is not None
            },
        }


@pytest.mark.slow
def test_deployment_ends_the_same_whichever_call_a_pass_dies_at() -> None:
    story = Story()
    operations = story.tell()
    end = story.end()
    assert end["outcome"] is Outcome.CONVERGED
    assert end["serving"] == {
        "a": artifact("a").uri,
        "b": artifact("b", 2).uri,
        "c": artifact("c").uri,
        "e": artifact("e").uri,
    }
    assert set(end["failures"]) == {"p-a", "p-f"}
    assert end["tags"]["p-c"] == {FLEET_TAG: UID, "tier": "gold"}
    writes = len(story.world.writes())
    assert set(operations) >= {
        "acquire",
        "records.put",
        "records.forget",
        "events.append",
        "generations.save",
        "save_fleet",
        "release",
    }
    assert set(operations) >= {"create", "update", "delete", "tag", "ask"}
    for number, operation in enumerate(operations):
        story = Story()
        assert story.tell(dies_at=number)[: number + 1] == operations[: number + 1]
        assert story.end() == end, f"it died at call {number}, {operation}"
        # A pass that died after a write got no answer. Only that write may be repeated.
        assert len(story.world.writes()) <= writes + 2, f"it died at call {number}, {operation}"


def imported(*, dies_at: int | None, going_back: bool) -> tuple[list[str], World]:
    """Import a component and roll that back; the process dies during one of the two."""
    world, ticks = World(seconds=1.0), Ticks()
    made = world.service.make("p-x", artifact("x").uri)
    world.apply(adapter("a"), digest="one")
    world.carry_out(OrderKind.CLAIM, "x", created=made.created)
    ticks.dies_at = dies_at
    dying = replace(
        world.reconciler,
        registry=Hooked(world.registry, ticks.tick),  # type: ignore[arg-type]
        service=Hooked(world.service, ticks.tick),
    )
    world.reconciler, lives_on = (world.reconciler, dying) if going_back else (dying, world.reconciler)
    world.deploy(adapter("a"), adapter("x"), digest="two", previous="one")
    world.run_newest(deadline=600.0)
    world.reconciler = lives_on
    assert world.deploy(adapter("a"), digest="one", previous="two").undo
    world.settle(passes=40)
    return ticks.operations, world


@pytest.mark.slow
@pytest.mark.parametrize("going_back", [False, True])
def test_import_outlives_its_rollback_whichever_call_a_pass_dies_at(going_back: bool) -> None:
    operations, _ = imported(dies_at=None, going_back=going_back)
    assert going_back or "tag" in operations
    for number, operation in enumerate(operations):
        _, world = imported(dies_at=number, going_back=going_back)
        assert world.newest().outcome is Outcome.CONVERGED
        assert world.serving() == {"a": artifact("a").uri, "x": artifact("x").uri}
        tagged = FLEET_TAG in world.service.components["p-x"].tags
        assert world.newest().orphans == tagged, f"it died at call {number}, {operation}"
