"""Injected faults, and calls above their rate."""

from typing import Any

import pytest

from local_sagemaker.control_plane.faults import CallFault
from local_sagemaker.errors import ApiError
from tests.local.world import World


def inject(world: World, operation: str = "ListModels", **fault: Any) -> None:
    code = "" if fault.get("lost") else "InternalFailure"
    world.faults.calls.append(CallFault(operation=operation, code=code, **fault))


def refused(world: World, count: int, operation: str = "ListModels") -> int:
    """How many of so many calls are refused."""
    refusals = 0
    for _ in range(count):
        try:
            world.call(operation)
        except ApiError:
            refusals += 1
    return refusals


def test_injected_fault_hits_the_next_calls_of_its_operation_only(world: World) -> None:
    inject(world, message="oops", status=500, times=2)
    world.create_model()
    with pytest.raises(ApiError, match="oops") as failed:
        world.call("ListModels")
    assert (failed.value.code, failed.value.status) == ("InternalFailure", 500)
    assert refused(world, 3) == 1


def test_fault_of_a_share_hits_about_that_share_and_the_same_calls_every_time(world: World) -> None:
    hits = []
    for _ in range(2):
        world.faults.clear()
        inject(world, "reads", times=None, share=0.25)
        hits.append([refused(world, 1) for _ in range(400)])
    assert 70 < sum(hits[0]) < 130
    assert hits[0] == hits[1]
    world.faults.clear()
    inject(world, times=3, share=0.5)
    assert refused(world, 100) == 3


def test_fault_of_all_writes_lets_reads_pass(world: World) -> None:
    inject(world, "writes", times=None)
    with pytest.raises(ApiError):
        world.create_model()
    assert refused(world, 3) == 0


def test_call_whose_answer_is_lost_is_done_all_the_same(world: World) -> None:
    inject(world, "CreateModel", lost=True)
    world.create_model()
    assert world.faults.loses_answer("CreateModel")
    assert not world.faults.loses_answer("CreateModel")


def test_held_component_stays_in_transition_until_it_is_released_or_faults_are_cleared(world: World) -> None:
    world.serve()
    world.faults.hold("one")
    world.create_adapter("one")
    world.create_adapter("two", pass_time=600)
    assert (world.status("one"), world.status("two")) == ("Creating", "InService")
    world.faults.release("one")
    world.pass_time(1)
    assert world.status("one") == "InService"
    world.faults.hold("one")
    world.delete("one", pass_time=600)
    assert world.status("one") == "Deleting"
    world.faults.clear()
    world.pass_time(1)
    assert "Could not find" in world.refusal("DescribeInferenceComponent", InferenceComponentName="one")


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
