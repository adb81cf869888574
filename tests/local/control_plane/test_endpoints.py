from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from local_sagemaker.control_plane.capacity import NO_ROOM
from local_sagemaker.errors import ApiError
from tests.local.world import ROLE, World

VARIANT = {"VariantName": "AllTraffic", "InstanceType": "ml.g5.12xlarge", "InitialInstanceCount": 1}


def test_endpoint_is_creating_then_in_service_and_gone_after_its_deletion(world: World) -> None:
    world.call(
        "CreateEndpointConfig",
        EndpointConfigName="config",
        ExecutionRoleArn=ROLE,
        ProductionVariants=[VARIANT],
    )
    world.call("CreateEndpoint", EndpointName="endpoint", EndpointConfigName="config")
    assert world.call("DescribeEndpoint", EndpointName="endpoint")["EndpointStatus"] == "Creating"
    world.pass_time(1)
    assert world.call("DescribeEndpoint", EndpointName="endpoint")["EndpointStatus"] == "InService"
    world.call("DeleteEndpoint", EndpointName="endpoint")
    message = world.refusal("DeleteEndpoint", EndpointName="endpoint")
    assert message == (
        'Cannot update in-progress endpoint "arn:aws:sagemaker:us-east-1:111122223333:endpoint/endpoint".'
    )
    world.pass_time(1)
    message = world.refusal("DescribeEndpoint", EndpointName="endpoint")
    assert message == 'Could not find endpoint "arn:aws:sagemaker:us-east-1:111122223333:endpoint/endpoint".'


def test_names_differ_by_more_than_case_and_keep_theirs(world: World) -> None:
    world.create_endpoint("My-Endpoint")
    described = world.call("DescribeEndpoint", EndpointName="my-endpoint")
    assert described["EndpointName"] == "My-Endpoint"
    assert described["EndpointArn"].endswith(":endpoint/my-endpoint")
    with pytest.raises(ApiError, match="Cannot create already existing endpoint"):
        world.call("CreateEndpoint", EndpointName="MY-ENDPOINT", EndpointConfigName="My-Endpoint-config")


def test_endpoint_with_components_cannot_be_deleted(world: World) -> None:
    world.serve("one")
    message = world.refusal("DeleteEndpoint", EndpointName="endpoint")
    assert message == "Cannot delete endpoint with inference component associated"


def resize(world: World, *, instances: int, instance_type: str = "ml.g5.12xlarge", **request: Any) -> None:
    variant = VARIANT | {"InitialInstanceCount": instances, "InstanceType": instance_type}
    name = f"{instances}-{instance_type.replace('.', '-')}"
    world.call(
        "CreateEndpointConfig", EndpointConfigName=name, ExecutionRoleArn=ROLE, ProductionVariants=[variant]
    )
    world.call("UpdateEndpoint", EndpointName="endpoint", EndpointConfigName=name, **request)


@pytest.mark.parametrize(
    ("setting", "loaded"), [("registered", [["one", "two"]]), ("lost", [[]])], ids=["registered", "lost"]
)
def test_update_to_another_instance_type_starts_new_copies(
    world: World, setting: str, loaded: list[list[str]]
) -> None:
    world.serve("one", "two")
    (before,) = world.running
    world.settings.change({"adapters_on_new_copies": setting})
    resize(world, instances=1, instance_type="ml.g5.24xlarge")
    world.pass_time(10)
    assert world.call("DescribeEndpoint", EndpointName="endpoint")["EndpointStatus"] == "InService"
    assert before not in world.running
    assert world.loaded() == loaded


@pytest.mark.parametrize(
    ("request_", "instances"),
    [
        ({}, 3),
        ({"RetainAllVariantProperties": True}, 1),
        (
            {
                "RetainAllVariantProperties": True,
                "ExcludeRetainedVariantProperties": [{"VariantPropertyType": "DesiredInstanceCount"}],
            },
            3,
        ),
    ],
    ids=["not retained", "retained", "excluded"],
)
def test_update_takes_the_instances_of_the_new_configuration_unless_it_retains_those_there_are(
    world: World, request_: dict[str, Any], instances: int
) -> None:
    world.serve("one")
    before = list(world.running)
    resize(world, instances=3, **request_)
    assert world.call("DescribeEndpoint", EndpointName="endpoint")["EndpointStatus"] == "Updating"
    world.pass_time(1)
    assert world.running == before
    described = world.call("DescribeEndpoint", EndpointName="endpoint")
    assert described["EndpointConfigName"] == "3-ml-g5-12xlarge"
    assert described["ProductionVariants"][0]["CurrentInstanceCount"] == instances


def test_how_an_endpoint_was_last_deployed_is_described(world: World) -> None:
    def last() -> object:
        world.pass_time(1)
        return world.call("DescribeEndpoint", EndpointName="endpoint").get("LastDeploymentConfig")

    world.create_endpoint()
    assert last() is None
    batch = {"Type": "INSTANCE_COUNT", "Value": 1}
    deployment = {"RollingUpdatePolicy": {"MaximumBatchSize": batch, "WaitIntervalInSeconds": 0}}
    update = {"EndpointName": "endpoint", "EndpointConfigName": "endpoint-config"}
    world.call("UpdateEndpoint", **update, DeploymentConfig=deployment)
    assert last() == deployment
    world.call("UpdateEndpoint", **update, RetainDeploymentConfig=True)
    assert last() == deployment
    world.call("UpdateEndpoint", **update)
    assert last() is None


@pytest.mark.parametrize(("instances", "instance_type"), [(1, "ml.g5.12xlarge"), (2, "ml.g5.xlarge")])
def test_update_to_instances_that_the_copies_do_not_fit_on_is_refused(
    world: World, instances: int, instance_type: str
) -> None:
    world.serve("one", instances=2, copies=2)
    with pytest.raises(ApiError, match=r"Cannot update endpoint .*CapacityError"):
        resize(world, instances=instances, instance_type=instance_type)
    assert world.call("DescribeEndpoint", EndpointName="endpoint")["EndpointStatus"] == "InService"


def test_update_to_fewer_instances_moves_the_copies_that_fit_on_the_rest(world: World) -> None:
    world.serve("one", instances=2, copies=2, accelerators=2)
    resize(world, instances=1)
    world.pass_time(1)
    described = world.call("DescribeEndpoint", EndpointName="endpoint")
    assert described["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    world.create_base("second", accelerators=1)
    world.pass_time(10)
    assert world.component("second")["FailureReason"] == NO_ROOM


def test_update_during_which_more_copies_come_than_would_fit_keeps_the_configuration(world: World) -> None:
    world.serve("one", instances=2)
    world.scale(2)
    world.pass_time(0.1)
    resize(world, instances=1)
    world.pass_time(10)
    described = world.call("DescribeEndpoint", EndpointName="endpoint")
    assert described["EndpointStatus"] == "InService"
    assert described["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    assert described["FailureReason"] == NO_ROOM
    assert len(world.running) == 2
    resize(world, instances=3)
    world.pass_time(10)
    assert "FailureReason" not in world.call("DescribeEndpoint", EndpointName="endpoint")


def test_update_waits_for_an_update_of_a_base_that_has_chosen_its_instances(
    world_with: Callable[..., World],
) -> None:
    world = world_with(base_update_room="spare")
    world.serve(instances=2)
    batch = {"MaximumBatchSize": {"Type": "COPY_COUNT", "Value": 1}, "WaitIntervalInSeconds": 60}
    world.update_base(DeploymentConfig={"RollingUpdatePolicy": batch})
    resize(world, instances=1)
    world.pass_time(30)
    assert world.call("DescribeEndpoint", EndpointName="endpoint")["EndpointStatus"] == "Updating"
    world.pass_time(60)
    assert world.call("DescribeEndpoint", EndpointName="endpoint")["EndpointStatus"] == "InService"
    world.create_base("second", accelerators=1)
    world.pass_time(10)
    assert world.component("second")["FailureReason"] == NO_ROOM


def test_update_cannot_drop_a_variant_that_has_components(world: World) -> None:
    world.serve("one")
    other = VARIANT | {"VariantName": "Other"}
    world.call(
        "CreateEndpointConfig", EndpointConfigName="other", ExecutionRoleArn=ROLE, ProductionVariants=[other]
    )
    message = world.refusal("UpdateEndpoint", EndpointName="endpoint", EndpointConfigName="other")
    assert "variant AllTraffic" in message


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        ({"ProductionVariants": [VARIANT | {"ModelName": "model"}], "ExecutionRoleArn": ROLE}, "ModelName"),
        ({"ProductionVariants": [{"VariantName": "v"}], "ExecutionRoleArn": ROLE}, "InstanceType"),
        ({"ProductionVariants": [VARIANT]}, "ExecutionRoleArn"),
    ],
)
def test_configuration_that_cannot_serve_components_is_refused(
    world: World, request_: dict[str, object], names: str
) -> None:
    assert names in world.refusal("CreateEndpointConfig", EndpointConfigName="config", **request_)


def test_component_needs_its_endpoint_in_service(world: World) -> None:
    world.create_model()
    world.create_endpoint()
    world.call("UpdateEndpoint", EndpointName="endpoint", EndpointConfigName="endpoint-config")
    with pytest.raises(ApiError, match='is in status "Updating"'):
        world.create_base()


@pytest.mark.parametrize(
    ("kind", "noun"),
    [
        ("Model", "model"),
        ("EndpointConfig", "endpoint configuration"),
        ("Endpoint", "endpoint"),
        ("InferenceComponent", "inference component"),
    ],
)
def test_what_does_not_exist_is_a_validation_exception(world: World, kind: str, noun: str) -> None:
    for verb in ("Describe", "Delete"):
        refusal = world.refusal(f"{verb}{kind}", **{f"{kind}Name": "Nobody"})
        assert refusal.startswith(f'Could not find {noun} "arn:')
        assert refusal.endswith('/nobody".')


def test_model_and_configuration_can_be_deleted_while_in_use(world: World) -> None:
    world.serve("one")
    world.call("DeleteModel", ModelName="model")
    world.call("DeleteEndpointConfig", EndpointConfigName="endpoint-config")
    assert world.status("one") == "InService"
    assert world.call("DescribeEndpoint", EndpointName="endpoint")["EndpointConfigName"] == "endpoint-config"
