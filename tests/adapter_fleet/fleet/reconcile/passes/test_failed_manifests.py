"""The fleet itself undoes a failed manifest in S3, as CloudFormation does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from adapter_fleet.fleet.state.generations import Outcome, Source
from tests.adapter_fleet.fake_service import Crash
from tests.adapter_fleet.fleet_world import World, adapter, artifact


@pytest.fixture
def world() -> World:
    """A fleet of two adapters that has just got a manifest with a broken adapter."""
    world = World()
    world.apply(adapter("a"), adapter("b"))
    world.service.faults.broken[artifact("c").uri] = "bad tensors"
    world.put_manifest(adapter("a", 2), adapter("c"))
    return world


def taken_back(world: World) -> bool:
    world.settle()
    newest = world.newest()
    assert (newest.request.source, newest.outcome) == (Source.UNDO, Outcome.CONVERGED)
    return world.serving() == {"a": artifact("a").uri, "b": artifact("b").uri}


def test_manifest_over_the_failure_limit_is_undone(world: World) -> None:
    assert taken_back(world)


@pytest.mark.parametrize("source", ["a deployment", "S3"])
def test_undo_keeps_what_came_with_a_manifest_that_the_quota_has_no_room_for(source: str) -> None:
    world = World()
    world.apply(adapter("a"))
    world.service.faults.limit = 3
    before = world.deploy if source == "a deployment" else world.put_manifest
    before(adapter("a"), adapter("b"), adapter("no-room"))
    world.run_for(world.settings.timeout_seconds + 3600.0)
    world.service.faults.broken[artifact("a", 2).uri] = "bad tensors"
    world.put_manifest(adapter("a", 2), adapter("b"), adapter("no-room"))
    world.run_for(3600.0)
    assert world.outcomes()[2] is Outcome.FAILED
    assert world.newest().request.source is Source.UNDO
    assert world.serving() == {"a": artifact("a").uri, "b": artifact("b").uri}


class DyingAfter:
    """A registry that lets the pass die after one of its calls."""

    def __init__(self, registry: Any, operation: str, when: Callable[[], bool]) -> None:
        self._registry, self._operation, self._when = registry, operation, when

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._registry, name)

        def call(*arguments: Any, **options: Any) -> Any:
            result = method(*arguments, **options)
            if name == self._operation and self._when():
                self._operation = ""
                raise Crash
            return result

        return call


@pytest.mark.parametrize("operation", ["save_generation", "save_fleet", "release", "open_generation"])
def test_failed_manifest_is_undone_though_the_pass_that_failed_it_died(world: World, operation: str) -> None:
    def failed() -> bool:
        generation = world.registry.generation(2)
        return generation is not None and generation.outcome is Outcome.FAILED

    dying = DyingAfter(world.registry, operation, failed)
    world.reconciler = replace(world.reconciler, registry=dying)  # type: ignore[arg-type]
    assert taken_back(world)
