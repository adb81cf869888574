"""Copies that answer for an adapter with other files, which no API shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from local_sagemaker.gateway.swaps import swap
from tests.local.world import World


@pytest.fixture
def serving(world: World) -> World:
    """Two adapters on three copies."""
    world.serve("one", "two", copies=3, accelerators=1)
    return world


def swapped(world: World, **fault: Any) -> None:
    async def doing() -> None:
        await swap([world.plane], **fault)

    task = world.loop.create_task(doing())
    world.pass_time(5)
    task.result()


def test_some_copies_get_other_files_or_lose_the_adapter_until_an_update(serving: World) -> None:
    before = serving.component("one")
    swapped(serving, swapped="one", directory="/other", copies=2)
    assert serving.loaded() == [["other", "two"], ["other", "two"], ["one", "two"]]
    swapped(serving, swapped="one", copies=1)
    assert serving.loaded() == [["two"], ["other", "two"], ["one", "two"]]
    swapped(serving, swapped="one", directory="/other")
    assert serving.loaded() == [["other", "two"]] * 3
    assert serving.component("one") == before
    serving.update_adapter("one", "one")
    serving.pass_time(10)
    assert serving.loaded() == [["one", "two"]] * 3


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"swapped": "base"}, "'swapped' should be the name of an adapter in service, got 'base'"),
        ({"swapped": "one", "copies": 0}, "'copies' should be at least 1, got 0"),
        ({"swapped": "one", "directory": str(Path("/unloadable"))}, "cannot load unloadable"),
    ],
)
def test_swap_that_cannot_be_is_refused(serving: World, fault: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        swapped(serving, **fault)
