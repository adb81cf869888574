"""How the instances of a variant follow its copies."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.local.world import World


@pytest.fixture
def managed(world_with: Callable[..., World]) -> World:
    """A base with one copy, alone on its instance, and managed scaling from none to three."""
    world = world_with(managed_scale_in_seconds=600)
    world.create_model()
    world.create_endpoint(instances=1, managed=(0, 3))
    world.create_base()
    world.pass_time(10)
    return world


def scale(world: World, copies: int) -> None:
    world.scale(copies)
    world.pass_time(10)


def instances(world: World) -> int:
    (variant,) = world.call("DescribeEndpoint", EndpointName="endpoint")["ProductionVariants"]
    assert variant["DesiredInstanceCount"] == variant["CurrentInstanceCount"]
    count: int = variant["CurrentInstanceCount"]
    return count


def test_instances_come_with_copies(managed: World) -> None:
    assert instances(managed) == 1
    scale(managed, 3)
    assert instances(managed) == 3


def test_empty_instances_leave_after_a_while_down_to_none(managed: World) -> None:
    scale(managed, 0)
    assert instances(managed) == 1
    managed.pass_time(599)
    assert instances(managed) == 1
    managed.pass_time(1)
    assert instances(managed) == 0


def test_copy_that_comes_back_keeps_its_instance(managed: World) -> None:
    scale(managed, 0)
    assert instances(managed) == 1
    scale(managed, 1)
    managed.pass_time(1_000)
    assert instances(managed) == 1


def test_instances_do_not_go_below_the_minimum(world: World) -> None:
    world.create_model()
    world.create_endpoint(instances=2, managed=(1, 3))
    assert instances(world) == 2
    world.pass_time(600)
    assert instances(world) == 1


def test_instances_leave_after_the_scaled_time(world_with: Callable[..., World]) -> None:
    world = world_with(managed_scale_in_seconds=600, time_scale=0.01)
    world.create_model()
    world.create_endpoint(instances=1, managed=(0, 3))
    assert instances(world) == 1
    world.pass_time(6)
    assert instances(world) == 0


def test_instances_of_a_fixed_number_stay(world: World) -> None:
    world.serve(instances=2)
    assert instances(world) == 2


def test_update_starts_again_at_the_first_number_unless_it_retains_the_present_one(managed: World) -> None:
    scale(managed, 3)
    assert instances(managed) == 3
    scale(managed, 1)
    update = {"EndpointName": "endpoint", "EndpointConfigName": "endpoint-config"}
    managed.call("UpdateEndpoint", **update, RetainAllVariantProperties=True)
    managed.pass_time(1)
    assert instances(managed) == 3
    managed.call("UpdateEndpoint", **update)
    managed.pass_time(1)
    assert instances(managed) == 1
