"""Endpoints with several instance types, and components with a specification for each."""

from __future__ import annotations

from typing import Any

import pytest

from tests.local.world import ROLE, World

POOLS = [
    {"InstanceType": "ml.g5.48xlarge", "Priority": 2},
    {"InstanceType": "ml.g5.12xlarge", "Priority": 1},
]


def create_config(world: World, **variant: Any) -> None:
    world.call(
        "CreateEndpointConfig",
        EndpointConfigName="pools",
        ExecutionRoleArn=ROLE,
        ProductionVariants=[{"VariantName": "AllTraffic", "InitialInstanceCount": 1, **variant}],
    )


def specification(instance_type: str, accelerators: int) -> dict[str, Any]:
    compute = {"MinMemoryRequiredInMb": 1024, "NumberOfAcceleratorDevicesRequired": accelerators}
    return {
        "InstanceType": instance_type,
        "ModelName": "model",
        "ComputeResourceRequirements": compute,
    }


SPECIFICATIONS = [specification("ml.g5.12xlarge", 4), specification("ml.g5.48xlarge", 8)]
OF_NO_TYPE = {key: value for key, value in SPECIFICATIONS[1].items() if key != "InstanceType"}


@pytest.fixture
def pooled(world: World) -> World:
    world.create_model()
    create_config(world, InstancePools=POOLS)
    world.call("CreateEndpoint", EndpointName="endpoint", EndpointConfigName="pools")
    world.pass_time(1)
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
    (variant,) = pooled.call("DescribeEndpoint", EndpointName="endpoint")["ProductionVariants"]
    assert variant["InstancePools"] == [
        {"InstanceType": "ml.g5.48xlarge", "CurrentInstanceCount": 0},
        {"InstanceType": "ml.g5.12xlarge", "CurrentInstanceCount": 1},
    ]
    (stored,) = pooled.call("DescribeEndpointConfig", EndpointConfigName="pools")["ProductionVariants"]
    assert stored["InstancePools"] == POOLS
    assert "InstanceType" not in stored


def test_the_specification_of_the_instances_is_in_force_and_all_are_described(pooled: World) -> None:
    pooled.call("CreateInferenceComponent", **base(SPECIFICATIONS))
    pooled.pass_time(10)
    described = pooled.component("base")
    assert described["InferenceComponentStatus"] == "InService"
    assert described["Specifications"] == SPECIFICATIONS
    assert "Specification" not in described
    # All four accelerators of its instance are taken.
    pooled.call("CreateInferenceComponent", **base(SPECIFICATIONS, InferenceComponentName="second"))
    pooled.pass_time(10)
    assert "CapacityError" in pooled.component("second")["FailureReason"]


def test_adapters_run_on_it_and_an_update_replaces_all_specifications(pooled: World) -> None:
    pooled.call("CreateInferenceComponent", **base(SPECIFICATIONS))
    pooled.pass_time(10)
    pooled.create_adapter("one")
    pooled.pass_time(10)
    pooled.create_model("model-2", VERSION="2")
    changed = [one | {"ModelName": "model-2"} for one in SPECIFICATIONS]
    pooled.call("UpdateInferenceComponent", InferenceComponentName="base", Specifications=changed)
    pooled.pass_time(10)
    assert pooled.component("base")["Specifications"] == changed
    assert [copy.environment for copy in pooled.running] == [{"VERSION": "2"}]
    assert pooled.loaded() == [["one"]]


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
            [specification("ml.g5.12xlarge", 4), OF_NO_TYPE],
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
        create_config(world, InstancePools=POOLS, InstanceType="ml.g5.12xlarge")
