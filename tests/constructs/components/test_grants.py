"""What callers of everything are granted, with and without the OpenAI path."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3

from multi_adapter_inference import (
    AdapterArtifact,
    AdapterFleet,
    AdapterManifest,
    ArtifactSource,
    LoraAdapter,
)
from tests.constructs.conftest import endpoint_of, imported_endpoint, write_manifest_into
from tests.constructs.resources import Resources, nag

GUIDE = Path(__file__).parents[3] / "docs/guides/openai.md"
HOW_TO = GUIDE.parents[1] / "how-to/test-your-app.md"

BEARER_TOKEN = {"Action": "sagemaker:CallWithBearerToken", "Effect": "Allow", "Resource": "*"}
OF_EVERYTHING = [
    "Endpoint",
    "ImportedEndpoint",
    "Adapter",
    "ImportedAdapter",
    "Fleet",
    "NamedAdapters",
    "Member",
]

Statements = dict[str, list[dict[str, Any]]]


def caller(stack: cdk.Stack, id: str) -> iam.Role:
    return iam.Role(stack, id, assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> cdk.Stack:
    return cdk.Stack(cdk.App(outdir=str(tmp_path_factory.mktemp("grants") / "cdk.out")), "Stack")


@pytest.fixture(scope="module")
def statements(stack: cdk.Stack, tmp_path_factory: pytest.TempPathFactory) -> Statements:
    """The statements of callers of everything, by caller.

    The caller `<name>` has a bearer token granted, `<name>Signs` has not, and `All` has all grants.
    """
    bucket = s3.Bucket.from_bucket_name(stack, "Bucket", "models")
    sources = [ArtifactSource(bucket=bucket, prefix="adapters/")]
    endpoint = endpoint_of(stack, "Llm", bucket, artifact_sources=sources)
    artifact = AdapterArtifact.from_bucket(bucket, "adapters/summary.tar.gz")
    manifest = AdapterManifest.from_file(write_manifest_into(tmp_path_factory.mktemp("manifest")))
    fleet = AdapterFleet(stack, "Tenants", endpoint=endpoint, manifest=manifest)
    imported = imported_endpoint(stack, "Imported")
    grants: dict[str, Callable[..., iam.Grant]] = {
        "Endpoint": endpoint.grant_invoke,
        "ImportedEndpoint": imported.grant_invoke,
        "Adapter": endpoint.add_adapter("Summary", artifact=artifact).grant_invoke,
        "ImportedAdapter": LoraAdapter.from_component_name(
            stack, "Other", "acme-other", endpoint=imported
        ).grant_invoke,
        "Fleet": fleet.grant_invoke,
        "NamedAdapters": lambda *to, **options: fleet.grant_invoke(*to, adapters=["ectsum"], **options),
        "Member": fleet.adapter("ectsum").grant_invoke,
    }
    everyone = caller(stack, "All")
    for name, grant in grants.items():
        grant(caller(stack, name), bearer_token=True).assert_success()
        grant(caller(stack, f"{name}Signs"))
        grant(everyone, bearer_token=True)
    resources = Resources.of(stack)
    callers = [name.partition("DefaultPolicy")[0] for name in resources.of_type("AWS::IAM::Policy")]
    return {name: resources.statements(f"{name}DefaultPolicy") for name in callers}


@pytest.mark.parametrize("of", OF_EVERYTHING)
def test_bearer_token_is_granted_beside_the_invocation_and_only_where_it_is_asked_for(
    statements: Statements, of: str
) -> None:
    found = statements[of]
    assert BEARER_TOKEN in found
    assert [
        statement
        for statement in found
        if "sagemaker:InvokeEndpoint" in statement["Action"] and statement["Resource"] != "*"
    ]
    assert statements[f"{of}Signs"]
    assert "Bearer" not in str(statements[f"{of}Signs"])


def test_bearer_token_is_granted_once_for_several_components(statements: Statements) -> None:
    assert statements["All"].count(BEARER_TOKEN) == 1


@pytest.mark.slow
def test_finding_on_the_callers_wildcard_is_acknowledged_as_the_guide_says(app: cdk.App) -> None:
    stack = cdk.Stack(app, "Own")
    adapter = LoraAdapter.from_component_name(
        stack, "Summary", "acme-summary", endpoint=imported_endpoint(stack)
    )
    service, other = caller(stack, "Caller"), caller(stack, "Other caller")
    for role in (service, other):
        adapter.grant_invoke(role, bearer_token=True)
    (example,) = re.findall(r"```python\n(Validations.*?)```", GUIDE.read_text(), re.DOTALL)
    exec(example, {**vars(cdk), "service": service})  # noqa: S102
    found = [construct for rule, construct in nag(app) if rule == "AwsSolutions-IAM5[Resource::*]"]
    assert found == [f"{other.node.path}/DefaultPolicy/Resource"]


def test_finding_on_a_fleets_wildcard_is_acknowledged_as_the_how_to_says(app: cdk.App) -> None:
    stack = cdk.Stack(app, "Own")
    bucket = s3.Bucket.from_bucket_name(stack, "Models", "models")
    endpoint = imported_endpoint(stack, artifact_sources=[ArtifactSource(bucket=bucket)])
    manifest = AdapterManifest.from_bucket(bucket, "adapters.yaml")
    fleet = AdapterFleet(stack, "Tenants", endpoint=endpoint, manifest=manifest)
    role, other = caller(stack, "Caller"), caller(stack, "Other caller")
    for grantee in (role, other):
        fleet.grant_invoke(grantee)
    (example,) = re.findall(r"```python\n(Validations.*?)```", HOW_TO.read_text(), re.DOTALL)
    exec(example, {**vars(cdk), "role": role})  # noqa: S102
    assert {construct for _, construct in nag(app)} == {f"{other.node.path}/DefaultPolicy/Resource"}
