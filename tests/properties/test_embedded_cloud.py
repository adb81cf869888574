"""What the page says of the embedded cloud: what it stores is described as it was sent."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape

from local_sagemaker.cloudformation.handlers import HandlerError, Handlers
from local_sagemaker.cloudformation.resource_types import RESOURCE_TYPES, ResourceType
from local_sagemaker.control_plane.request_validation import operation_model
from tests.local.world import ROLE, World
from tests.properties.newer_shapes import merged_model
from tests.properties.page import Answers, answer_for, read_answers
from tests.properties.properties import installed_schemas, of_api, of_cloudformation

# One of these fits each pattern of the model.
_TEXTS = (
    "a",
    "s3://bucket/key",
    "text/csv",
    "/metrics",
    "mig-1g.5gb",
    "sha256:" + "0" * 64,
    ROLE,
    "arn:aws:sns:us-east-1:111122223333:topic",
    "arn:aws:sagemaker:us-east-1:111122223333:training-plan/llm",
    "arn:aws:sagemaker:us-east-1:aws:hub-content/hub/Model/a/1.0.0",
)


def example(shape: Shape, without: tuple[str, ...], path: str = "") -> Any:
    """A value with every member of a shape but those below some paths."""
    match shape:
        case StructureShape():
            below = {name: f"{path}.{name}" if path else name for name in shape.members}
            return {
                name: example(shape.members[name], without, inner)
                for name, inner in below.items()
                if inner not in without
            }
        case ListShape():
            return [example(shape.member, without, path)]
        case MapShape():
            return {"NAME": "value"}
        case StringShape():
            return shape.enum[0] if shape.enum else _text(shape)
    if shape.type_name == "boolean":
        return True
    return max(1, shape.metadata.get("min", 1))


def _text(shape: StringShape) -> str:
    pattern = re.sub(r"\\p\{\w+\}", r"\\w", shape.metadata.get("pattern", ".*"))
    least = shape.metadata.get("min", 0)
    fitting = (text for text in _TEXTS if len(text) >= least and re.fullmatch(pattern, text))
    return next(fitting, "a" * least)


def request_of(operation: str, *without: str, **members: Any) -> dict[str, Any]:
    """A request with every member but those below some paths, and these."""
    shape = operation_model(operation).input_shape
    assert shape is not None
    return {**example(shape, without), **members}


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a request or a description by their paths; a map is a value."""
    if isinstance(value, dict) and not path.endswith(("Environment", "Tags")):
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, path)
    else:
        yield path, value


@pytest.fixture(scope="module")
def answers() -> Answers:
    return read_answers()


def stored(answers: Answers, kind: str) -> set[str]:
    """The properties that the embedded cloud stores, as the page says."""
    return {
        path
        for path in of_api(merged_model())[kind]
        if (answer := answer_for(path, answers[kind])) is not None and answer.does == "stores"
    }


def check(sent: Mapping[str, Any], described: Mapping[str, Any], properties: set[str]) -> set[str]:
    """The properties that were sent, each of which has to be described with the values that were sent."""
    wanted: dict[str, list[Any]] = {}
    got: dict[str, list[Any]] = {}
    for values, source in ((wanted, sent), (got, described)):
        for path, value in leaves(source):
            values.setdefault(path, []).append(value)
    checked = properties & wanted.keys()
    assert {path: wanted[path] for path in checked} == {path: got.get(path) for path in checked}
    return checked


def test_models_are_described_as_they_were_sent(world: World, answers: Answers) -> None:
    properties, seen = stored(answers, "Model"), set()
    for name, other in (("one", "Containers"), ("several", "PrimaryContainer")):
        request = request_of("CreateModel", other, ModelName=name)
        world.call("CreateModel", **copy.deepcopy(request))
        seen |= check(request, world.call("DescribeModel", ModelName=name), properties)
    assert seen == properties


VARIANT = "ProductionVariants"


def config_request(*without: str) -> dict[str, Any]:
    request = request_of(
        "CreateEndpointConfig", f"{VARIANT}.ModelName", *without, EndpointConfigName="config"
    )
    request["MetricsConfig"]["MetricPublishFrequencyInSeconds"] = 10
    for variant in (*request[VARIANT], *request["ShadowProductionVariants"]):
        variant["VariantName"] = "AllTraffic"
    return request


@pytest.mark.parametrize("without", [f"{VARIANT}.InstancePools", f"{VARIANT}.InstanceType"])
def test_configurations_are_described_as_they_were_sent(world: World, answers: Answers, without: str) -> None:
    request = config_request(without)
    world.call("CreateEndpointConfig", **copy.deepcopy(request))
    described = world.call("DescribeEndpointConfig", EndpointConfigName="config")
    properties = stored(answers, "EndpointConfig")
    unsent = {path for path in properties if path.startswith(without)}
    assert check(request, described, properties) == properties - unsent


@pytest.mark.parametrize("other", ["BlueGreenUpdatePolicy", "RollingUpdatePolicy"])
def test_endpoints_describe_their_configuration_and_their_last_deployment(
    world: World, answers: Answers, other: str
) -> None:
    config = config_request(f"{VARIANT}.InstanceType")
    world.call("CreateEndpointConfig", **copy.deepcopy(config))
    request = request_of(
        "CreateEndpoint", f"DeploymentConfig.{other}", EndpointName="endpoint", EndpointConfigName="config"
    )
    world.call("CreateEndpoint", **copy.deepcopy(request))
    world.pass_time(1)
    described = world.call("DescribeEndpoint", EndpointName="endpoint")
    assert described["LastDeploymentConfig"] == request["DeploymentConfig"]
    for member in ("MetricsConfig", "AsyncInferenceConfig", "ExplainerConfig", "CrossRegionTrafficConfig"):
        assert described[member] == config[member]
    (variant,) = described[VARIANT]
    (sent,) = config[VARIANT]
    for member in ("CapacityReservationConfig", "AcceleratorPartitionLayouts", "RoutingConfig"):
        assert variant[member] == sent[member]
    update = {"EndpointName": "endpoint", "EndpointConfigName": "config"}
    for retain, kept in ((True, True), (False, False)):
        world.call("UpdateEndpoint", **update, RetainDeploymentConfig=retain)
        world.pass_time(1)
        assert ("LastDeploymentConfig" in world.call("DescribeEndpoint", EndpointName="endpoint")) is kept
    assert {path.split(".")[0] for path in stored(answers, "Endpoint")} == {"DeploymentConfig"}


def test_components_are_described_as_they_were_sent(world: World, answers: Answers) -> None:
    world.create_model("a")
    world.create_endpoint()
    properties, seen = stored(answers, "InferenceComponent"), set()
    for name, this, other in (
        ("one", "Specification", "Specifications"),
        ("several", "Specifications", "Specification"),
    ):
        without = (other, f"{this}.BaseInferenceComponentName", f"{this}.Container.Image")
        request = request_of(
            "CreateInferenceComponent",
            *without,
            InferenceComponentName=name,
            EndpointName="endpoint",
            VariantName="AllTraffic",
        )
        for specification in request[this] if isinstance(request[this], list) else [request[this]]:
            specification["InstanceType"] = "ml.g5.12xlarge"
        world.call("CreateInferenceComponent", **copy.deepcopy(request))
        world.pass_time(10)
        seen |= check(request, world.component(name), properties)
    assert seen == properties


def test_what_it_refuses_is_refused(world: World, answers: Answers) -> None:
    refused = {path for kind in answers for path, answer in answers[kind].items() if answer.does == "refuses"}
    world.create_model()
    world.create_endpoint()
    compute = {"MinMemoryRequiredInMb": 1024}
    base = {"InferenceComponentName": "base", "EndpointName": "endpoint", "VariantName": "AllTraffic"}
    specification = {"ModelName": "model", "ComputeResourceRequirements": compute}
    create = "CreateInferenceComponent"
    several = [{**specification, "BaseInferenceComponentName": "base"}]
    requests: dict[str, tuple[str, dict[str, Any]]] = {
        f"{VARIANT}.ModelName": (
            "CreateEndpointConfig",
            config_request(f"{VARIANT}.InstancePools") | with_model(),
        ),
        "EndpointArn": (create, {**base, "Specification": specification, "EndpointArn": ROLE}),
        "Specifications.BaseInferenceComponentName": (create, {**base, "Specifications": several}),
    }
    assert requests.keys() == refused
    for path, (operation, request) in requests.items():
        # Each names what it refuses.
        assert path.rpartition(".")[2].lower() in world.refusal(operation, **request).lower()


def with_model() -> dict[str, Any]:
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "model",
        "InstanceType": "ml.g5.12xlarge",
        "InitialInstanceCount": 1,
    }
    return {VARIANT: [variant]}


# [V aws-cdk-lib] CloudFormation has them, too, though cfn-lint's schemas do not.
OF_THE_CDK = {f"{variant}.AcceleratorType" for variant in (VARIANT, "ShadowProductionVariants")}


@pytest.mark.slow
@pytest.mark.parametrize("resource", RESOURCE_TYPES, ids=lambda resource: resource.kind)
def test_templates_are_refused_what_the_api_alone_has(resource: ResourceType) -> None:
    known = of_cloudformation(installed_schemas())[resource.kind]
    api_only = of_api(merged_model())[resource.kind] - known - OF_THE_CDK
    refused = {
        path for path in api_only if any(f"{path}.".startswith(f"{one}.") for one in resource.api_only)
    }
    assert refused == api_only
    handlers = Handlers(resource, plane=never, loop=never)
    for path in resource.api_only:
        assert {one for one in api_only if f"{one}.".startswith(f"{path}.")}, path
        template: Any = "value"
        for name in reversed(path.split(".")):
            template = {name: [template] if name in ("Containers", "Specifications") else template}
        with pytest.raises(HandlerError, match=r"extraneous key \[\w+\] is not permitted"):
            handlers.create("Resource", template, "stack")
        with pytest.raises(HandlerError, match=r"extraneous key \[\w+\] is not permitted"):
            handlers.update("arn", {}, template, "stack")


def never() -> Any:
    raise AssertionError("the request was not refused")


def test_a_frequency_that_the_service_does_not_have_is_refused(world: World) -> None:
    request = config_request(f"{VARIANT}.InstancePools")
    request["MetricsConfig"]["MetricPublishFrequencyInSeconds"] = 15
    assert "should be one of 10, 30, 60, 120, 180, 240, 300, got 15" in world.refusal(
        "CreateEndpointConfig", **request
    )
