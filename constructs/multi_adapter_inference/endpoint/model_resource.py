"""The SageMaker model resource that the base model's component runs."""

import hashlib
import json
from collections.abc import Mapping

import jsii
from aws_cdk import IStableStringProducer, Lazy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from multi_adapter_inference.endpoint.container_network import VpcSettings
from multi_adapter_inference.models.base_model import BoundModel
from multi_adapter_inference.models.container import ContainerImage
from multi_adapter_inference.template.stack_location import deployed_together, stack_of


class ModelResource:
    """A base model in its container, as a child of `scope`."""

    def __init__(
        self,
        scope: Construct,
        bound: BoundModel,
        *,
        image: ContainerImage,
        environment: Mapping[str, str],
        role: iam.IRole,
        network_isolation: bool,
        network: VpcSettings | None,
    ) -> None:
        self._scope = scope
        self._hash = _ModelHash(
            scope,
            role.role_arn,
            image.uri,
            environment,
            bound.data_source,
            bound.data_url,
            None,  # kept for the hash of deployed models: a model had a version here
            network_isolation,
            network,
        )
        self.model = sagemaker.CfnModel(
            scope,
            "Model",
            execution_role_arn=role.role_arn,
            primary_container=sagemaker.CfnModel.ContainerDefinitionProperty(
                image=image.uri,
                environment=environment,
                model_data_source=bound.data_source,
                model_data_url=bound.data_url,
            ),
            enable_network_isolation=network_isolation or None,
            vpc_config=network and sagemaker.CfnModel.VpcConfigProperty(**network),
        )

    def version_for(self, scope: Construct) -> str:
        """Return a text that changes with the model or its container, for use in a scope.

        In the model's own stack, it is the model's name. In another stack, it is a hash of what synth knows
        of the model: the name would be an export, and CloudFormation refuses to change an export in use. So
        no other model could be deployed while that stack exists.
        """
        if deployed_together(self._scope, scope):
            return self.model.attr_model_name
        return Lazy.string(self._hash)


@jsii.implements(IStableStringProducer)
class _ModelHash:
    """A short hash of what synth knows of a model.

    It is made at the end of synth: to resolve a token before would fix the logical id that it refers to.
    """

    def __init__(self, scope: Construct, *known: object) -> None:
        self._scope, self._known = scope, known

    def produce(self) -> str:
        """Return the hash."""
        resolved = stack_of(self._scope).resolve(list(self._known))
        return hashlib.sha256(json.dumps(resolved, sort_keys=True).encode()).hexdigest()[:16]
