"""Every public class has an example that synthesizes, and says the defaults of its arguments."""

from __future__ import annotations

import inspect
import re
import textwrap
from enum import Enum
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk.assertions import Template
from aws_cdk.aws_applicationautoscaling import Schedule
from aws_cdk.aws_cloudwatch_actions import SnsAction

import multi_adapter_inference as library
from multi_adapter_inference import (
    AdapterArtifact,
    AdapterManifest,
    ArtifactSource,
    BaseModel,
    ComputeRequirements,
    FleetAdapter,
    InstanceType,
    LmiContainer,
    LmiVersion,
    LoraServing,
    MultiAdapterEndpoint,
)

ROOT = Path(__file__).parents[2]


def example_of(cls: type) -> str:
    """Return the code below `Example::` in a class's own docstring."""
    _, _, example = inspect.cleandoc(cls.__doc__ or "").partition("Example::\n")
    return textwrap.dedent(example)


@pytest.fixture
def names(stack: cdk.Stack, bucket: s3.IBucket, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return what an example may use beside everything public: a stack and what is usually in it."""
    monkeypatch.chdir(ROOT)
    endpoint = MultiAdapterEndpoint(
        stack,
        "Endpoint",
        base_model=BaseModel.from_bucket(bucket, "llama-3.1-8b-instruct/"),
        container=LmiContainer(version=LmiVersion.V19),
        lora=LoraServing(max_loras=30, max_cpu_loras=70, max_lora_rank=64),
        instance_type=InstanceType.ML_G5_12XLARGE,
        compute=ComputeRequirements(accelerators=4, min_memory=cdk.Size.mebibytes(32000)),
        artifact_sources=[ArtifactSource(bucket=bucket, prefix="adapters/")],
    )
    artifact = AdapterArtifact.from_bucket(bucket, f"adapters/sha256-{'1' * 64}.tar.gz")
    return {
        **{name: getattr(library, name) for name in library.__all__},
        "Duration": cdk.Duration,
        "Schedule": Schedule,
        "Size": cdk.Size,
        "stack": stack,
        "bucket": bucket,
        "endpoint": endpoint,
        "manifest": AdapterManifest.from_adapters([FleetAdapter(name="ectsum", artifact=artifact)]),
        "on_call": SnsAction(sns.Topic(stack, "OnCall")),
        "caller": iam.Role(stack, "Caller", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com")),
    }


@pytest.mark.parametrize("name", library.__all__)
def test_the_example_of_a_public_class_synthesizes(
    stack: cdk.Stack, names: dict[str, Any], name: str
) -> None:
    example = example_of(getattr(library, name))
    assert name in example
    exec(compile(example, f"example of {name}", "exec"), names)  # noqa: S102 - as a user would run it
    Template.from_stack(stack)


def optional_arguments() -> list[tuple[str, str, str]]:
    """Return a name, a docstring and an argument for each optional argument of everything public."""
    found = []
    for cls in (getattr(library, name) for name in library.__all__):
        if issubclass(cls, Enum | dict):
            continue
        documented = {"__init__": cls.__doc__} | {
            name: member.__doc__ for name, member in inspect.getmembers(cls) if name[0] != "_"
        }
        for name, doc in documented.items():
            member = getattr(cls, name)
            module = str(getattr(member, "__module__", ""))
            # Since Python 3.13, a cached property counts as a routine.
            if (
                inspect.isroutine(member)
                and callable(member)
                and module.startswith("multi_adapter_inference")
            ):
                found += [
                    (f"{cls.__name__}.{name}", doc or "", parameter.name)
                    for parameter in inspect.signature(member).parameters.values()
                    if parameter.default is not parameter.empty and parameter.name[0] != "_"
                ]
    return found


def test_every_optional_argument_has_its_default_in_the_docstring() -> None:
    undocumented = [
        (name, argument)
        for name, doc, argument in optional_arguments()
        if not (re.search(rf"\b{argument}\b", doc) and "Default: " in doc)
    ]
    # They say "see `LoraAdapter`", and a metric has the default of its name.
    passed_on = {"MultiAdapterEndpoint.add_adapter"}
    assert [pair for pair in undocumented if pair[0] not in passed_on and "metric" not in pair[0]] == []
