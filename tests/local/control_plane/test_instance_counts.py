"""How the instances of a variant follow its copies."""

from __future__ import annotations

import pytest

from tests.local.world import World


def managed(least: int) -> dict[str, object]:
    return {"Status": "ENABLED", "MinInstanceCount": least, "MaxInstanceCount": 3}


@pytest.fixture
def serving(world: World) -> World:
    """A base with one copy, alone on its instance, and managed scaling from none to three."""
    world.change(managed_scale_in_seconds=600)
    world.create_model()
    world.create_endpoint(ManagedInstanceScaling=managed(0))
    world.create_base()
    world.pass_time(10)
    return world


def scale(world: World, copies: int) -> None:
    world.scale(copies)
    world.pass_time(10)


def instances(world: World) -> int:
    variant = world.endpoint()["Variant"]
    assert variant["DesiredInstanceCount"] == variant["CurrentInstanceCount"]
    count: int = variant["CurrentInstanceCount"]
    return count


def test_empty_instances_leave_after_a_while_down_to_none(serving: World) -> None:
    scale(serving, 3)
    assert instances(serving) == 3
    scale(serving, 0)
    assert instances(serving) == 3
    serving.pass_time(599)
    assert instances(serving) == 3
    serving.pass_time(1)
    assert instances(serving) == 0


def test_copy_that_comes_back_keeps_its_instance(serving: World) -> None:
    scale(serving, 0)
    assert instances(serving) == 1
    scale(serving, 1)
    serving.pass_time(1_000)
    assert instances(serving) == 1


def test_instances_leave_after_the_scaled_time_down_to_the_minimum(world: World) -> None:
    world.change(managed_scale_in_seconds=600, time_scale=0.01)
    world.create_endpoint(instances=2, ManagedInstanceScaling=managed(1))
    assert instances(world) == 2
    world.pass_time(6)
    assert instances(world) == 1


def test_update_starts_again_at_the_first_number_unless_it_retains_the_present_one(serving: World) -> None:
    scale(serving, 3)
    assert instances(serving) == 3
    scale(serving, 1)
    update = {"EndpointName": "endpoint", "EndpointConfigName": "endpoint-config"}
    serving.call("UpdateEndpoint", **update, RetainAllVariantProperties=True)
    serving.pass_time(1)
    assert instances(serving) == 3
    serving.call("UpdateEndpoint", **update)
    serving.pass_time(1)
    assert instances(serving) == 1
