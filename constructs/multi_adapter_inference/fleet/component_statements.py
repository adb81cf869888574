"""What a pass of a fleet may do with inference components."""

from __future__ import annotations

from constructs import Construct

from adapter_fleet.common.naming import FLEET_TAG
from multi_adapter_inference.template.arns import component_arn
from multi_adapter_inference.template.statement import Statement, allow


def manages_components(
    scope: Construct, *, endpoint_arn: str, base_component_name: str, uid: str
) -> list[Statement]:
    """Return the statements for a pass. It may write only components with the fleet's tag."""
    components = component_arn(scope, "*")
    requested = {"StringEquals": {f"aws:RequestTag/{FLEET_TAG}": uid}}
    owned = {"StringEquals": {f"aws:ResourceTag/{FLEET_TAG}": uid}}

    return [
        allow(["sagemaker:ListInferenceComponents"], "*"),
        allow(["sagemaker:DescribeInferenceComponent", "sagemaker:ListTags"], components),
        allow(["sagemaker:CreateInferenceComponent"], components, endpoint_arn, conditions=requested),
        allow(
            ["sagemaker:AddTags"],
            components,
            # For a creation or an import. A component of another fleet is never tagged. IAM does not know on
            # which endpoint the others are, nor which are of a stack: CloudFormation does not tag components.
            conditions={**requested, "StringEqualsIfExists": {f"aws:ResourceTag/{FLEET_TAG}": uid}},
        ),
        # Before an import. No source says which resource a call has that names no stack.
        allow(["cloudformation:DescribeStackResources"], "*"),
        allow(["sagemaker:AddTags", "sagemaker:DeleteTags"], components, conditions=owned),
        allow(
            [
                "sagemaker:DeleteInferenceComponent",
                "sagemaker:InvokeEndpoint",
                "sagemaker:UpdateInferenceComponent",
            ],
            components,
            conditions=owned,
        ),
        # The base model's own answer shows whether it answers in an adapter's place.
        allow(["sagemaker:InvokeEndpoint"], endpoint_arn, component_arn(scope, base_component_name)),
    ]
