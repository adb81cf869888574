"""Endpoints with several instance types, and components with a specification for each."""

from __future__ import annotations

from typing import Any

import pytest

from tests.local.world import World

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
    pooled.call("CreateInferenceComponent", **base(SPECIFICATIONS))
    pooled.pass_time(10)
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
    ("specifications", "said"),
    [
        (
            [specification("ml.g5.48xlarge", 8), specification("ml.g6.48xlarge", 8)],
            "should have one for instance type ml.g5.12xlarge",
        ),
        (
            [specification("ml.g5.12xlarge", 4), specification("ml.g5.12xlarge", 2)],
            "should have an InstanceType of its own, got ml.g5.12xlarge, ml.g5.12xlarge.",
        ),
        (
            [specification("ml.g5.12xlarge", 4), specification(None, 8)],
            "should have an InstanceType of its own, got ml.g5.12xlarge.",
        ),
        ([specification("ml.g5.12xlarge", 4), specification("ml.g5.48xlarge", 9)], "more than the 8"),
    ],
)
def test_specifications_that_do_not_fit_the_instances_are_refused(
    pooled: World, specifications: list[dict[str, Any]], said: str
) -> None:
    assert said in pooled.refusal("CreateInferenceComponent", **base(specifications))


def test_one_and_several_specifications_are_refused_together(pooled: World) -> None:
    request = base(SPECIFICATIONS, Specification=SPECIFICATIONS[0])
    assert "Exactly one of" in pooled.refusal("CreateInferenceComponent", **request)


def test_an_instance_type_beside_pools_is_refused(world: World) -> None:
    with pytest.raises(Exception, match="an InstanceType or InstancePools, and not both"):
        world.create_config("both", InstancePools=POOLS)
