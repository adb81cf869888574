"""Requests drawn from botocore's model of a service: its members, their limits, and names that may exist."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from random import Random
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape

from local_sagemaker.control_plane.request_validation import operation_model, shape_problems
from tests.local.world import ROLE

ACCOUNT = "arn:aws:sagemaker:us-east-1:111122223333"
BASES, ADAPTERS = ("base", "base-2", "base-3"), ("one", "two", "three", "four", "five")
NAMES: Mapping[str, Sequence[str]] = {
    "ModelName": ("model", "model-2", "model-3"),
    "EndpointConfigName": ("config", "config-2", "config-3"),
    "EndpointName": ("endpoint", "endpoint", "endpoint-2"),
    "InferenceComponentName": (*BASES, *ADAPTERS),
    "BaseInferenceComponentName": BASES,
    "VariantName": ("AllTraffic",) * 8 + ("Other",),
    "VariantNameEquals": ("AllTraffic", "Other"),
    "EndpointNameEquals": ("endpoint", "endpoint-2"),
    "ExecutionRoleArn": (ROLE,),
    "ArtifactUrl": tuple(f"s3://bucket/{name}" for name in ("1", "2", "3", "missing", "unloadable")),
    "ResourceArn": tuple(
        f"{ACCOUNT}:{name}"
        for name in ("model/model", "endpoint/endpoint", "inference-component/base", "inference-component/no")
    ),
    "InstanceType": ("ml.g5.12xlarge",) * 9
    + ("ml.g5.48xlarge", "ml.g5.xlarge", "ml.m5.xlarge", "ml.inf2.xlarge"),
    "ServiceNamespace": ("sagemaker",) * 29 + ("ecs",),
    "ScalableDimension": ("sagemaker:inference-component:DesiredCopyCount",) * 29
    + ("sagemaker:variant:DesiredInstanceCount",),
    "ResourceId": tuple(f"inference-component/{name}" for name in (*BASES, "one")),
    "PolicyName": ("track", "step"),
    "ScheduledActionName": ("nightly", "daily"),
    "Schedule": ("cron(0 8 * * ? *)", "rate(5 minutes)", "at(2030-01-01T00:00:00)", "at(2030)", "whenever"),
    "ResourceARN": ("arn:aws:application-autoscaling:us-east-1:111122223333:scalable-target/nobody",),
}
"""What a string of a member's name is, among other things."""

NUMBERS: Mapping[str, Sequence[float]] = {
    "CopyCount": (0, 1, 1, 2, 3, 4),
    "WaitIntervalInSeconds": (0, 1, 20, 200),
    "InitialInstanceCount": (1, 1, 2, 3),
    "MinInstanceCount": (0, 1),
    "MaxInstanceCount": (2, 3, 4),
    "MaxResults": (1, 2, 100),
    "MinMemoryRequiredInMb": (1024, 1024, 1024, 60_000, 90_000, 400_000),
    "MaxMemoryRequiredInMb": (1024, 500_000),
    "NumberOfAcceleratorDevicesRequired": (1, 1, 1, 2, 4, 8),
    "NumberOfCpuCoresRequired": (1, 4, 40),
    "MinCapacity": (0, 1),
    "MaxCapacity": (2, 3),
}

# Members that hardly ever go with the others, so they are drawn hardly ever.
_RARE = {
    "Containers",
    "Specifications",
    "ModelName",
    "InstancePools",
    "NextToken",
    "Image",
    "ServerlessConfig",
}
_SELDOM, _HARDLY_EVER, _SPOILED, _MOSTLY = 0.06, 0.005, 0.08, 0.9

# Texts of every form that the model's patterns ask for.
_TEXTS = (
    "a",
    "name-1",
    "text of several words",
    "/metrics",
    "mig-1g.5gb",
    "s3://bucket/prefix/",
    ROLE,
    "arn:aws:kms:us-east-1:111122223333:key/1",
    "arn:aws:sns:us-east-1:111122223333:topic",
    "arn:aws:lambda:us-east-1:111122223333:function:name",
    "arn:aws:sagemaker:us-east-1:111122223333:model-package/name/1",
    "arn:aws:sagemaker:us-east-1:111122223333:hub-content/name/Model/name/1.0.0",
    "arn:aws:sagemaker:us-east-1:111122223333:inference-component/base",
    "arn:aws:sagemaker:us-east-1:111122223333:training-plan/plan",
    "sg-0123456789abcdef0",
    "subnet-0123456789abcdef0",
    "application/json",
    "text/csv",
    "8080",
    "1",
    "en",
)

# In a skeleton: the name of a base component, and of an adapter.
BASE, ADAPTER = object(), object()
_TO_BASE = {"InferenceComponentName": BASE}
_ADAPTER_UPDATE = {"InferenceComponentName": ADAPTER, "Specification": {"Container": {"ArtifactUrl": ...}}}

_IN_BATCHES = {"RollingUpdatePolicy": {"MaximumBatchSize": {"Type": "COPY_COUNT", "Value": 1}}}
_WATCHED = {**_IN_BATCHES, "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "alarm"}]}}
_UPDATED = {"ModelName": ..., "ComputeResourceRequirements": ...}
_POOLS = [
    {"InstanceType": "ml.g5.12xlarge", "Priority": 1},
    {"InstanceType": "ml.g5.48xlarge", "Priority": 2},
]
_MEMORY = {"MinMemoryRequiredInMb": ...}
_SPECIFICATIONS = [
    {"InstanceType": pool["InstanceType"], "ModelName": ..., "ComputeResourceRequirements": _MEMORY}
    for pool in _POOLS
]

_MANAGED = {"Status": "ENABLED", "MinInstanceCount": ..., "MaxInstanceCount": ...}
_PER_MINUTE = {"PredefinedMetricType": "SageMakerInferenceComponentInvocationsPerCopy"}
_STEP = {"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}

SKELETONS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "CreateModel": [{"ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": "image"}}],
    "CreateEndpointConfig": [
        {
            "ExecutionRoleArn": ROLE,
            "ProductionVariants": [{"VariantName": "AllTraffic", "InitialInstanceCount": ..., **more}],
        }
        for more in (
            {"InstanceType": ...},
            {"InstanceType": ...},
            {"InstancePools": _POOLS},
            {"InstanceType": ..., "ManagedInstanceScaling": _MANAGED},
        )
    ],
    "CreateInferenceComponent": [
        {
            **_TO_BASE,
            "VariantName": "AllTraffic",
            "Specification": {
                "ModelName": ...,
                "ComputeResourceRequirements": {"NumberOfAcceleratorDevicesRequired": ...},
            },
        },
        {
            "InferenceComponentName": ADAPTER,
            "Specification": {"BaseInferenceComponentName": ..., "Container": {"ArtifactUrl": ...}},
        },
        {**_TO_BASE, "VariantName": "AllTraffic", "Specifications": _SPECIFICATIONS},
    ],
    "UpdateInferenceComponent": [
        {**_TO_BASE, "RuntimeConfig": ...},
        {**_TO_BASE, "Specification": _UPDATED},
        {**_TO_BASE, "Specification": _UPDATED, "DeploymentConfig": _WATCHED},
        {**_TO_BASE, "Specifications": _SPECIFICATIONS},
        {**_TO_BASE, "Specification": _UPDATED, "DeploymentConfig": _IN_BATCHES},
        _ADAPTER_UPDATE,
        _ADAPTER_UPDATE,
        {},
    ],
    "UpdateInferenceComponentRuntimeConfig": [_TO_BASE],
    "RegisterScalableTarget": [{"MinCapacity": ..., "MaxCapacity": ...}],
    "PutScalingPolicy": [
        {
            "PolicyName": "track",
            "PolicyType": "TargetTrackingScaling",
            "TargetTrackingScalingPolicyConfiguration": {
                "TargetValue": 4.0,
                "PredefinedMetricSpecification": _PER_MINUTE,
            },
        },
        {
            "PolicyName": "step",
            "PolicyType": "StepScaling",
            "StepScalingPolicyConfiguration": {
                "AdjustmentType": "ChangeInCapacity",
                "StepAdjustments": [_STEP],
            },
        },
        {},
    ],
    "PutScheduledAction": [
        {"Schedule": "cron(0 8 * * ? *)", "ScalableTargetAction": {"MinCapacity": 0, "MaxCapacity": 2}},
        {},
    ],
}
"""What makes a request likely to succeed. ... is a value of the model, BASE and ADAPTER are names."""


class RequestMaker:
    """Draws requests of operations.

    `present` are values that exist now, by the member or by BASE and ADAPTER.
    """

    def __init__(self, random: Random, now: float, present: Mapping[Any, Sequence[str]]):
        self._random = random
        self._now = now
        self._present = present

    def request(self, operation: str, service: str = "sagemaker") -> dict[str, Any]:
        """A request, which may be wrong."""
        shape = operation_model(operation, service).input_shape
        if shape is None:
            return {}
        given = dict(self._random.choice(self._skeletons(operation)))
        own = f"{operation.removeprefix('Create')}Name"
        if operation.startswith("Create"):
            given[own] = self._new(given.get(own, own))
        made = self._structure(shape, given)
        if self._random.random() < _SPOILED:
            self._spoil(made)
        return made

    def _structure(self, shape: StructureShape, given: Mapping[str, Any]) -> dict[str, Any]:
        made = {}
        for name, member in shape.members.items():
            seldom = _HARDLY_EVER if name in _RARE else _SELDOM
            if name in given:
                made[name] = self._given(member, name, given[name])
            elif name in shape.required_members or self._random.random() < seldom:
                made[name] = self._value(member, name)
        return made

    def _skeletons(self, operation: str) -> Sequence[Mapping[str, Any]]:
        """The skeletons for which there is what they name."""
        skeletons = SKELETONS.get(operation, [{}])
        if operation == "CreateInferenceComponent":
            return skeletons if self._present.get(BASE) else skeletons[:1]
        names = [skeleton.get("InferenceComponentName") for skeleton in skeletons]
        found = [
            skeleton
            for skeleton, name in zip(skeletons, names, strict=True)
            if name is None or self._present.get(name)
        ]
        return found or skeletons

    def _new(self, name: Any) -> str:
        """A name that most likely nothing has."""
        names = {BASE: BASES, ADAPTER: ADAPTERS}.get(name) or NAMES[name]
        absent = [one for one in names if one not in self._present.get(name, ())]
        return self._random.choice(absent if absent and self._random.random() < _MOSTLY else names)

    def _existing(self, name: Any) -> str | None:
        """A value that exists, None now and then."""
        present = self._present.get(name)
        return self._random.choice(present) if present and self._random.random() < _MOSTLY else None

    def _given(self, shape: Shape, name: str, given: Any) -> Any:
        if given is BASE or given is ADAPTER:
            return self._existing(given) or self._text(shape, name)
        if given is ...:
            return self._value(shape, name)
        if isinstance(shape, StructureShape):
            return self._structure(shape, given)
        if isinstance(shape, ListShape):
            return [self._given(shape.member, name, item) for item in given]
        return given

    def _value(self, shape: Shape, name: str) -> Any:
        if isinstance(shape, StructureShape):
            return self._structure(shape, {})
        if isinstance(shape, ListShape):
            return [self._value(shape.member, name) for _ in range(self._count(shape, name))]
        if isinstance(shape, MapShape):
            return {
                self._value(shape.key, "key"): self._value(shape.value, "value")
                for _ in range(self._count(shape, name))
            }
        if isinstance(shape, StringShape):
            return self._text(shape, name)
        if shape.type_name == "boolean":
            return self._random.random() < 0.5
        if shape.type_name == "timestamp":
            return self._now + self._random.choice((-1000.0, 0.0, 1000.0))
        return self._number(shape, name)

    def _count(self, shape: Shape, name: str) -> int:
        least, most = shape.metadata.get("min", 0), shape.metadata.get("max", 3)
        return self._random.randint(max(least, 1), max(least, min(most, 2), 1)) if name else least

    def _text(self, shape: Shape, name: str) -> str:
        assert isinstance(shape, StringShape)
        return self._existing(name) or self._random.choice(NAMES.get(name) or shape.enum or _fitting(shape))

    def _number(self, shape: Shape, name: str) -> float:
        least = shape.metadata.get("min", 0)
        among = NUMBERS.get(name) or [least, least + 1, min(shape.metadata.get("max", least + 5), least + 5)]
        number = self._random.choice(among)
        return float(number) if shape.type_name in ("float", "double") else int(number)

    # --- what is wrong with some

    def _spoil(self, request: dict[str, Any]) -> None:
        places = list(_places(request, []))
        holder, key = self._random.choice(places) if places else (request, "Colour")
        spoilt: Sequence[Callable[[], Any]] = (
            lambda: None,
            lambda: -1,
            lambda: "x" * 2000,
            lambda: "\u00e9 \u2028",
            lambda: "",
            list,
            lambda: {"Colour": "red"},
            lambda: True,
            lambda: 1e30,
        )
        if key in holder and isinstance(holder, dict) and self._random.random() < 0.2:
            del holder[key]
        else:
            holder[key] = self._random.choice(spoilt)()


def _places(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Every member of a request, by what holds it."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found.append((value, key))
        _places(item, found)
    return found


@cache
def _fitting(shape: StringShape) -> list[str]:
    """The texts that fit a shape."""
    fitting = [text for text in _TEXTS if not shape_problems(shape, text)]
    assert fitting, f"no text fits {shape.name}: {shape.metadata}"
    return fitting
