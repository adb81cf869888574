"""Reads how many copies of a base model run, for the deployments that update it."""

import jsii
from aws_cdk import CustomResource, Duration, IStableAnyProducer, Lazy, Token
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from multi_adapter_inference.functions.functions import FunctionHosting, FunctionParts, Functions
from multi_adapter_inference.functions.provider import prompt_provider
from multi_adapter_inference.template.arns import component_arn_spellings
from multi_adapter_inference.template.statements import allow


class CopyReader(Construct):
    """Reads how many copies run, before each deployment that changes the base model's component.

    docs/adr/0023-copies-of-the-base-model.md says why.

    copy_count:
        The number, for the component's `CopyCount`. A token.
    """

    copy_count: int | float

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        component_name: str,
        base: sagemaker.CfnInferenceComponent,
        start: int,
        functions: FunctionHosting,
    ) -> None:
        super().__init__(scope, id)
        parts = FunctionParts(self, functions)
        on_event = Functions(
            self,
            module="adapter_fleet.lambdas.base_copies",
            policy="Copies",
            about=scope.node.path,
            environment={},
            parts=parts,
            why_wildcards="",
        ).add(
            "OnEvent",
            "on_event",
            "Reads how many copies of the base model run",
            statements=[
                allow(
                    ["sagemaker:DescribeInferenceComponent"], *component_arn_spellings(self, component_name)
                )
            ],
            # The framework's function that calls it has 15 minutes, which is also Lambda's limit.
            timeout=Duration.minutes(14),
        )
        provider = prompt_provider(self, on_event=on_event, parts=parts)
        resource = CustomResource(
            self,
            "Resource",
            resource_type="Custom::BaseModelCopies",
            service_token=provider.service_token,
            properties={
                "ComponentName": component_name,
                "StartCopies": start,
                # With every property that updates the component, the number is read again.
                "Component": Lazy.any(_Updates(base)),
            },
        )
        resource.node.add_dependency(parts.dead_letters, on_event, provider)
        self.copy_count = Token.as_number(resource.get_att("CopyCount"))


@jsii.implements(IStableAnyProducer)
class _Updates:
    """What an update of the component would send besides its copies."""

    def __init__(self, base: sagemaker.CfnInferenceComponent) -> None:
        self._base = base

    def produce(self) -> dict[str, object]:
        """Return the properties, when aspects have added their tags."""
        base = self._base
        return {
            "Specification": base.specification,
            "Specifications": base.specifications,
            "DeploymentConfig": base.deployment_config,
            "Tags": base.cdk_tag_manager.render_tags(),
        }
