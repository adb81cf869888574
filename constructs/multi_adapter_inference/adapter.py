"""One LoRA adapter as a resource of the stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import aws_iam as iam
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from multi_adapter_inference.arguments import checked
from multi_adapter_inference.component_names import (
    claim,
    immutable_hash,
    replace_on_change,
    warn_of_fixed_names,
)
from multi_adapter_inference.errors import told_of
from multi_adapter_inference.grants import grant_invoke
from multi_adapter_inference.metrics import ComponentMetrics
from multi_adapter_inference.places import check_same_environment

if TYPE_CHECKING:
    from multi_adapter_inference.artifact import AdapterArtifact
    from multi_adapter_inference.endpoint import MultiAdapterEndpointBase


@checked
class LoraAdapter(Construct, ComponentMetrics):
    """A LoRA adapter on an endpoint's base model: for a few that belong to the stack.

    A new artifact updates it in place. `component_name` is what callers name in their requests:
    `<prefix>-<name>-<hash>`, where the hash is of what cannot be changed in place, so that a replacement
    never meets its predecessor.

    endpoint:
        Where it runs. It is created after the endpoint's base model and deleted before it.
    artifact:
        The adapter's archive, or the directory that a training run wrote.
    adapter_name:
        The middle of the component's name; the construct's id by default.
    component_name:
        The whole name, if callers need one that does not change when the adapter moves to another base model.
        To move it, delete it first.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        endpoint: MultiAdapterEndpointBase,
        artifact: AdapterArtifact,
        adapter_name: str | None = None,
        component_name: str | None = None,
    ) -> None:
        super().__init__(scope, id)
        with told_of(self):
            check_same_environment(self, endpoint)
        name = adapter_name or id
        hashed = immutable_hash(self, endpoint.identity, endpoint.base_component_name, name)
        self.endpoint = endpoint
        self.component_name = component_name or f"{endpoint.component_prefix}-{name}-{hashed}"
        claim(
            self,
            self.component_name,
            endpoint=endpoint,
            made_of={"component_name": component_name}
            if component_name
            else {
                "component_prefix": endpoint.component_prefix,
                "adapter_name" if adapter_name else "id": name,
            },
        )

        warn_of_fixed_names(self, adapter_name=adapter_name, component_name=component_name)
        resource = sagemaker.CfnInferenceComponent(
            self,
            "Resource",
            inference_component_name=self.component_name,
            endpoint_name=endpoint.endpoint_name,
            # Nothing else: compute and variant are the base's, and the API refuses them here.
            specification=sagemaker.CfnInferenceComponent.InferenceComponentSpecificationProperty(
                base_inference_component_name=endpoint.base_component_name,
                container=sagemaker.CfnInferenceComponent.InferenceComponentContainerSpecificationProperty(
                    artifact_url=artifact.bind(self, endpoint)
                ),
            ),
        )
        replace_on_change(
            self, resource, endpoint.identity, endpoint.base_component_name, self.component_name
        )
        resource.node.add_dependency(*endpoint.adapters_depend_on)
        # As SageMaker gives it, not made from the name: IAM compares ARNs letter by letter, and those of
        # SageMaker are in lower case whatever the name is.
        self.component_arn = resource.attr_inference_component_arn

    def grant_invoke(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let `grantee` send requests to this adapter, and to no other component of the endpoint.

        Not an isolation of tenants: the container lets a request to one adapter name another in its body.
        """
        return grant_invoke(grantee, self.endpoint.endpoint_arn, self.component_arn)
