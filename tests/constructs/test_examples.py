"""Every public class has an example that synthesizes."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

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
    FleetAdapter,
)
from tests.constructs.conftest import MakeEndpoint

pytestmark = pytest.mark.documents

ROOT = Path(__file__).parents[2]


def example_of(cls: type) -> str:
    """Return the code below `Example::` in a class's own docstring."""
    _, _, example = inspect.cleandoc(cls.__doc__ or "").partition("Example::\n")
    return textwrap.dedent(example)


@pytest.fixture
def surroundings(
    stack: cdk.Stack, bucket: s3.IBucket, make_endpoint: MakeEndpoint
) -> Mapping[str, Callable[[], object]]:
    """Return what an example may use beside the library: a stack and what is usually in it."""
    sources = [ArtifactSource(bucket=bucket, prefix="adapters/")]
    artifact = AdapterArtifact.from_bucket(bucket, f"adapters/sha256-{'1' * 64}.tar.gz")
    return {
        "stack": lambda: stack,
        "bucket": lambda: bucket,
        "endpoint": lambda: make_endpoint(id="Endpoint", artifact_sources=sources),
        "manifest": lambda: AdapterManifest.from_adapters([FleetAdapter(name="ectsum", artifact=artifact)]),
        "on_call": lambda: SnsAction(sns.Topic(stack, "OnCall")),
        "caller": lambda: iam.Role(stack, "Caller", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com")),
    }


@pytest.mark.parametrize("name", library.__all__)
def test_the_example_of_a_public_class_synthesizes(
    stack: cdk.Stack,
    surroundings: Mapping[str, Callable[[], object]],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.chdir(ROOT)
    example = example_of(getattr(library, name))
    assert name in example
    used = {node.id for node in ast.walk(ast.parse(example)) if isinstance(node, ast.Name)}
    names = {
        **{name: getattr(library, name) for name in library.__all__},
        "Duration": cdk.Duration,
        "Schedule": Schedule,
        "Size": cdk.Size,
        **{name: make() for name, make in surroundings.items() if name in used},
    }
    exec(compile(example, f"example of {name}", "exec"), names)  # noqa: S102 - as a user would run it
    if used & {"stack", "endpoint"}:
        Template.from_stack(stack)
