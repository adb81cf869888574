"""The instances that base models run on, as the component of a base model sees them."""

from collections.abc import Sequence
from typing import Unpack

import jsii
from aws_cdk import Resource
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import IConstruct

from multi_adapter_inference.arguments.argument_types import checked
from multi_adapter_inference.arguments.errors import error_context
from multi_adapter_inference.components.base_component_interface import VARIANT_NAME
from multi_adapter_inference.endpoint.container_network import ContainerNetwork
from multi_adapter_inference.endpoint.instances import Instances
from multi_adapter_inference.models.execution_role import ExecutionRole
from multi_adapter_inference.template.metrics import INVOCATION_NAMESPACE, MetricOptions


@checked
@jsii.implements(ec2.IConnectable)
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

    _identity: str
    """A text that no other endpoint has. Synth knows it before the deployment gives a name."""

    _execution_role: ExecutionRole

    _network: ContainerNetwork | None = None
    """Where the containers' network interfaces are."""

    _instances: Instances
    """The instances, and the copies on them."""

    _inference_ami_version: str | None = None

    _needed_by_bases: Sequence[IConstruct] = ()
    """The resources that CloudFormation cannot delete before the last base model."""

    @property
    def role(self) -> iam.IRole:
        """The execution role of all containers."""
        return self._execution_role.role

    @property
    def connections(self) -> ec2.Connections:
        """The network connections of the containers. Raises ValueError without a VPC."""
        if self._network is None:
            with error_context(self):
                raise ValueError("'vpc' should be given to have connections, got None")
        return self._network.connections

    def metric(
        self, metric_name: str, *, namespace: str = INVOCATION_NAMESPACE, **options: Unpack[MetricOptions]
    ) -> cloudwatch.Metric:
        """Return the metric of that name, of all components of the endpoint together."""
        return cloudwatch.Metric(
            namespace=namespace,
            metric_name=metric_name,
            dimensions_map={"EndpointName": self.endpoint_name, "VariantName": VARIANT_NAME},
            **options,
        ).attach_to(self)

    def _base_model_changed(self, *, network_isolation: bool = True) -> None:
        """Take up that there is one more base model, or that one of them scales.

        `network_isolation` is whether its containers are cut off from every network.
        """
