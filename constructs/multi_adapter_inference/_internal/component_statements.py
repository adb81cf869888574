"""What a pass of a fleet may do with inference components."""

from __future__ import annotations

from typing import Any

from aws_cdk import aws_iam as iam
from constructs import Construct

from adapter_fleet.common.naming import FLEET_TAG
from multi_adapter_inference._internal.arns import component_arn


def manages_components(
    scope: Construct, *, endpoint_arn: str, base_component_name: str, uid: str
) -> list[iam.PolicyStatement]:
    """Return the statements for a pass. It may write only components with the fleet's tag."""
    components = component_arn(scope, "*")
    requested = {"StringEquals": {f"aws:RequestTag/{FLEET_TAG}": uid}}
    owned = {"StringEquals": {f"aws:ResourceTag/{FLEET_TAG}": uid}}

    def statement(
        actions: list[str], resources: list[str], conditions: dict[str, Any] | None = None
    ) -> iam.PolicyStatement:
        return iam.PolicyStatement(actions=actions, resources=resources, conditions=conditions)

    return [
        statement(["sagemaker:ListInferenceComponents"], ["*"]),
        statement(["sagemaker:DescribeInferenceComponent", "sagemaker:ListTags"], [components]),
        statement(["sagemaker:CreateInferenceComponent"], [components, endpoint_arn], requested),
        statement(
            ["sagemaker:AddTags"],
            [components],
            # For a creation or an import. A component of another fleet is never tagged.
            {**requested, "StringEqualsIfExists": {f"aws:ResourceTag/{FLEET_TAG}": uid}},
        ),
        # An import that is undone removes the fleet's tag again.
        statement(["sagemaker:AddTags", "sagemaker:DeleteTags"], [components], owned),
        statement(
            [
                "sagemaker:DeleteInferenceComponent",
                "sagemaker:InvokeEndpoint",
                "sagemaker:UpdateInferenceComponent",
            ],
            [components],
            owned,
        ),
        # The base model's own answer shows whether it answers in an adapter's place.
        statement(["sagemaker:InvokeEndpoint"], [endpoint_arn, component_arn(scope, base_component_name)]),
    ]
