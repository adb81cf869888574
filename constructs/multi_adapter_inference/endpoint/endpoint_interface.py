"""The instances that base models run on, as the component of a base model sees them."""

from __future__ import annotations

from collections.abc import Sequence

import jsii
from aws_cdk import Resource
from constructs import IConstruct

from multi_adapter_inference.arguments.argument_types import checked
from multi_adapter_inference.endpoint.container_network import ContainerNetwork
from multi_adapter_inference.endpoint.instances import Instances
from multi_adapter_inference.models.execution_role import ExecutionRole


@checked
class IInferenceEndpoint(Resource, metaclass=jsii.JSIIAbstractClass):
    """An endpoint that base models can run on: an `InferenceEndpoint`, or an imported one.

    Example::

        shared: IInferenceEndpoint = InferenceEndpoint.from_endpoint_attributes(
            stack,
            "Shared",
            endpoint_name="shared",
            instance_type=InstanceType.ML_G5_12XLARGE,
            role=iam.Role.from_role_name(stack, "Role", "endpoint"),
        )
    """

    endpoint_name: str
    """The endpoint's name."""

    endpoint_arn: str
    """The endpoint's ARN."""

    identity: str
    """A text that no other endpoint has. Synth knows it before the deployment gives a name."""

    _execution_role: ExecutionRole
    """The role of all containers."""

    _network: ContainerNetwork | None = None
    """Where the containers' network interfaces are."""

    _instances: Instances
    """The instances, and the copies on them."""

    _inference_ami_version: str | None = None
    """The image of the instances."""

    _needed_by_bases: Sequence[IConstruct] = ()
    """The resources that CloudFormation cannot delete before the last base model."""

    def _base_model_changed(self, *, network_isolation: bool = True) -> None:
        """Take up that there is one more base model, or that one of them scales.

        `network_isolation` is whether its containers are cut off from every network.
        """
