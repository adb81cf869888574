from __future__ import annotations

from collections.abc import Callable

import pytest

from local_sagemaker.errors import ServiceError
from local_sagemaker.traffic import CallFault
from tests.local.world import World


def test_calls_are_counted_refused_ones_too(world: World) -> None:
    world.create_model()
    world.refusal("DescribeModel", ModelName="nobody")
    assert world.traffic.calls == {"CreateModel": 1, "DescribeModel": 1}


def test_injected_fault_hits_the_next_calls_of_its_operation_only(world: World) -> None:
    world.traffic.call_faults.append(
        CallFault(operation="ListModels", code="InternalFailure", message="oops", status=500, times=2)
    )
    world.create_model()
    for _ in range(2):
        with pytest.raises(ServiceError, match="oops") as failed:
            world.call("ListModels")
        assert (failed.value.code, failed.value.status) == ("InternalFailure", 500)
    assert len(world.call("ListModels")["Models"]) == 1


def test_writes_above_their_rate_are_throttled_and_reads_are_not(world_with: Callable[..., World]) -> None:
    world = world_with(write_rate=2)
    world.create_model("one")
    world.create_model("two")
    with pytest.raises(ServiceError, match="Rate exceeded") as throttled:
        world.create_model("three")
    assert throttled.value.code == "ThrottlingException"
    for _ in range(10):
        world.call("ListModels")
    world.pass_time(0.5)
    world.create_model("three")


def test_reads_have_a_rate_of_their_own(world_with: Callable[..., World]) -> None:
    world = world_with(read_rate=0.5)
    world.call("ListModels")
    with pytest.raises(ServiceError, match="Rate exceeded"):
        world.call("ListModels")
    world.pass_time(2)
    world.call("ListModels")
