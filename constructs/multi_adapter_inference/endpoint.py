"""A SageMaker endpoint with one base model and its LoRA adapters."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypedDict, Unpack

import jsii
from aws_cdk import Annotations, Duration, IStableStringProducer, Lazy, Names, Stack, Token
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct, IConstruct, IDependable

from adapter_fleet.serving.base_model import BaseModelFacts
from adapter_fleet.serving.lora_limits import LoraServing
from adapter_fleet.serving.routing import RoutingStrategy
from multi_adapter_inference.adapter import LoraAdapter
from multi_adapter_inference._internal.arguments import checked
from multi_adapter_inference.artifact import AdapterArtifact, ArtifactSource
from multi_adapter_inference.base_model import BaseModel, BoundModel
from multi_adapter_inference.capacity import memory_of_copy, warn_of_small_cache
from multi_adapter_inference._internal.component_names import (
    claim,
    immutable_hash,
    replace_on_change,
    warn_of_fixed_names,
)
from multi_adapter_inference.compute import ComputeRequirements, StartupTimeouts
from multi_adapter_inference.container import LmiContainer
from multi_adapter_inference._internal.errors import error_context
from multi_adapter_inference.execution_role import ExecutionRole
from multi_adapter_inference.grants import grant_invoke
from multi_adapter_inference.instance_type import InstanceType
from multi_adapter_inference.metrics import ComponentMetrics
from multi_adapter_inference._internal.stack_location import deployed_together

if TYPE_CHECKING:
    from multi_adapter_inference.fleet import AdapterFleet, FleetOptions
    from multi_adapter_inference.manifest import AdapterManifest

VARIANT_NAME = "AllTraffic"
"""An endpoint with inference components has one variant."""

# Leaves 24 of the 63 characters of a component's name to the adapter's, beside two hyphens and the hash.
_LONGEST_DEFAULT_PREFIX = 29

# The children of an endpoint. Its adapters are children as well, so that their logical ids are short.
_OWN_IDS = frozenset({"Base", "Config", "HubModel", "Model", "Policy", "Resource", "Role", "SecurityGroup"})


class _Network(TypedDict):
    subnets: list[str]
    security_group_ids: list[str]


@checked
class MultiAdapterEndpointBase(Construct, ComponentMetrics, metaclass=jsii.JSIIAbstractClass):
    """An endpoint that adapters can be added to: a `MultiAdapterEndpoint`, or one made elsewhere.

    `component_name` and the metrics are those of the base model's component.
    """

    endpoint_name: str
    endpoint_arn: str
    base_component_arn: str
    component_prefix: str
    """Begins the names of the adapters' components."""
    identity: str
    """Changes when the endpoint becomes another one, also before its name is known."""
    container: LmiContainer | None = None
    lora: LoraServing | None = None
    base_model_facts: BaseModelFacts | None = None
    execution_role: ExecutionRole | None = None
    adapters_depend_on: Sequence[IDependable] = ()
    artifact_sources: Sequence[ArtifactSource] | None = None
    """Where adapters in buckets have to be; None if that is not known."""

    @property
    def base_component_name(self) -> str:
        """The name of the base model's component."""
        return self.component_name

    def add_adapter(
        self,
        id: str,
        *,
        artifact: AdapterArtifact,
        adapter_name: str | None = None,
        component_name: str | None = None,
    ) -> LoraAdapter:
        """Add an adapter to the base model; see `LoraAdapter`."""
        self._check_id(id, "an adapter")
        return LoraAdapter(
            self,
            id,
            endpoint=self,
            artifact=artifact,
            adapter_name=adapter_name,
            component_name=component_name,
        )

    def add_fleet(
        self, id: str, *, manifest: AdapterManifest, **options: Unpack[FleetOptions]
    ) -> AdapterFleet:
        """Add the adapters of a manifest to the base model; see `AdapterFleet`."""
        # It needs this module.
        from multi_adapter_inference.fleet import AdapterFleet

        self._check_id(id, "a fleet")
        return AdapterFleet(self, id, endpoint=self, manifest=manifest, **options)

    def _check_id(self, id: str, what: str) -> None:
        if id in _OWN_IDS:
            raise ValueError(
                f"'id' of {what} should be none of {', '.join(sorted(_OWN_IDS))}, which"
                f" '{self.node.path}' keeps for its own parts, got {id!r}"
            )
        taken = self.node.try_find_child(id)
        if taken is not None:
            raise ValueError(
                f"{what} should have an id of its own, got {id!r} for '{taken.node.path}' and for another one"
            )

    def grant_invoke(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let `grantee` send requests to the base model. Each adapter has a `grant_invoke` of its own."""
        return grant_invoke(grantee, self.endpoint_arn, *self._base_component_arns)

    def base_model_for(self, _scope: Construct, /) -> str | None:
        """Return what changes when the base component gets another model or container, to be used in a scope.

        None if that is not known.
        """
        return None

    def hosting_for(self, _scope: Construct, /) -> Mapping[str, str | int]:
        """Return the instances and copies of the base model, as far as they are known."""
        return {}

    @property
    @abstractmethod
    def _base_component_arns(self) -> Sequence[str]:
        """The base component's ARN, in every spelling that IAM may compare with."""


@checked
@jsii.implements(ec2.IConnectable)
class MultiAdapterEndpoint(MultiAdapterEndpointBase):
    """An endpoint, its role, and the component of its base model.

    base_model, container, lora:
        What runs, in which container, and how many adapters it serves.
    instance_type, instance_count:
        The instances. More copies than fit on them are an error.
    compute, copy_count, startup:
        What each copy of the base model takes and how long it may take to start.
    artifact_sources:
        Where the role may read adapters in buckets. Those from directories need no entry.
    component_prefix:
        Begins the name of every component, `<prefix>-base-<hash>` and `<prefix>-<adapter>-<hash>`. By
        default it is made from the stack's name and the path.
    base_component_name:
        The whole name of the base model's component, if callers need one that does not change with the path.
        To move it to another endpoint, delete it first.
    role:
        A role of one's own; what the containers need is added to it if it can be.
    vpc, vpc_subnets, security_groups:
        Where the containers' network interfaces are. By default in no VPC of the account.
    network_isolation:
        Cut the containers off from every network. By default they are, unless the container itself downloads
        the base model. Code that an adapter's archive smuggles in can then send nothing out.
    encryption_key:
        Encrypts the storage volumes, on instance types that have any.
    inference_ami_version:
        The image of the instances: newer containers need a newer driver.
    """

    container: LmiContainer
    lora: LoraServing
    execution_role: ExecutionRole
    artifact_sources: Sequence[ArtifactSource]

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        base_model: BaseModel,
        container: LmiContainer,
        lora: LoraServing,
        instance_type: InstanceType,
        compute: ComputeRequirements,
        instance_count: int = 1,
        copy_count: int = 1,
        startup: StartupTimeouts | None = None,
        routing_strategy: RoutingStrategy = RoutingStrategy.LEAST_OUTSTANDING_REQUESTS,
        artifact_sources: Sequence[ArtifactSource] = (),
        component_prefix: str | None = None,
        base_component_name: str | None = None,
        role: iam.IRole | None = None,
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
        security_groups: Sequence[ec2.ISecurityGroup] = (),
        network_isolation: bool | None = None,
        encryption_key: kms.IKey | None = None,
        inference_ami_version: str | None = None,
    ) -> None:
        super().__init__(scope, id)
        with error_context(self):
            _check_count("instance_count", instance_count)
            _check_count("copy_count", copy_count)
            if network_isolation is None:
                network_isolation = not base_model.needs_network
            if network_isolation and base_model.needs_network:
                raise ValueError(
                    "'base_model' should be one that SageMaker downloads when 'network_isolation' is on, got"
                    " one that the container downloads"
                )
            if encryption_key is not None and instance_type.local_storage:
                raise ValueError(
                    f"'encryption_key' should be left out for {instance_type.name}, whose storage is local"
                    " and encrypted in hardware"
                )
            if vpc is None and (vpc_subnets is not None or security_groups):
                raise ValueError("'vpc' should be given with 'vpc_subnets' or 'security_groups', got None")
            room = _room_for_copies(compute, instance_type, instance_count, copy_count)
            memory = memory_of_copy(base_model.shape, lora, container, compute, instance_type)

        self.container = container
        self.lora = lora
        self.base_model_facts = base_model.facts
        self.artifact_sources = tuple(artifact_sources)
        self._hosting: Mapping[str, str | int] = {
            "InstanceType": instance_type.name,
            "InstanceCount": instance_count,
            "CopyCount": copy_count,
        }
        self.identity = self.node.addr
        self.component_prefix = component_prefix or Names.unique_resource_name(
            self, max_length=_LONGEST_DEFAULT_PREFIX, separator="-"
        )
        hashed = immutable_hash(self, self.identity, VARIANT_NAME)
        self.component_name = base_component_name or f"{self.component_prefix}-base-{hashed}"
        claim(
            self,
            self.component_name,
            endpoint=self,
            made_of={"base_component_name": base_component_name}
            if base_component_name
            else {"component_prefix": self.component_prefix},
        )

        warn_of_fixed_names(self, component_prefix=component_prefix, base_component_name=base_component_name)
        self._subnets = None if vpc is None else _select_subnets(vpc, vpc_subnets)
        self._connections = None if vpc is None else self._connect(vpc, security_groups)
        self._network_isolation = network_isolation
        startup = startup or StartupTimeouts()
        self.execution_role = (
            ExecutionRole.create(self, "Role") if role is None else ExecutionRole(self, role)
        )
        self.role = self.execution_role.role
        self._grant_to_role(encryption_key)

        bound = base_model.bind(self.execution_role)
        model = self._create_model(bound, container)
        endpoint = self._create_endpoint(
            instance_type, instance_count, startup, routing_strategy, encryption_key, inference_ami_version
        )
        self.endpoint_name = endpoint.attr_endpoint_name
        self.endpoint_arn = endpoint.ref
        base = self._create_base(model, compute, copy_count, startup)
        self.base_component_arn = base.attr_inference_component_arn
        self._base_model_name = model.attr_model_name
        for resource in (model, endpoint, base):
            # No instance is paid for while its model is still being copied.
            resource.node.add_dependency(self.execution_role.policy, *bound.depends_on)
        if self._subnets is not None:
            # Containers that download something fail while there is no route yet.
            for resource in (endpoint, base):
                resource.node.add_dependency(self._subnets.internet_connectivity_established)
        self.adapters_depend_on = (base, self.execution_role.policy)

        container.warn_of_faults(self, inference_ami_version=inference_ami_version)
        if memory is not None:
            warn_of_small_cache(self, memory)
        if room is not None and (room == copy_count or copy_count == 1):
            Annotations.of(self).add_warning_v2(
                "multi-adapter-inference:no-room-for-rolling-update",
                "a change of the base model or its container may interrupt requests or find no capacity: it"
                f" starts new copies, of at most half as many as there are, beside the old ones, and"
                f" {copy_count} of the {room} that fit on {instance_count} x {instance_type.name} are in use;"
                " give more copies and room for another one",
            )

    @classmethod
    def from_endpoint_attributes(
        cls,
        scope: Construct,
        id: str,
        *,
        endpoint_name: str,
        base_component_name: str,
        component_prefix: str,
        lora: LoraServing | None = None,
        role: iam.IRole | None = None,
        artifact_sources: Sequence[ArtifactSource] | None = None,
    ) -> MultiAdapterEndpointBase:
        """Return an endpoint of this account and region that another app or a person made.

        With `lora`, adapters from directories are checked against it; with `role`, the endpoint's execution
        role may read them. With `artifact_sources`, those in buckets have to be there.
        """
        return _ImportedEndpoint(
            scope,
            id,
            endpoint_name=endpoint_name,
            base_component_name=base_component_name,
            component_prefix=component_prefix,
            lora=lora,
            role=role,
            artifact_sources=artifact_sources,
        )

    def base_model_for(self, scope: Construct, /) -> str:
        """Return what changes when the base component gets another model or container, to be used in a scope.

        In another stack than the endpoint's, that is told by what synth knows of it. The name of the model
        would be an export there, and CloudFormation refuses to change one that is in use: no other model
        or container could be deployed as long as that stack is there.
        """
        if deployed_together(self, scope):
            return self._base_model_name
        return Lazy.string(self._base_model)

    def hosting_for(self, scope: Construct, /) -> Mapping[str, str | int]:
        """Return the instances and copies of the base model, to be used in a scope.

        In another stack than the endpoint's, without what only the deployment knows.
        """
        together = deployed_together(self, scope)
        return {
            name: value for name, value in self._hosting.items() if together or not Token.is_unresolved(value)
        }

    @property
    def _base_component_arns(self) -> Sequence[str]:
        return (self.base_component_arn,)

    @property
    def needed_by_adapters(self) -> Sequence[IConstruct]:
        """What cannot be deleted before the last adapter: the base model's component and the endpoint."""
        return [self.node.find_child("Base"), self.node.find_child("Resource")]

    @property
    def connections(self) -> ec2.Connections:
        """The network connections of the containers; only in a VPC."""
        if self._connections is None:
            raise ValueError(f"'{self.node.path}' should have a 'vpc' to have connections, got None")
        return self._connections

    def _connect(self, vpc: ec2.IVpc, security_groups: Sequence[ec2.ISecurityGroup]) -> ec2.Connections:
        groups = security_groups or [
            ec2.SecurityGroup(self, "SecurityGroup", vpc=vpc, description=f"Containers of {self.node.path}")
        ]
        return ec2.Connections(security_groups=groups)

    def _grant_to_role(self, encryption_key: kms.IKey | None) -> None:
        self.execution_role.write_logs_and_metrics()
        for source in self.artifact_sources:
            self.execution_role.read_prefix(source.bucket, source.prefix)
        if self._subnets is not None:
            self.execution_role.attach_network_interfaces()
        if encryption_key is not None:
            self.execution_role.use_volume_key(encryption_key)

    def _create_model(self, bound: BoundModel, container: LmiContainer) -> sagemaker.CfnModel:
        with error_context(self):
            image = container.image(self)
            environment = container.environment_for(self.lora, bound.environment)
        self.execution_role.pull(image)
        self._base_model = _KnownOfModel(
            self,
            self.role.role_arn,
            image.uri,
            environment,
            bound.data_source,
            bound.data_url,
            bound.version,
            self._network_isolation,
            self._network,
        )
        return sagemaker.CfnModel(
            self,
            "Model",
            execution_role_arn=self.role.role_arn,
            primary_container=sagemaker.CfnModel.ContainerDefinitionProperty(
                image=image.uri,
                environment=environment,
                model_data_source=bound.data_source,
                model_data_url=bound.data_url,
            ),
            enable_network_isolation=self._network_isolation or None,
            vpc_config=self._network and sagemaker.CfnModel.VpcConfigProperty(**self._network),
        )

    def _create_endpoint(
        self,
        instance_type: InstanceType,
        instance_count: int,
        startup: StartupTimeouts,
        routing_strategy: RoutingStrategy,
        encryption_key: kms.IKey | None,
        inference_ami_version: str | None,
    ) -> sagemaker.CfnEndpoint:
        config = sagemaker.CfnEndpointConfig(
            self,
            # Never a physical name: nearly every property makes another configuration when it changes.
            "Config",
            execution_role_arn=self.role.role_arn,
            production_variants=[
                # No model: that comes as a component.
                sagemaker.CfnEndpointConfig.ProductionVariantProperty(
                    variant_name=VARIANT_NAME,
                    instance_type=instance_type.name,
                    initial_instance_count=instance_count,
                    inference_ami_version=inference_ami_version,
                    model_data_download_timeout_in_seconds=_seconds(startup.model_download),
                    container_startup_health_check_timeout_in_seconds=_seconds(
                        startup.container_health_check
                    ),
                    routing_config=sagemaker.CfnEndpointConfig.RoutingConfigProperty(
                        routing_strategy=routing_strategy.value
                    ),
                )
            ],
            kms_key_id=None if encryption_key is None else encryption_key.key_arn,
            enable_network_isolation=self._network_isolation or None,
            vpc_config=self._network and sagemaker.CfnEndpointConfig.VpcConfigProperty(**self._network),
        )
        return sagemaker.CfnEndpoint(self, "Resource", endpoint_config_name=config.attr_endpoint_config_name)

    def _create_base(
        self,
        model: sagemaker.CfnModel,
        compute: ComputeRequirements,
        copy_count: int,
        startup: StartupTimeouts,
    ) -> sagemaker.CfnInferenceComponent:
        cfn = sagemaker.CfnInferenceComponent
        base = cfn(
            self,
            "Base",
            inference_component_name=self.component_name,
            endpoint_name=self.endpoint_name,
            variant_name=VARIANT_NAME,
            specification=cfn.InferenceComponentSpecificationProperty(
                # A change of the container makes another model resource with another name, and that name
                # updates the component.
                model_name=model.attr_model_name,
                compute_resource_requirements=cfn.InferenceComponentComputeResourceRequirementsProperty(
                    min_memory_required_in_mb=compute.min_memory_mib,
                    max_memory_required_in_mb=compute.max_memory_mib,
                    number_of_accelerator_devices_required=compute.accelerators,
                    number_of_cpu_cores_required=compute.cpu_cores,
                ),
                startup_parameters=None
                if startup == StartupTimeouts()
                else cfn.InferenceComponentStartupParametersProperty(
                    model_data_download_timeout_in_seconds=_seconds(startup.model_download),
                    container_startup_health_check_timeout_in_seconds=_seconds(
                        startup.container_health_check
                    ),
                ),
            ),
            runtime_config=cfn.InferenceComponentRuntimeConfigProperty(copy_count=copy_count),
        )
        replace_on_change(self, base, self.identity, VARIANT_NAME, self.component_name)
        return base

    @property
    def _network(self) -> _Network | None:
        if self._subnets is None:
            return None
        return {
            "subnets": self._subnets.subnet_ids,
            "security_group_ids": [group.security_group_id for group in self.connections.security_groups],
        }


@jsii.implements(IStableStringProducer)
class _KnownOfModel:
    """A short hash of what synth knows of a model.

    Made at the end of it: to look a token up before would fix the logical id that it refers to.
    """

    def __init__(self, scope: Construct, *known: object) -> None:
        self._scope, self._known = scope, known

    def produce(self) -> str:
        resolved = Stack.of(self._scope).resolve(list(self._known))
        return hashlib.sha256(json.dumps(resolved, sort_keys=True).encode()).hexdigest()[:16]


class _ImportedEndpoint(MultiAdapterEndpointBase):
    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        endpoint_name: str,
        base_component_name: str,
        component_prefix: str,
        lora: LoraServing | None,
        role: iam.IRole | None,
        artifact_sources: Sequence[ArtifactSource] | None,
    ) -> None:
        super().__init__(scope, id)
        warn_of_fixed_names(
            self,
            endpoint_name=endpoint_name,
            base_component_name=base_component_name,
            component_prefix=component_prefix,
        )
        self.artifact_sources = None if artifact_sources is None else tuple(artifact_sources)
        self.endpoint_name = endpoint_name
        self.endpoint_arn = _arn(self, "endpoint", _lower(endpoint_name))
        self.base_component_arn = _arn(self, "inference-component", _lower(base_component_name))
        self.component_name = base_component_name
        self.component_prefix = component_prefix
        self.identity = endpoint_name
        self.lora = lora
        if role is not None:
            self.execution_role = ExecutionRole(self, role)
            self.adapters_depend_on = (self.execution_role.policy,)

    @property
    def _base_component_arns(self) -> Sequence[str]:
        as_given = _arn(self, "inference-component", self.component_name)
        return list(dict.fromkeys((self.base_component_arn, as_given)))


def _select_subnets(vpc: ec2.IVpc, chosen: ec2.SubnetSelection | None) -> ec2.SelectedSubnets:
    chosen = chosen or ec2.SubnetSelection()
    return vpc.select_subnets(
        availability_zones=chosen.availability_zones,
        one_per_az=chosen.one_per_az,
        subnet_filters=chosen.subnet_filters,
        subnet_group_name=chosen.subnet_group_name,
        subnets=chosen.subnets,
        subnet_type=chosen.subnet_type,
    )


def _room_for_copies(
    compute: ComputeRequirements, instance_type: InstanceType, instance_count: int, copy_count: int
) -> int | None:
    """Return how many copies fit on the instances; None if that is not known, ValueError for too few."""
    per_instance = compute.copies_on(instance_type)
    if per_instance is None or Token.is_unresolved(instance_count) or Token.is_unresolved(copy_count):
        return None
    room = per_instance * instance_count
    if copy_count > room:
        raise ValueError(
            f"'copy_count' should be at most {room}, as that many copies fit on {instance_count} x"
            f" {instance_type.name}, got {copy_count}"
        )
    return room


def _arn(scope: Construct, kind: str, name: str) -> str:
    return Stack.of(scope).format_arn(service="sagemaker", resource=kind, resource_name=name)


def _lower(name: str) -> str:
    """Return a name as SageMaker has it in ARNs, which IAM compares letter by letter.

    philschmid/cdk-samples #2 shows it for endpoints; for components it is inferred.
    """
    return name if Token.is_unresolved(name) else name.lower()


def _check_count(setting: str, count: int) -> None:
    if not Token.is_unresolved(count) and count < 1:
        raise ValueError(f"'{setting}' should be at least 1, got {count}")


def _seconds(timeout: Duration | None) -> int | float | None:
    return None if timeout is None else timeout.to_seconds()
