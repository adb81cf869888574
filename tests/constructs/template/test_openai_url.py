from __future__ import annotations

from typing import Any

import aws_cdk as cdk

from multi_adapter_inference import AdapterFleet, IInferenceComponent, LoraAdapter
from tests.constructs.conftest import MakeEndpoint, imported_endpoint


def url(stack: cdk.Stack, component: IInferenceComponent) -> Any:
    """Return the URL of a component as the stack's template has it."""
    return stack.resolve(component.openai_base_url)


def test_url_of_an_endpoint_is_that_of_its_base_model(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    endpoint = make_endpoint()
    assert url(stack, endpoint) == {
        "Fn::Join": [
            "",
            [
                "https://runtime.sagemaker.",
                {"Ref": "AWS::Region"},
                ".",
                {"Ref": "AWS::URLSuffix"},
                "/endpoints/",
                stack.resolve(endpoint.endpoint_name),
                f"/inference-components/{endpoint.base_component_name}/openai/v1",
            ],
        ]
    }


def test_url_of_a_fleet_s_adapter_has_its_component(stack: cdk.Stack) -> None:
    fleet = AdapterFleet.from_fleet_attributes(
        stack, "Fleet", fleet_uid="1234-uuid", endpoint=imported_endpoint(stack)
    )
    path = url(stack, fleet.adapter("ectsum"))["Fn::Join"][1][-1]
    assert path == "/endpoints/llama/inference-components/acme-ectsum/openai/v1"


def test_url_of_an_adapter_is_in_the_region_of_its_stack(app: cdk.App) -> None:
    stack = cdk.Stack(app, "China", env=cdk.Environment(region="cn-north-1", account="111122223333"))
    adapter = LoraAdapter.from_component_name(
        stack, "Ectsum", "llm-ectsum", endpoint=imported_endpoint(stack)
    )
    assert url(stack, adapter) == {
        "Fn::Join": [
            "",
            [
                "https://runtime.sagemaker.cn-north-1.",
                {"Ref": "AWS::URLSuffix"},
                "/endpoints/llama/inference-components/llm-ectsum/openai/v1",
            ],
        ]
    }
