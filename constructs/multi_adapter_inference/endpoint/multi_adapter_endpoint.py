"""A SageMaker endpoint with one base model and its LoRA adapters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Unpack

import jsii
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from adapter_rules.engines.lora_limits import LoraServing
from multi_adapter_inference.arguments.argument_types import checked
from multi_adapter_inference.arguments.errors import error_context
from multi_adapter_inference.components.base_component_interface import IBaseComponent
from multi_adapter_inference.endpoint.base_component import ImportedBase
from multi_adapter_inference.endpoint.base_model_options import CommonBaseModelOptions
from multi_adapter_inference.endpoint.inference_endpoint import InferenceEndpoint, RoutingStrategy
from multi_adapter_inference.endpoint.own_base_component import OwnBaseComponent
from multi_adapter_inference.models.artifact_source import ArtifactSource
from multi_adapter_inference.models.base_model import BaseModel
from multi_adapter_inference.models.compute import ComputeRequirements
from multi_adapter_inference.models.container import IContainer
from multi_adapter_inference.models.instance_type import InstanceType


@checked
@dataclass(frozen=True, kw_only=True)
class InstancePool:
    """Another instance type. SageMaker takes it where the types before it have no capacity.

    instance_type:
        The type of its instances.
    compute:
        What each copy takes there. Default: the same as on the endpoint's `instance_type`.

    Example::

        InstancePool(
            instance_type=InstanceType.ML_G6E_XLARGE,
            compute=ComputeRequirements(accelerators=1, min_memory=Size.gibibytes(16)),
        )
    """

    instance_type: InstanceType
    compute: ComputeRequirements | None = None


@checked
@jsii.implements(ec2.IConnectable)
class MultiAdapterEndpoint(OwnBaseComponent):
    """An endpoint with one base model: an `InferenceEndpoint` and a `BaseComponent` in one.

    `InferenceEndpoint` explains `instance_type`, `instance_count`, `max_instances`,
    `capacity_reservation_arn`, `routing_strategy`, `role`, `vpc`, `vpc_subnets`, `security_groups`,
    `encryption_key` and `inference_ami_version`. `BaseComponent` explains `container`, `lora`, `copy_count`,
    `data_caching`, `placement_strategy`, `network_isolation`, `artifact_sources` and `component_prefix`. For
    `min_instances` or `enhanced_metrics_period`, use these two classes.

    base_model:
        The `model` of the base component.
    base_component_name:
        The `component_name` of the base component. Default: made of the prefix.
    compute:
        What each copy takes of an instance of `instance_type`.
    instance_pools:
        Further types, in their order: instances are of the first type that has capacity. At most four;
        none with `capacity_reservation_arn`.
    startup:
        How long instances and copies may take to start. Default: SageMaker's own limits.

    Example::

        MultiAdapterEndpoint(
            stack,
            "Llm",
            base_model=BaseModel.from_bucket(
                bucket, "llama-3.1-8b-instruct/", name="meta-llama/Llama-3.1-8B-Instruct"
            ),
            container=LmiContainer(version=LmiVersion.V28),
            lora=LoraServing(max_loras=30, max_cpu_loras=70, max_lora_rank=64),
            instance_type=InstanceType.ML_G5_12XLARGE,
            compute=ComputeRequirements(accelerators=4, min_memory=Size.mebibytes(32000)),
            artifact_sources=[ArtifactSource(bucket=bucket, prefix="adapters/")],
            inference_ami_version="al2023-ami-sagemaker-inference-gpu-4-1",
        )
    """

    endpoint: InferenceEndpoint
    """The endpoint. `endpoint.add_base_model()` adds another base model."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        base_model: BaseModel,
        container: IContainer,
        lora: LoraServing,
        instance_type: InstanceType,
        compute: ComputeRequirements,
        instance_pools: Sequence[InstancePool] = (),
        instance_count: int = 1,
        max_instances: int | None = None,
        capacity_reservation_arn: str | None = None,
        routing_strategy: RoutingStrategy = RoutingStrategy.LEAST_OUTSTANDING_REQUESTS,
        base_component_name: str | None = None,
        role: iam.IRole | None = None,
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
        security_groups: Sequence[ec2.ISecurityGroup] = (),
        encryption_key: kms.IKey | None = None,
        inference_ami_version: str | None = None,
        **options: Unpack[CommonBaseModelOptions],
    ) -> None:
        super().__init__(scope, id)
        with error_context(self):
            pools = {pool.instance_type: pool.compute or compute for pool in instance_pools}
            endpoint = InferenceEndpoint(
                self,
                # Left out of logical ids, addresses and names.
                "Default",
                instance_type=instance_type,
                fallback_instance_types=[pool.instance_type for pool in instance_pools],
                instance_count=instance_count,
                max_instances=max_instances,
                capacity_reservation_arn=capacity_reservation_arn,
                routing_strategy=routing_strategy,
                role=role,
                vpc=vpc,
                vpc_subnets=vpc_subnets,
                security_groups=security_groups,
                encryption_key=encryption_key,
                inference_ami_version=inference_ami_version,
                _startup=options.get("startup"),
                _pools_setting="instance_pools",
            )
        self._create(
            endpoint,
            model=base_model,
            container=container,
            lora=lora,
            compute={instance_type: compute, **pools},
            component_name=base_component_name,
            settings={"model": "base_model", "component_name": "base_component_name"},
            **options,
        )
        self.endpoint = endpoint
        self.node.default_child = endpoint.node.default_child

    @classmethod
    def from_endpoint_attributes(
        cls,
        scope: Construct,
        id: str,
        *,
        endpoint_name: str,
        endpoint_arn: str | None = None,
        base_component_name: str,
        component_prefix: str,
        lora: LoraServing | None = None,
        role: iam.IRole | None = None,
        artifact_sources: Sequence[ArtifactSource] | None = None,
    ) -> IBaseComponent:
        """Return an endpoint that another app or a person made in this account and region.

        `BaseComponent.from_base_component_attributes` explains the arguments; `base_component_name` is its
        `component_name`.
        """
        return ImportedBase(
            scope,
            id,
            endpoint_name,
            endpoint_arn,
            {"base_component_name": base_component_name},
            component_prefix,
            lora,
            role,
            artifact_sources,
        )

    @property
    def role(self) -> iam.IRole:
        """The execution role of the containers."""
        return self.endpoint.role

    @property
    def connections(self) -> ec2.Connections:
        """The network connections of the containers. Raises ValueError without a VPC."""
        return self.endpoint.connections
