"""Every argument of an endpoint, a base model and an adapter sets its property of CloudFormation."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.constructs.everything import KEY, PLAN, ROLE, everything

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
def template() -> dict[str, Any]:
    return everything()


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


def values_of(template: Mapping[str, Any], kind: str) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {}
    for resource in template["Resources"].values():
        if resource["Type"] == f"AWS::SageMaker::{kind}":
            for path, value in flat(resource["Properties"]):
                found.setdefault(path, []).append(value)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", SETS)
def test_every_argument_sets_its_property(template: Mapping[str, Any], kind: str) -> None:
    values = values_of(template, kind)
    unset = {path: wanted for path, wanted in SETS[kind].items() if not _is_in(wanted, values.get(path, []))}
    assert unset == {}


def _is_in(wanted: object, got: list[object]) -> bool:
    if isinstance(wanted, re.Pattern):
        return any(wanted.search(json.dumps(value)) for value in got)
    return any(type(wanted) is type(value) and wanted == value for value in got)
