"""How the guide says that an adapter can be named in the container."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.local.world import World


@pytest.mark.parametrize(("mode", "name"), [("gapless", "one.2"), ("gap", "one")])
def test_adapter_has_its_components_name_until_it_is_updated_without_a_gap(
    world_with: Callable[..., World], mode: str, name: str
) -> None:
    world = world_with(adapter_update=mode)
    world.serve("one")
    assert list(world.running[0].adapters) == ["one"]
    world.update_adapter("one", "one-v2")
    world.pass_time(10)
    assert list(world.running[0].adapters) == [name]
