"""Every public class shows an example in its docstring, and each example synthesizes."""

from __future__ import annotations

import inspect
import textwrap
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Template

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
        "Size": cdk.Size,
        "stack": stack,
        "bucket": bucket,
        "endpoint": endpoint,
        "manifest": AdapterManifest.from_adapters([FleetAdapter(name="ectsum", artifact=artifact)]),
        "caller": iam.Role(stack, "Caller", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com")),
    }


@pytest.mark.parametrize("name", library.__all__)
def test_the_example_of_a_public_class_synthesizes(
    stack: cdk.Stack, names: dict[str, Any], name: str
) -> None:
    example = example_of(getattr(library, name))
    assert name in example
    exec(compile(example, f"example of {name}", "exec"), names)
    Template.from_stack(stack)
