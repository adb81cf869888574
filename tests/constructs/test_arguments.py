"""Every argument of everything public is checked against its annotation."""

import inspect
import math
import typing
from enum import Enum
from typing import Any

import aws_cdk as cdk
import jsii
import pytest
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Template
from constructs import Construct

import multi_adapter_inference as library
from multi_adapter_inference import (
    AdapterArtifact,
    AdapterFleet,
    AdapterManifest,
    ArtifactSource,
    BaseModel,
    ComputeRequirements,
    FailurePolicy,
    HubModel,
    InstanceType,
    LmiContainer,
    LmiVersion,
    LoraServing,
    MultiAdapterEndpoint,
)
from multi_adapter_inference.fleet import FleetOptions
from multi_adapter_inference.metrics import MetricOptions


class Wrong:
    """Fits no annotation."""

    def __repr__(self) -> str:
        return "<wrong>"


WRONG = Wrong()
OPTIONS = {"FleetOptions": FleetOptions, "MetricOptions": MetricOptions}


def public_classes() -> list[type]:
    found = [getattr(library, name) for name in library.__all__]
    # A TypedDict is a class of dict: its keys are the options of what takes it.
    return [cls for cls in found if not issubclass(cls, Enum | dict)]


def public_callables() -> list[tuple[type, str]]:
    """Return every constructor and public method that this library wrote."""
    return [
        (cls, name)
        for cls in public_classes()
        for name in dir(cls)
        if (name == "__init__" or not name.startswith("_"))
        and inspect.isroutine(member := getattr(cls, name))
        # Those who inherit from it are the library's own.
        and not getattr(member, "__isabstractmethod__", False)
        and str(getattr(member, "__module__", "")).startswith("multi_adapter_inference")
    ]


def arguments() -> list[tuple[type, str, str, str]]:
    """Return class, method, argument and annotation of every argument of everything public."""
    found = []
    for cls, name in public_callables():
        for parameter in inspect.signature(getattr(cls, name)).parameters.values():
            if parameter.name in ("self", "scope", "id", "_scope", "cls"):
                continue
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                options = OPTIONS[str(parameter.annotation).removeprefix("Unpack[").removesuffix("]")]
                found += [(cls, name, option, str(hint)) for option, hint in options.__annotations__.items()]
            elif parameter.annotation not in ("Any", "object"):
                found.append((cls, name, parameter.name, str(parameter.annotation)))
    return found


def label(value: object) -> str:
    return value.__name__ if isinstance(value, type) else str(value)[:40]


@pytest.fixture(scope="module")
def app_stack():
    return cdk.Stack(cdk.App(), "Stack")


@pytest.fixture(scope="module")
def call(app_stack):
    """Return a function that calls a method with one argument; what else it needs is wrong as well."""
    stack, bucket = app_stack, s3.Bucket.from_bucket_name(app_stack, "Bucket", "models")
    endpoint = MultiAdapterEndpoint(
        stack,
        "Llm",
        base_model=BaseModel.from_bucket(bucket, "llama/"),
        container=LmiContainer(version=LmiVersion.V19),
        lora=LoraServing(max_loras=4, max_cpu_loras=8, max_lora_rank=16),
        instance_type=InstanceType.ML_G5_XLARGE,
        compute=ComputeRequirements(min_memory=cdk.Size.gibibytes(4)),
        artifact_sources=[ArtifactSource(bucket=bucket, prefix="adapters/")],
    )
    manifest = AdapterManifest.from_bucket(bucket, "tenants.yaml", enable_events=False)
    made: dict[str, Any] = {
        "endpoint": endpoint,
        "fleet": AdapterFleet(stack, "Fleet", endpoint=endpoint, manifest=manifest),
        "adapter": endpoint.add_adapter(
            "Own", artifact=AdapterArtifact.from_bucket(bucket, "adapters/a.tar.gz")
        ),
        "copy": HubModel(stack, "Copy", model_id="a/b", revision="main", bucket=bucket),
    }

    def instance(cls: type) -> object:
        if issubclass(cls, Construct):
            return next(value for value in made.values() if isinstance(value, cls))
        return blank(cls)

    def blank(cls: type) -> object:
        concrete = type(cls)(cls.__name__, (cls,), {})
        concrete.__abstractmethods__ = frozenset()
        return object.__new__(concrete)

    def call_with(cls: type, name: str, argument: str, value: object) -> object:
        method = getattr(cls, name)
        parameters = inspect.signature(method).parameters.values()
        given = {
            parameter.name: WRONG
            for parameter in parameters
            if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
        }
        given |= {argument: value}
        given |= {name: value for name, value in {"scope": stack, "id": "New"}.items() if name in given}
        if "self" in given:
            given["self"] = blank(cls) if name == "__init__" else instance(cls)
        return method(**given)

    return call_with


@pytest.mark.parametrize(("cls", "method", "argument", "annotation"), arguments(), ids=label)
def test_an_argument_of_a_wrong_type_is_an_error(call, cls, method, argument, annotation):
    wrong = [WRONG] if "None" in annotation else [WRONG, None]
    for value in wrong:
        with pytest.raises(ValueError) as error:
            call(cls, method, argument, value)
        assert f"'{argument}' should be " in str(error.value)
        if issubclass(cls, Construct) and method == "__init__":
            assert str(error.value).startswith("'Stack/New': ")
        shown = f"got one of type {type(value).__name__}" if "ISecret" in annotation else f"got {value!r}"
        assert shown in str(error.value).partition(f"'{argument}' should be ")[2]
