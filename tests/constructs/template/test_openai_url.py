from __future__ import annotations

import aws_cdk as cdk

from multi_adapter_inference import AdapterFleet, IInferenceComponent, LoraAdapter
from tests.constructs.conftest import imported_endpoint


def url(stack: cdk.Stack, component: IInferenceComponent) -> str:
    """Return the URL of a component as the stack's template has it, with references in `<>`."""
    _, parts = stack.resolve(component.openai_base_url)["Fn::Join"]
    return "".join(part if isinstance(part, str) else f"<{'.'.join(part.values())}>" for part in parts)


def test_url_of_an_endpoint_is_that_of_its_base_model(stack: cdk.Stack) -> None:
    assert url(stack, imported_endpoint(stack)) == (
        "https://runtime.sagemaker.<AWS::Region>.<AWS::URLSuffix>"
        "/endpoints/llama/inference-components/base/openai/v1"
    )


def test_url_of_an_adapter_has_its_component_and_the_region_of_its_stack(app: cdk.App) -> None:
    stack = cdk.Stack(app, "China", env=cdk.Environment(region="cn-north-1", account="111122223333"))
    endpoint = imported_endpoint(stack)
    fleet = AdapterFleet.from_fleet_attributes(stack, "Fleet", fleet_uid="1234-uuid", endpoint=endpoint)
    adapter = LoraAdapter.from_component_name(stack, "Ectsum", "acme-ectsum", endpoint=endpoint)
    for component in (fleet.adapter("ectsum"), adapter):
        assert url(stack, component) == (
            "https://runtime.sagemaker.cn-north-1.<AWS::URLSuffix>"
            "/endpoints/llama/inference-components/acme-ectsum/openai/v1"
        )
