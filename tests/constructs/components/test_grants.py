"""The grant of the OpenAI path. Other grants have their tests with what grants them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Template

from multi_adapter_inference import (
    AdapterArtifact,
    AdapterFleet,
    AdapterManifest,
    ArtifactSource,
    LoraAdapter,
    MultiAdapterEndpoint,
)
from tests.constructs.conftest import MakeEndpoint, WriteManifest
from tests.constructs.nag import nag

GUIDE = Path(__file__).parents[3] / "docs/guides/openai.md"

BEARER_TOKEN = {"Action": "sagemaker:CallWithBearerToken", "Effect": "Allow", "Resource": "*"}

Grant = Callable[..., iam.Grant]


@pytest.fixture
def grants(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, bucket: s3.IBucket, write_manifest: WriteManifest
) -> dict[str, Grant]:
    """The `grant_invoke` of everything that callers invoke."""
    endpoint = make_endpoint(artifact_sources=[ArtifactSource(bucket=bucket, prefix="adapters/")])
    artifact = AdapterArtifact.from_bucket(bucket, "adapters/summary.tar.gz")
    manifest = AdapterManifest.from_file(str(write_manifest()))
    fleet = AdapterFleet(stack, "Fleet", endpoint=endpoint, manifest=manifest)
    imported = MultiAdapterEndpoint.from_endpoint_attributes(
        stack, "Imported", endpoint_name="llm", base_component_name="llm-base", component_prefix="llm"
    )
    return {
        "endpoint": endpoint.grant_invoke,
        "imported endpoint": imported.grant_invoke,
        "adapter": endpoint.add_adapter("Summary", artifact=artifact).grant_invoke,
        "imported adapter": LoraAdapter.from_component_name(
            stack, "Other", "llm-other", endpoint=imported
        ).grant_invoke,
        "fleet": fleet.grant_invoke,
        "named adapters": lambda *caller, **options: fleet.grant_invoke(
            *caller, adapters=["ectsum"], **options
        ),
        "member": fleet.adapter("ectsum").grant_invoke,
    }


OF_EVERYTHING = [
    "endpoint",
    "imported endpoint",
    "adapter",
    "imported adapter",
    "fleet",
    "named adapters",
    "member",
]


def statements(stack: cdk.Stack) -> list[dict[str, Any]]:
    """Return the statements of the caller's policy."""
    policies = Template.from_stack(stack).find_resources("AWS::IAM::Policy").items()
    (document,) = [policy for name, policy in policies if name.startswith("Caller")]
    found: list[dict[str, Any]] = document["Properties"]["PolicyDocument"]["Statement"]
    return found


@pytest.fixture
def caller(stack: cdk.Stack) -> iam.Role:
    return iam.Role(stack, "Caller", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))


@pytest.mark.parametrize("of", OF_EVERYTHING)
def test_bearer_token_is_granted_beside_the_invocation(
    stack: cdk.Stack, grants: dict[str, Grant], caller: iam.Role, of: str
) -> None:
    grants[of](caller, bearer_token=True).assert_success()
    found = statements(stack)
    assert BEARER_TOKEN in found
    assert [
        statement
        for statement in found
        if "sagemaker:InvokeEndpoint" in statement["Action"] and statement["Resource"] != "*"
    ]


@pytest.mark.parametrize("of", OF_EVERYTHING)
def test_bearer_token_is_not_granted_unasked(
    stack: cdk.Stack, grants: dict[str, Grant], caller: iam.Role, of: str
) -> None:
    grants[of](caller)
    assert "Bearer" not in str(statements(stack))


def test_bearer_token_is_granted_once_for_several_components(
    stack: cdk.Stack, grants: dict[str, Grant], caller: iam.Role
) -> None:
    for grant in grants.values():
        grant(caller, bearer_token=True)
    assert statements(stack).count(BEARER_TOKEN) == 1


def test_finding_on_the_callers_wildcard_is_acknowledged_as_the_guide_says(
    app: cdk.App, stack: cdk.Stack, grants: dict[str, Grant], caller: iam.Role
) -> None:
    other = iam.Role(stack, "Other caller", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    for role in (caller, other):
        grants["adapter"](role, bearer_token=True)
    (example,) = re.findall(r"```python\n(Validations.*?)```", GUIDE.read_text(), re.DOTALL)
    exec(example, {**vars(cdk), "service": caller})  # noqa: S102
    found = [construct for rule, construct in nag(app) if rule == "AwsSolutions-IAM5[Resource::*]"]
    assert found == [f"{other.node.path}/DefaultPolicy/Resource"]
