from __future__ import annotations

import pytest

from local_sagemaker.errors import ApiError
from tests.local.world import World


def test_calls_are_counted_refused_ones_too(world: World) -> None:
    world.create_model()
    world.refusal("DescribeModel", ModelName="nobody")
    assert world.throttling.calls == {"CreateModel": 1, "DescribeModel": 1}


def test_writes_above_their_rate_are_throttled_and_reads_are_not(world: World) -> None:
    world.change(write_rate=2)
    world.create_model("one")
    world.create_model("two")
    with pytest.raises(ApiError, match="Rate exceeded") as throttled:
        world.create_model("three")
    assert throttled.value.code == "ThrottlingException"
    for _ in range(10):
        world.call("ListModels")
    world.pass_time(0.5)
    world.create_model("three")


def test_reads_have_a_rate_of_their_own(world: World) -> None:
    world.change(read_rate=0.5)
    world.call("ListModels")
    with pytest.raises(ApiError, match="Rate exceeded"):
        world.call("ListModels")
    world.pass_time(2)
    world.call("ListModels")
