"""How the instances of a variant follow its copies, and endpoints with several instance types."""

from typing import Any

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
    world.create_base(pass_time=10)
    return world


def state(world: World) -> tuple[str, int, int]:
    """The status of the endpoint, and its current and desired instances."""
    endpoint = world.endpoint()
    counts = [endpoint["Variant"][f"{which}InstanceCount"] for which in ("Current", "Desired")]
    return endpoint["EndpointStatus"], *counts


def instances(world: World) -> int:
    """The instances after the changes that are due."""
    state(world)
    world.pass_time(0.5)
    status, current, desired = state(world)
    assert (status, desired) == ("InService", current)
    return current


def test_empty_instances_leave_after_a_while_down_to_none(serving: World) -> None:
    serving.scale(3, pass_time=10)
    assert instances(serving) == 3
    serving.scale(0, pass_time=10)
    assert instances(serving) == 3
    serving.pass_time(598)
    assert instances(serving) == 3
    serving.pass_time(1)
    assert instances(serving) == 0


def test_endpoint_is_updating_while_an_instance_comes_or_goes(serving: World) -> None:
    del serving.telemetry.statuses[:]
    before = serving.endpoint()["LastModifiedTime"]
    serving.scale(2, pass_time=0.3)
    assert state(serving) == ("Updating", 1, 2)
    assert "Cannot update in-progress" in serving.refusal("DeleteEndpoint", EndpointName="endpoint")
    serving.create_base("other")
    serving.change(create_while_instances_change="refused")
    third = base(SPECIFICATIONS, InferenceComponentName="third")
    assert 'in status "Updating"' in serving.refusal("CreateInferenceComponent", **third)
    serving.pass_time(10)
    assert state(serving) == ("InService", 3, 3)
    serving.scale(1, pass_time=10)
    state(serving)
    serving.pass_time(600)
    assert state(serving) == ("Updating", 3, 2)
    serving.pass_time(1)
    assert state(serving) == ("InService", 2, 2)
    assert serving.endpoint()["LastModifiedTime"] > before
    assert serving.telemetry.statuses == ["Updating", "InService"] * 3


def test_changes_that_overlap_end_each_in_its_own_time(serving: World) -> None:
    serving.change(endpoint_seconds=3)
    serving.create_base("other", pass_time=0.5)
    assert state(serving) == ("Updating", 1, 2)
    serving.pass_time(1)
    serving.create_base("third", pass_time=0.5)
    assert state(serving) == ("Updating", 1, 3)
    serving.pass_time(1.5)
    assert state(serving) == ("Updating", 2, 3)
    serving.pass_time(3)
    assert state(serving) == ("InService", 3, 3)


def test_a_rolling_update_has_one_instance_more_for_a_while(serving: World) -> None:
    serving.update_base(pass_time=0.3)
    assert state(serving) == ("Updating", 1, 2)
    serving.pass_time(0.12)
    assert state(serving) == ("Updating", 2, 2)
    serving.pass_time(10)
    assert state(serving) == ("InService", 2, 2)
    serving.pass_time(600)
    assert instances(serving) == 1


def test_copy_that_comes_back_keeps_its_instance(serving: World) -> None:
    serving.scale(0, pass_time=10)
    assert instances(serving) == 1
    serving.scale(1, pass_time=10)
    serving.pass_time(1_000)
    assert instances(serving) == 1


def test_instances_leave_after_the_scaled_time_down_to_the_minimum(world: World) -> None:
    world.change(managed_scale_in_seconds=600, time_scale=0.01)
    world.create_endpoint(instances=2, ManagedInstanceScaling=managed(1))
    assert instances(world) == 2
    world.pass_time(6)
    assert instances(world) == 1


def test_update_starts_again_at_the_first_number_unless_it_retains_the_present_one(serving: World) -> None:
    serving.scale(3, pass_time=10)
    assert instances(serving) == 3
    serving.scale(1, pass_time=10)
    update = {"EndpointName": "endpoint", "EndpointConfigName": "endpoint-config"}
    serving.call("UpdateEndpoint", **update, RetainAllVariantProperties=True, pass_time=1)
    assert state(serving) == ("InService", 3, 3)
    serving.call("UpdateEndpoint", **update, pass_time=1)
    assert instances(serving) == 1


POOLS = [
    {"InstanceType": "ml.g5.48xlarge", "Priority": 2},
    {"InstanceType": "ml.g5.12xlarge", "Priority": 1},
]


def specification(instance_type: str | None, accelerators: int) -> dict[str, Any]:
    compute = {"MinMemoryRequiredInMb": 1024, "NumberOfAcceleratorDevicesRequired": accelerators}
    of_type = {} if instance_type is None else {"InstanceType": instance_type}
    return {"ModelName": "model", "ComputeResourceRequirements": compute, **of_type}


SPECIFICATIONS = [specification("ml.g5.12xlarge", 4), specification("ml.g5.48xlarge", 8)]


@pytest.fixture
def pooled(world: World) -> World:
    world.create_model()
    world.create_endpoint(InstancePools=POOLS, InstanceType=None)
    return world


def base(specifications: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {
        "InferenceComponentName": "base",
        "EndpointName": "endpoint",
        "VariantName": "AllTraffic",
        "Specifications": specifications,
        "RuntimeConfig": {"CopyCount": 1},
        **more,
    }


def test_the_instances_are_of_the_pool_with_the_lowest_number(pooled: World) -> None:
    assert pooled.endpoint()["Variant"]["InstancePools"] == [
        {"InstanceType": "ml.g5.48xlarge", "CurrentInstanceCount": 0},
        {"InstanceType": "ml.g5.12xlarge", "CurrentInstanceCount": 1},
    ]


def test_the_specification_of_the_instances_is_in_force_and_an_update_replaces_all(pooled: World) -> None:
    pooled.call("CreateInferenceComponent", **base(SPECIFICATIONS), pass_time=10)
    assert pooled.component("base")["Specifications"] == SPECIFICATIONS
    # All four accelerators of its instance are taken.
    pooled.call("CreateInferenceComponent", **base(SPECIFICATIONS, InferenceComponentName="second"))
    pooled.pass_time(10)
    assert "CapacityError" in pooled.component("second")["FailureReason"]
    pooled.create_model("model-2", VERSION="2")
    changed = [one | {"ModelName": "model-2"} for one in SPECIFICATIONS]
    pooled.call("UpdateInferenceComponent", InferenceComponentName="base", Specifications=changed)
    pooled.pass_time(10)
    assert pooled.component("base")["Specifications"] == changed
    assert [copy.environment for copy in pooled.running] == [{"VERSION": "2"}]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            base([specification("ml.g5.48xlarge", 8), specification("ml.g6.48xlarge", 8)]),
            "should have one for instance type ml.g5.12xlarge",
        ),
        (
            base([specification("ml.g5.12xlarge", 4), specification("ml.g5.12xlarge", 2)]),
            "should have an InstanceType of its own, got ml.g5.12xlarge, ml.g5.12xlarge.",
        ),
        (
            base([specification("ml.g5.12xlarge", 4), specification(None, 8)]),
            "should have an InstanceType of its own, got ml.g5.12xlarge.",
        ),
        (base([specification("ml.g5.12xlarge", 4), specification("ml.g5.48xlarge", 9)]), "more than the 8"),
        (base(SPECIFICATIONS, Specification=SPECIFICATIONS[0]), "Exactly one of"),
    ],
)
def test_specifications_that_do_not_fit_the_instances_or_one_and_several_are_refused(
    pooled: World, settings: dict[str, Any], said: str
) -> None:
    assert said in pooled.refusal("CreateInferenceComponent", **settings)
