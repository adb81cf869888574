"""What the page says of the constructs: every property has an answer, every argument sets its property."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

import multi_adapter_inference as library
from tests.properties.everything import KEY, PLAN, ROLE, everything
from tests.properties.newer_shapes import KINDS, merged_model
from tests.properties.page import PAGE, Answers, answer_for, page, read_answers
from tests.properties.properties import installed_schemas, of_api, of_cloudformation

Properties = Mapping[str, set[str]]

# What `everything` sets each property to, and what of it tells that it was this argument.
SETS: dict[str, dict[str, object]] = {
    "Model": {
        "ExecutionRoleArn": ROLE,
        "EnableNetworkIsolation": True,
        "VpcConfig.Subnets": "subnet-0a1b2c3d",
        "VpcConfig.SecurityGroupIds": "sg-0a1b2c3d",
        "Tags": {"Key": "team", "Value": "llm"},
        "PrimaryContainer.Image": re.compile("djl-inference:0.36.0-lmi19"),
        "PrimaryContainer.Environment": re.compile('"OPTION_DTYPE": "bf16"'),
        "PrimaryContainer.ModelDataUrl": re.compile("base-models/"),
        "PrimaryContainer.ModelDataSource.S3DataSource.S3Uri": "s3://models/base/",
    },
    "EndpointConfig": {
        "ExecutionRoleArn": ROLE,
        "EnableNetworkIsolation": True,
        "VpcConfig.Subnets": "subnet-0a1b2c3d",
        "VpcConfig.SecurityGroupIds": "sg-0a1b2c3d",
        "KmsKeyId": KEY,
        "Tags": {"Key": "team", "Value": "llm"},
        "MetricsConfig.EnableEnhancedMetrics": True,
        "MetricsConfig.MetricPublishFrequencyInSeconds": 30,
        "ProductionVariants.InstanceType": "ml.p3.16xlarge",
        "ProductionVariants.InstancePools.InstanceType": "ml.g6e.xlarge",
        "ProductionVariants.InstancePools.Priority": 2,
        "ProductionVariants.InitialInstanceCount": 6,
        "ProductionVariants.VariantInstanceProvisionTimeoutInSeconds": 603,
        "ProductionVariants.ModelDataDownloadTimeoutInSeconds": 601,
        "ProductionVariants.ContainerStartupHealthCheckTimeoutInSeconds": 602,
        "ProductionVariants.InferenceAmiVersion": "al2-ami-sagemaker-inference-gpu-3-1",
        "ProductionVariants.RoutingConfig.RoutingStrategy": "RANDOM",
        "ProductionVariants.ManagedInstanceScaling.Status": "ENABLED",
        "ProductionVariants.ManagedInstanceScaling.MinInstanceCount": 4,
        "ProductionVariants.ManagedInstanceScaling.MaxInstanceCount": 8,
        "ProductionVariants.CapacityReservationConfig.MlReservationArn": PLAN,
    },
    "Endpoint": {
        "Tags": {"Key": "team", "Value": "llm"},
        "RetainAllVariantProperties": True,
    },
    "InferenceComponent": {
        "InferenceComponentName": "everything-base",
        "Tags": {"Key": "team", "Value": "llm"},
        "RuntimeConfig.CopyCount": 7,
        "Specification.ModelName": re.compile("ReservedModel"),
        "Specification.BaseInferenceComponentName": "everything-base",
        "Specification.Container.ArtifactUrl": re.compile("s3://models/adapters/sha256-1"),
        "Specification.ComputeResourceRequirements.NumberOfAcceleratorDevicesRequired": 2,
        "Specification.ComputeResourceRequirements.NumberOfCpuCoresRequired": 3,
        "Specification.ComputeResourceRequirements.MinMemoryRequiredInMb": 1001,
        "Specification.ComputeResourceRequirements.MaxMemoryRequiredInMb": 1002,
        "Specification.StartupParameters.ModelDataDownloadTimeoutInSeconds": 601,
        "Specification.StartupParameters.ContainerStartupHealthCheckTimeoutInSeconds": 602,
        "Specification.DataCacheConfig.EnableCaching": True,
        "Specification.SchedulingConfig.PlacementStrategy": "BINPACK",
        "Specifications.InstanceType": "ml.g6e.xlarge",
        "Specifications.ComputeResourceRequirements.NumberOfAcceleratorDevicesRequired": 1,
        "Specifications.ComputeResourceRequirements.NumberOfCpuCoresRequired": 2,
        "Specifications.ComputeResourceRequirements.MinMemoryRequiredInMb": 1004,
        "Specifications.ComputeResourceRequirements.MaxMemoryRequiredInMb": 1005,
        "Specifications.ModelName": re.compile("PooledBaseModel"),
        "Specifications.StartupParameters.ModelDataDownloadTimeoutInSeconds": 604,
        "Specifications.StartupParameters.ContainerStartupHealthCheckTimeoutInSeconds": 605,
        "Specifications.DataCacheConfig.EnableCaching": False,
        "Specifications.SchedulingConfig.PlacementStrategy": "SPREAD",
        "DeploymentConfig.RollingUpdatePolicy.MaximumBatchSize.Type": "CAPACITY_PERCENT",
        "DeploymentConfig.RollingUpdatePolicy.MaximumBatchSize.Value": 21,
        "DeploymentConfig.RollingUpdatePolicy.WaitIntervalInSeconds": 122,
        "DeploymentConfig.AutoRollbackConfiguration.Alarms.AlarmName": "own",
    },
}


@pytest.fixture(scope="module")
def cloudformation() -> Properties:
    return of_cloudformation(installed_schemas())


@pytest.fixture(scope="module")
def api() -> Properties:
    return of_api(merged_model())


@pytest.fixture(scope="module")
def answers() -> Answers:
    return read_answers()


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    return everything()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_property_has_an_answer_and_every_answer_a_property(
    cloudformation: Properties, api: Properties, answers: Answers, kind: str
) -> None:
    properties = cloudformation[kind] | api[kind]
    unanswered = [path for path in sorted(properties) if answer_for(path, answers[kind]) is None]
    assert not unanswered, f"no answer in properties.toml: {', '.join(unanswered)}"
    used = {answer.path for path in properties if (answer := answer_for(path, answers[kind])) is not None}
    assert sorted(answers[kind].keys() - used) == []
    for answer in answers[kind].values():
        assert [answer.argument, answer.fixed, answer.left_out].count("") == 2, answer
        assert answer.does in ("acts", "stores", "ignores", "refuses"), answer


def test_the_page_is_what_they_make(cloudformation: Properties, api: Properties, answers: Answers) -> None:
    written = page(cloudformation, api, answers)
    new = set(re.findall("`([^`]+)`", written)) - set(re.findall("`([^`]+)`", PAGE.read_text()))
    assert not new, f"not in {PAGE.name}, which `make properties` writes: {', '.join(sorted(new))}"
    assert written == PAGE.read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_every_argument_exists(answers: Answers, kind: str) -> None:
    for answer in answers[kind].values():
        if not answer.argument or answer.argument == "Tags.of()":
            continue
        match = re.fullmatch(r"([\w.]+)\((.+)\)", answer.argument)
        assert match is not None, answer
        function: Any = library
        for name in match[1].split("."):
            function = getattr(function, name)
        # Of a construct itself, jsii's own class would answer.
        signed: Any = vars(function)["__init__"] if isinstance(function, type) else function
        parameters = inspect.signature(signed).parameters
        assert set(match[2].split(", ")) <= parameters.keys(), answer


def flat(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """The values of a resource's properties by their paths; an intrinsic function is a value."""
    match value:
        case dict() if path.rsplit(".", maxsplit=1)[-1] not in ("Tags", "Environment") and not _is_function(
            value
        ):
            for name, inner in value.items():
                yield from flat(inner, f"{path}.{name}" if path else name)
        case list():
            for inner in value:
                yield from flat(inner, path)
        case _:
            yield path, value


def _is_function(value: Mapping[str, object]) -> bool:
    return len(value) == 1 and next(iter(value)).startswith(("Ref", "Fn::"))


def _equal(wanted: object, got: object) -> bool:
    if isinstance(wanted, re.Pattern):
        return wanted.search(json.dumps(got)) is not None
    return type(wanted) is type(got) and wanted == got


def values_of(template: Mapping[str, Any], kind: str) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {}
    for resource in template["Resources"].values():
        if resource["Type"] == f"AWS::SageMaker::{kind}":
            for path, value in flat(resource["Properties"]):
                found.setdefault(path, []).append(value)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_argument_sets_its_property(
    template: Mapping[str, Any], cloudformation: Properties, answers: Answers, kind: str
) -> None:
    claimed = {
        path
        for path in cloudformation[kind]
        if (answer := answer_for(path, answers[kind])) is not None and answer.argument
    }
    assert claimed == SETS[kind].keys()
    values = values_of(template, kind)
    unset = {path: wanted for path, wanted in SETS[kind].items() if not _any_equal(wanted, values.get(path))}
    assert unset == {}


def _any_equal(wanted: object, got: list[object] | None) -> bool:
    return any(_equal(wanted, value) for value in got or ())


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_page_calls_fixed_has_that_value(
    template: Mapping[str, Any], answers: Answers, kind: str
) -> None:
    values = values_of(template, kind)
    fixed = ((answer.path, re.match("`([^`]+)`", answer.fixed)) for answer in answers[kind].values())
    for path, wanted in fixed:
        if wanted is not None:
            assert {str(value).lower() for value in values[path]} == {wanted[1].lower()}, path


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_set_that_the_page_leaves_out(
    template: Mapping[str, Any], answers: Answers, kind: str
) -> None:
    for path in values_of(template, kind):
        answer = answer_for(path, answers[kind])
        assert answer is not None, path
        assert not answer.left_out, path
