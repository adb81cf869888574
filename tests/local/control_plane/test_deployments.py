"""What happens to copies: they end by themselves, and come and go while adapters are written."""

import pytest

from local_sagemaker.control_plane.capacity import NO_ROOM
from local_sagemaker.control_plane.component import BaseComponent
from tests.local.world import World


def counts(world: World) -> tuple[int, int]:
    """Desired and current."""
    config = world.component("base")["RuntimeConfig"]
    return config["DesiredCopyCount"], config["CurrentCopyCount"]


# A base that needs a whole instance.
LARGE = {
    "ModelName": "model-2",
    "ComputeResourceRequirements": {"MinMemoryRequiredInMb": 1024, "NumberOfAcceleratorDevicesRequired": 4},
}


def test_adapter_whose_base_scales_to_none_while_it_is_deleted_is_gone(world: World) -> None:
    world.serve("one")
    world.running[0].busy["one"] = 5
    world.delete("one")
    world.scale(0, pass_time=20)
    assert "Could not find" in world.refusal("DescribeInferenceComponent", InferenceComponentName="one")
    assert counts(world) == (0, 0)


def test_adapter_is_gone_after_its_deletion_whatever_its_copy_does(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(adapter: str | None = None) -> None:
        raise RuntimeError("out of order")

    world.serve("one", "two")
    monkeypatch.setattr(world.running[0], "drained", broken)
    world.delete("one", pass_time=10)
    assert "Could not find" in world.refusal("DescribeInferenceComponent", InferenceComponentName="one")


def test_copy_that_ends_is_not_counted_and_is_replaced_by_one_with_the_adapters(world: World) -> None:
    world.serve("one", "two", instances=2, copies=2)
    dead = world.running[0]
    dead.die()
    assert counts(world) == (2, 1)
    world.pass_time(1)
    assert counts(world) == (2, 2)
    assert dead not in world.running
    assert world.loaded() == [["one", "two"]] * 2


def test_copy_whose_replacement_does_not_start_is_missing_until_the_base_is_written(world: World) -> None:
    world.serve("one", instances=2, copies=2)
    world.hosting.starts_that_fail.add(2)
    world.running[0].die()
    world.pass_time(1)
    assert counts(world) == (2, 1)
    assert "ping health check" in world.component("base")["FailureReason"]
    world.update_base("model", pass_time=1)  # which changes nothing else
    assert counts(world) == (2, 2)
    assert world.loaded() == [["one"]] * 2
    world.scale(2, pass_time=1)
    assert "FailureReason" not in world.component("base")


def test_model_that_is_deleted_while_a_base_is_created_is_the_reason_of_the_failure(world: World) -> None:
    world.create_model()
    world.create_endpoint()
    world.create_base()
    world.call("DeleteModel", ModelName="model", pass_time=10)
    described = world.component("base")
    assert described["InferenceComponentStatus"] == "Failed"
    assert described["FailureReason"].startswith('Could not find model "arn:aws:sagemaker:')


def test_copy_that_ends_again_and_again_is_not_replaced_for_ever(world: World) -> None:
    world.serve()
    for _ in range(10):
        for copy in world.running:
            copy.die()
        world.pass_time(1)
    assert len(world.hosting.started) == 3
    assert "ended soon after its start" in world.component("base")["FailureReason"]


def test_copy_that_ended_goes_before_those_that_run_when_scaling_down(world: World) -> None:
    world.serve(instances=2, copies=2)
    dead, alive = world.running
    base = world.plane.components.get("base")
    assert isinstance(base, BaseComponent)
    rollout = base.rollout
    world.loop.run_until_complete(rollout.acquire())
    world.scale(1, pass_time=1)
    dead.die()
    rollout.release()
    world.pass_time(10)
    assert world.running == [alive]
    assert counts(world) == (1, 1)


def test_adapter_that_is_registered_while_its_base_scales_down_is_in_service(world: World) -> None:
    world.serve(instances=3, copies=3)
    world.create_adapter("one", pass_time=0.15)
    world.scale(1, pass_time=10)
    assert world.status("one") == "InService"
    assert world.loaded() == [["one"]]


def test_copy_that_joins_while_an_update_waits_for_requests_has_the_new_archive(world: World) -> None:
    world.serve("one", instances=2)
    world.running[0].busy["one"] = 20
    world.update_adapter("one", "one-v2", pass_time=1)
    world.scale(2, pass_time=30)
    assert world.loaded() == [["one-v2"]] * 2


def test_scaling_up_that_fails_leaves_the_copies_that_were_there(world: World) -> None:
    world.serve("one", instances=3)
    world.hosting.starts_that_fail.add(2)
    world.scale(3, pass_time=10)
    assert counts(world) == (1, 1)
    assert len(world.running) == 1
    world.scale(3, pass_time=10)
    assert counts(world) == (3, 3)


def test_base_update_to_fewer_and_larger_copies_fits_and_reserves_what_they_take(world: World) -> None:
    world.serve("one", copies=2, accelerators=2)
    world.update_base(Specification=LARGE, RuntimeConfig={"CopyCount": 1}, pass_time=10)
    assert "FailureReason" not in world.component("base")
    assert counts(world) == (1, 1)
    world.create_base("second", accelerators=1, pass_time=10)
    assert world.component("second")["FailureReason"] == NO_ROOM


def test_adapter_that_fails_on_a_new_copy_tells_so_and_the_copy_serves(world: World) -> None:
    world.serve("good")
    world.scale(0, pass_time=10)
    world.create_adapter("bad", artifact="unloadable", pass_time=10)
    world.scale(1, pass_time=10)
    assert counts(world) == (1, 1)
    assert "FailureReason" not in world.component("base")
    assert "cannot load unloadable" in world.component("bad")["FailureReason"]
    assert world.loaded() == [["good"]]


def test_new_copy_that_ends_while_it_gets_the_adapters_fails_the_scaling_and_takes_the_others_along(
    world: World,
) -> None:
    world.serve("one", instances=3)
    world.scale(3, pass_time=0.35)
    world.running[1].die()
    world.pass_time(10)
    assert "ended before it was in service" in world.component("base")["FailureReason"]
    assert "FailureReason" not in world.component("one")
    assert len(world.running) == 1
    assert counts(world) == (1, 1)


def test_long_request_for_one_adapter_does_not_hold_up_the_writes_on_another(world: World) -> None:
    world.serve("one", "two", "three")
    world.running[0].busy.update(one=20, three=20)
    world.update_adapter("one", "one-v2")
    world.delete("three", pass_time=0.1)
    world.update_adapter("two", "two-v2", pass_time=2)
    assert world.status("two") == "InService"
    assert world.loaded() == [["one", "one-v2", "three", "two-v2"]]
    world.pass_time(30)
    assert world.loaded() == [["one-v2", "two-v2"]]


def test_copies_start_in_the_seconds_of_their_base_then_of_the_variant_then_the_default(world: World) -> None:
    member = "ContainerStartupHealthCheckTimeoutInSeconds"
    world.create_model()
    world.create_endpoint()
    world.create_config("patient", **{member: 900})
    world.create_base("default", accelerators=1, pass_time=10)
    world.call("UpdateEndpoint", EndpointName="endpoint", EndpointConfigName="patient", pass_time=10)
    world.create_base(accelerators=1, pass_time=10)
    specification = world.component("base")["Specification"]
    world.update_base("model", Specification={**specification, "StartupParameters": {member: 60}})
    world.pass_time(10)
    assert world.hosting.start_seconds == [480, 900, 60]
