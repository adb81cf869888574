from __future__ import annotations

from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Template

from multi_adapter_inference import (
    AdapterArtifact,
    AdapterFleet,
    AdapterManifest,
    ArtifactSource,
    IInferenceComponent,
    LoraAdapter,
    MultiAdapterEndpoint,
)
from tests.constructs.conftest import MakeEndpoint, WriteManifest


@pytest.fixture
def endpoint(make_endpoint: MakeEndpoint, bucket: s3.IBucket) -> MultiAdapterEndpoint:
    return make_endpoint(artifact_sources=[ArtifactSource(bucket=bucket, prefix="adapters/")])


def output(stack: cdk.Stack, component: IInferenceComponent) -> Any:
    """Return the URL of a component as an output of the stack's template has it."""
    cdk.CfnOutput(stack, "Url", value=component.openai_base_url)
    return Template.from_stack(stack).to_json()["Outputs"]["Url"]["Value"]


def url(endpoint: Any, component: str) -> dict[str, Any]:
    return {
        "Fn::Join": [
            "",
            [
                "https://runtime.sagemaker.",
                {"Ref": "AWS::Region"},
                ".",
                {"Ref": "AWS::URLSuffix"},
                "/endpoints/",
                endpoint,
                f"/inference-components/{component}/openai/v1",
            ],
        ]
    }


def test_url_of_an_endpoint_is_that_of_its_base_model(
    stack: cdk.Stack, endpoint: MultiAdapterEndpoint
) -> None:
    name = stack.resolve(endpoint.endpoint_name)
    assert output(stack, endpoint) == url(name, endpoint.base_component_name)


def test_url_of_an_adapter_has_its_component(
    stack: cdk.Stack, endpoint: MultiAdapterEndpoint, bucket: s3.IBucket
) -> None:
    artifact = AdapterArtifact.from_bucket(bucket, "adapters/ectsum.tar.gz")
    adapter = endpoint.add_adapter("Ectsum", artifact=artifact)
    assert output(stack, adapter) == url(stack.resolve(endpoint.endpoint_name), adapter.component_name)


def test_url_of_a_fleet_s_adapter_has_the_component_of_the_manifest(
    stack: cdk.Stack, endpoint: MultiAdapterEndpoint, write_manifest: WriteManifest
) -> None:
    manifest = AdapterManifest.from_file(str(write_manifest()))
    fleet = AdapterFleet(stack, "Fleet", endpoint=endpoint, manifest=manifest)
    expected = url(stack.resolve(endpoint.endpoint_name), "acme-ectsum")
    assert output(stack, fleet.adapter("ectsum")) == expected


def test_url_of_an_imported_adapter_is_in_the_region_of_its_stack(app: cdk.App) -> None:
    stack = cdk.Stack(app, "China", env=cdk.Environment(region="cn-north-1", account="111122223333"))
    endpoint = MultiAdapterEndpoint.from_endpoint_attributes(
        stack, "Llm", endpoint_name="llm", base_component_name="llm-base", component_prefix="llm"
    )
    adapter = LoraAdapter.from_component_name(stack, "Ectsum", "llm-ectsum", endpoint=endpoint)
    assert output(stack, adapter) == {
        "Fn::Join": [
            "",
            [
                "https://runtime.sagemaker.cn-north-1.",
                {"Ref": "AWS::URLSuffix"},
                "/endpoints/llm/inference-components/llm-ectsum/openai/v1",
            ],
        ]
    }
