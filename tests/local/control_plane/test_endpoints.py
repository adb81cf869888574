"""Endpoints and their configurations."""

from typing import Any

import pytest

from local_sagemaker.control_plane.capacity import NO_ROOM
from local_sagemaker.errors import ApiError
from tests.local.world import ROLE, World

ARN = "arn:aws:sagemaker:us-east-1:111122223333:endpoint/endpoint"


def test_endpoint_in_transition_takes_no_write(world: World) -> None:
    world.create_config("config")
    world.create_model()
    world.call("CreateEndpoint", EndpointName="endpoint", EndpointConfigName="config")
    assert world.endpoint()["EndpointStatus"] == "Creating"
    with pytest.raises(ApiError, match='is in status "Creating"'):
        world.create_base()
    world.pass_time(1)
    world.create_base()
    message = world.refusal("DeleteEndpoint", EndpointName="endpoint")
    assert message == "Cannot delete endpoint with inference component associated"
    world.pass_time(10)
    world.delete("base", pass_time=10)
    world.call("DeleteEndpoint", EndpointName="endpoint")
    message = world.refusal("DeleteEndpoint", EndpointName="endpoint")
    assert message == f'Cannot update in-progress endpoint "{ARN}".'
    world.pass_time(1)
    assert world.call("ListEndpoints")["Endpoints"] == []


def test_names_differ_by_more_than_case_and_keep_theirs(world: World) -> None:
    world.create_endpoint("My-Endpoint")
    described = world.call("DescribeEndpoint", EndpointName="my-endpoint")
    assert described["EndpointName"] == "My-Endpoint"
    assert described["EndpointArn"].endswith(":endpoint/my-endpoint")
    with pytest.raises(ApiError, match="Cannot create already existing endpoint"):
        world.call("CreateEndpoint", EndpointName="MY-ENDPOINT", EndpointConfigName="My-Endpoint-config")


def resize(world: World, *, instances: int, instance_type: str = "ml.g5.12xlarge", **request: Any) -> None:
    world.create_config("other", instances=instances, InstanceType=instance_type)
    world.call("UpdateEndpoint", EndpointName="endpoint", EndpointConfigName="other", **request)
    world.call("DeleteEndpointConfig", EndpointConfigName="other")


@pytest.mark.parametrize(("setting", "loaded"), [("registered", [["one", "two"]]), ("lost", [[]])])
def test_update_to_another_instance_type_starts_new_copies(
    world: World, setting: str, loaded: list[list[str]]
) -> None:
    world.serve("one", "two")
    (before,) = world.running
    world.change(adapters_on_new_copies=setting)
    resize(world, instances=1, instance_type="ml.g5.24xlarge")
    world.pass_time(10)
    assert world.endpoint()["EndpointStatus"] == "InService"
    assert before not in world.running
    assert world.loaded() == loaded


EXCLUDED = {"ExcludeRetainedVariantProperties": [{"VariantPropertyType": "DesiredInstanceCount"}]}


@pytest.mark.parametrize(
    ("request_", "instances"),
    [
        ({}, 3),
        ({"RetainAllVariantProperties": True}, 1),
        ({"RetainAllVariantProperties": True, **EXCLUDED}, 3),
    ],
    ids=["not retained", "retained", "excluded"],
)
def test_update_takes_the_instances_of_the_new_configuration_unless_it_retains_those_there_are(
    world: World, request_: dict[str, Any], instances: int
) -> None:
    world.serve("one")
    before = list(world.running)
    resize(world, instances=3, **request_)
    assert world.endpoint()["EndpointStatus"] == "Updating"
    world.pass_time(1)
    assert world.running == before
    assert world.endpoint()["EndpointConfigName"] == "other"
    assert world.endpoint()["Variant"]["CurrentInstanceCount"] == instances


@pytest.mark.parametrize(("instances", "instance_type"), [(1, "ml.g5.12xlarge"), (2, "ml.g5.xlarge")])
def test_update_to_instances_that_the_copies_do_not_fit_on_is_refused(
    world: World, instances: int, instance_type: str
) -> None:
    world.serve("one", instances=2, copies=2)
    with pytest.raises(ApiError, match=r"Cannot update endpoint .*CapacityError"):
        resize(world, instances=instances, instance_type=instance_type)
    assert world.endpoint()["EndpointStatus"] == "InService"


def test_update_to_fewer_instances_moves_the_copies_that_fit_on_the_rest(world: World) -> None:
    world.serve("one", instances=2, copies=2, accelerators=2)
    resize(world, instances=1)
    world.pass_time(1)
    assert world.endpoint()["Variant"]["CurrentInstanceCount"] == 1
    world.create_base("second", accelerators=1, pass_time=10)
    assert world.component("second")["FailureReason"] == NO_ROOM


def test_update_during_which_more_copies_come_than_would_fit_keeps_the_configuration(world: World) -> None:
    world.serve("one", instances=2)
    world.scale(2, pass_time=0.1)
    resize(world, instances=1)
    world.pass_time(10)
    endpoint = world.endpoint()
    assert (endpoint["EndpointStatus"], endpoint["FailureReason"]) == ("InService", NO_ROOM)
    assert endpoint["Variant"]["CurrentInstanceCount"] == len(world.running) == 2
    resize(world, instances=3)
    world.pass_time(10)
    assert "FailureReason" not in world.endpoint()


def test_update_waits_for_an_update_of_a_base_that_has_chosen_its_instances(
    world: World,
) -> None:
    world.serve(instances=2, base_update_room="spare")
    batch = {"MaximumBatchSize": {"Type": "COPY_COUNT", "Value": 1}, "WaitIntervalInSeconds": 60}
    world.update_base(DeploymentConfig={"RollingUpdatePolicy": batch})
    resize(world, instances=1)
    world.pass_time(30)
    assert world.endpoint()["EndpointStatus"] == "Updating"
    world.pass_time(60)
    assert world.endpoint()["EndpointStatus"] == "InService"
    world.create_base("second", accelerators=1, pass_time=10)
    assert world.component("second")["FailureReason"] == NO_ROOM


def test_update_cannot_drop_a_variant_that_has_components(world: World) -> None:
    world.serve("one")
    world.create_config("other", VariantName="Other")
    message = world.refusal("UpdateEndpoint", EndpointName="endpoint", EndpointConfigName="other")
    assert "variant AllTraffic" in message


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
    assert world.endpoint()["EndpointConfigName"] == "endpoint-config"


def managed(initial: int, least: int | None, most: int | None) -> dict[str, Any]:
    counts = {"MinInstanceCount": least, "MaxInstanceCount": most}
    return {
        "VariantName": "AllTraffic",
        "InstanceType": "ml.g5.12xlarge",
        "InitialInstanceCount": initial,
        "ManagedInstanceScaling": {"Status": "ENABLED", **counts},
    }


FITTING = managed(1, 0, 2)
POOLS = [{"InstanceType": "ml.g5.12xlarge", "Priority": 1}]


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ([managed(1, 2, 1)], "MinInstanceCount of production variant AllTraffic should be at most"),
        ([managed(3, 0, 2)], "should be from MinInstanceCount, 0, to MaxInstanceCount, 2, got 3"),
        ([managed(1, 2, 4)], "should be from MinInstanceCount, 2, to MaxInstanceCount, 4, got 1"),
        ([FITTING, FITTING], "several production variants with the name AllTraffic"),
        ([FITTING | {"InstanceType": None}], "an InstanceType or InstancePools, and not both"),
        ([FITTING | {"InstancePools": POOLS}], "an InstanceType or InstancePools, and not both"),
        ([FITTING | {"InitialInstanceCount": None}], "should have an InitialInstanceCount"),
        ([FITTING | {"ModelName": "llm"}], "has a ModelName"),
    ],
)
def test_variants_that_cannot_be_are_refused(
    world: World, variants: list[dict[str, Any]], message: str
) -> None:
    request = {"EndpointConfigName": "config", "ProductionVariants": variants}
    assert message in world.refusal("CreateEndpointConfig", **request, ExecutionRoleArn=ROLE)
    request["ProductionVariants"] = [FITTING]
    assert "ExecutionRoleArn" in world.refusal("CreateEndpointConfig", **request)


@pytest.mark.parametrize("counts", [(1, 0, 2), (2, 2, 2), (1, None, None)])
def test_counts_of_managed_scaling_that_fit_are_accepted(
    world: World, counts: tuple[int, int | None, int | None]
) -> None:
    world.call(
        "CreateEndpointConfig",
        EndpointConfigName="config",
        ExecutionRoleArn=ROLE,
        ProductionVariants=[managed(*counts)],
    )
