"""A SageMaker endpoint with one base model and its LoRA adapters."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import TypedDict, Unpack

import jsii
from aws_cdk import Annotations, Duration, Names
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct, IConstruct

from adapter_fleet.common.naming import check_component_name
from adapter_fleet.common.validators import check_whole_number, holds_token
from adapter_fleet.serving.lora_limits import LoraServing
from multi_adapter_inference.adapters.adapter import LoraAdapter
from multi_adapter_inference.adapters.artifact import AdapterArtifact
from multi_adapter_inference.arguments.argument_types import checked
from multi_adapter_inference.arguments.durations import whole_seconds
from multi_adapter_inference.arguments.errors import error_context
from multi_adapter_inference.components.component_names import (
    check_name,
    claim_name,
    immutable_hash,
    replace_on_change,
    warn_of_fixed_names,
)
from multi_adapter_inference.components.endpoint_interface import VARIANT_NAME, IMultiAdapterEndpoint
from multi_adapter_inference.components.scaling import (
    DEFAULT_TARGET,
    DEFAULT_WAKE_COOLDOWN,
    CopyScaling,
    InstanceRange,
    ScalingTarget,
)
from multi_adapter_inference.endpoint.container_network import ContainerNetwork
from multi_adapter_inference.endpoint.copy_reader import CopyReader
from multi_adapter_inference.endpoint.data_capture import DataCapture
from multi_adapter_inference.endpoint.instance_pool import InstancePool, InstancePools
from multi_adapter_inference.endpoint.model_resource import ModelResource
from multi_adapter_inference.endpoint.rolling_update import BatchSize, RollingUpdate
from multi_adapter_inference.fleet.fleet import AdapterFleet, FleetOptions
from multi_adapter_inference.functions.function_hosting import DEFAULT_HOSTING, FunctionHosting
from multi_adapter_inference.manifests.manifest import AdapterManifest
from multi_adapter_inference.models.artifact_source import ArtifactSource
from multi_adapter_inference.models.base_model import BaseModel, BoundModel
from multi_adapter_inference.models.capacity import memory_of_copy, warn_of_idle_accelerators, warn_of_memory
from multi_adapter_inference.models.compute import ComputeRequirements, StartupTimeouts
from multi_adapter_inference.models.container import IContainer
from multi_adapter_inference.models.execution_role import ExecutionRole
from multi_adapter_inference.models.instance_type import InstanceType
from multi_adapter_inference.template.arns import component_arn_spellings, endpoint_arn
from multi_adapter_inference.template.metrics import INVOCATION_NAMESPACE
from multi_adapter_inference.template.stack_location import deployed_together

_NO_ROOM = "no-room-for-rolling-update"

# Each takes about 340 characters of the 10,240 that the inline policies of a role have (IAM's quotas), with
# names of buckets of 20 characters; all else takes up to 3,200.
_MOST_SOURCES = 20

_ALARM_PERIOD = Duration.minutes(1)
_LEAST_WAIT = Duration.minutes(2)

# MlReservationArn in the botocore service model
_RESERVATION_ARN = re.compile(r"arn:aws[a-z\-]*:sagemaker:[a-z0-9\-]*:[0-9]{12}:[a-z0-9\-]{1,14}/.")

_CONSTRUCTS: Mapping[str, str] = {
    "add_adapter": "LoraAdapter(scope, id, endpoint=…, artifact=…)",
    "add_fleet": "AdapterFleet(scope, id, endpoint=…, manifest=…)",
}
"""What stands for the methods that only an endpoint of the same app has."""

# The ids of an endpoint's own children. Its adapters are children as well, so their logical ids are short.
_OWN_IDS = frozenset(
    {
        "AlarmPolicy",
        "Base",
        "Config",
        "Model",
        "Policy",
        "Resource",
        "Role",
        "Scaling",
        "SecurityGroup",
        "UpdateAlarm",
    }
)

# Leaves 24 of the 63 characters of a component's name to the adapter's name, with two hyphens and the hash.
_LONGEST_DEFAULT_PREFIX = 29


class RoutingStrategy(StrEnum):
    """How the endpoint picks the copy of the base model that answers a request.

    The API also has PREFIX_AWARE, which needs a prefix cache, and KV_AWARE, which CloudFormation does not
    have.

    Example::

        strategy = RoutingStrategy.RANDOM  # `routing_strategy` of a MultiAdapterEndpoint
    """

    LEAST_OUTSTANDING_REQUESTS = "LEAST_OUTSTANDING_REQUESTS"
    RANDOM = "RANDOM"


@checked
@jsii.implements(ec2.IConnectable)
class MultiAdapterEndpoint(IMultiAdapterEndpoint):
    """An endpoint, its role, and the component of its base model.

    base_model, container, lora:
        The model, the container that runs it, and how many adapters it serves.
    instance_type:
        The type of the instances.
    instance_pools:
        Further types, in their order: instances are of the first one that has capacity. Default: none.
    instance_count:
        The number of instances. It is an error if the copies do not fit on them. Default: 1.
    capacity_reservation_arn:
        The ARN of an ML capacity reservation. Instances start in it, and nowhere else. Default: none.
    compute:
        What each copy of the base model takes of its instance.
    copy_count:
        The number of copies of the base model. Default: 1.
    startup:
        How long instances and copies may take to start. Default: SageMaker's own limits.
    data_caching:
        Whether each instance keeps the model's files and the image, so that copies of a scale-out start
        faster. Default: SageMaker's own choice.
    routing_strategy:
        Which copy answers a request. Default: the one with the fewest requests in progress.
    artifact_sources:
        The places in buckets from which the role may read adapters. Adapters from directories need no entry.
        Default: none.
    component_prefix:
        The beginning of each component's name, `<prefix>-base-<hash>`, and `<prefix>-<adapter>-<hash>`
        of an adapter in the stack. Fleets have a prefix of their own. Default: made of the stack's name and
        the path.
    base_component_name:
        The whole name of the base model's component, for callers that need one that stays when the path
        changes. Delete the component before you move it to another endpoint. Default: made of the prefix.
    role:
        An existing role. The rights of the containers are added to it, if it can be changed. Default: a new
        one.
    vpc, vpc_subnets, security_groups:
        Where the containers' network interfaces are. Default: in no VPC of the account.
    network_isolation:
        Whether the containers are cut off from every network. Code in an archive can then send nothing
        out. Default: True, unless the container itself downloads the base model.
    encryption_key:
        The KMS key of the storage volumes. Instance types with local storage, as all of `InstanceType.ML_*`,
        take none: hardware encrypts it. Default: a key of AWS.
    inference_ami_version:
        The image of the instances. Newer containers need a newer driver. Default: SageMaker's own.
    data_capture:
        What is written of requests and answers to a bucket. Default: nothing.

    docs/reference/properties.md has every property of the resources, and the argument for it.

    Example::

        MultiAdapterEndpoint(
            stack,
            "Llm",
            base_model=BaseModel.from_bucket(
                bucket, "llama-3.1-8b-instruct/", name="meta-llama/Llama-3.1-8B-Instruct"
            ),
            container=LmiContainer(version=LmiVersion.V19),
            lora=LoraServing(max_loras=30, max_cpu_loras=70, max_lora_rank=64),
            instance_type=InstanceType.ML_G5_12XLARGE,
            compute=ComputeRequirements(accelerators=4, min_memory=Size.mebibytes(32000)),
            artifact_sources=[ArtifactSource(bucket=bucket, prefix="adapters/")],
        )
    """

    container: IContainer
    lora: LoraServing
    _execution_role: ExecutionRole
    artifact_sources: Sequence[ArtifactSource]

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
        capacity_reservation_arn: str | None = None,
        copy_count: int = 1,
        startup: StartupTimeouts | None = None,
        data_caching: bool | None = None,
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
        data_capture: DataCapture | None = None,
    ) -> None:
        super().__init__(scope, id)
        with error_context(self):
            _check_count("instance_count", instance_count)
            _check_count("copy_count", copy_count)
            network_isolation = _isolation(network_isolation, base_model)
            pools = InstancePools.of(instance_type, compute, instance_pools)
            _check_key(encryption_key, pools)
            _check_reservation(capacity_reservation_arn, pools)
            if vpc is None and (vpc_subnets is not None or security_groups):
                raise ValueError("'vpc' should be given with 'vpc_subnets' or 'security_groups', got None")
            room = _room_for_copies(pools, instance_count, copy_count)
            memories = [
                memory_of_copy(base_model, lora, container, each, type_) for type_, each in pools.pools
            ]

        self.container = container
        self.lora = lora
        self._base_model_facts = base_model._facts
        self.artifact_sources = tuple(artifact_sources)
        self._pools = pools
        # How many copies may run, if synth knows it.
        self._copies = None if holds_token(copy_count) else (copy_count, copy_count)
        self._rolling_update: RollingUpdate | None = None
        self._scaling: CopyScaling | None = None
        self._uses_of_scaling: list[Callable[[CopyScaling], None]] = []
        self._copies_at_start, self._instances_at_start = copy_count, instance_count
        self.identity = self.node.addr
        self.component_prefix = component_prefix or Names.unique_resource_name(
            self, max_length=_LONGEST_DEFAULT_PREFIX, separator="-"
        )
        hashed = immutable_hash(self, self.identity, VARIANT_NAME)
        self.component_name = base_component_name or f"{self.component_prefix}-base-{hashed}"
        claim_name(
            self,
            self.component_name,
            endpoint=self,
            made_of={"base_component_name": base_component_name}
            if base_component_name
            else {"component_prefix": self.component_prefix},
        )

        warn_of_fixed_names(self, component_prefix=component_prefix, base_component_name=base_component_name)
        self._network = None if vpc is None else ContainerNetwork(self, vpc, vpc_subnets, security_groups)
        startup = startup or StartupTimeouts()
        self._execution_role = (
            ExecutionRole.create(self, "Role") if role is None else ExecutionRole(self, role)
        )
        self._grant_to_role(encryption_key, data_capture)

        bound = base_model._bind(self._execution_role)
        self._model = self._create_model(bound, container, network_isolation)
        self._config = self._create_config(
            self._variant(
                instance_count,
                capacity_reservation_arn,
                startup,
                sagemaker.CfnEndpointConfig.RoutingConfigProperty(routing_strategy=routing_strategy.value),
                inference_ami_version,
            ),
            encryption_key,
            network_isolation,
            data_capture,
        )
        self._resource = endpoint = sagemaker.CfnEndpoint(
            self, "Resource", endpoint_config_name=self._config.attr_endpoint_config_name
        )
        self.endpoint_name = endpoint.attr_endpoint_name
        self.endpoint_arn = endpoint.ref
        self._base = base = self._create_base(self._model.model, copy_count, startup, data_caching)
        self._component_arns = (base.attr_inference_component_arn,)
        for resource in (self._model.model, endpoint, base):
            resource.node.add_dependency(self._execution_role.policy)
        if self._network is not None:
            for resource in (endpoint, base):
                resource.node.add_dependency(self._network.routes)
        self.adapters_depend_on = (base, self._execution_role.policy)

        container.annotate(
            self,
            inference_ami_version=inference_ami_version,
            model_in_s3=bound.data_source is not None,
        )
        for (_, each), memory in zip(pools.pools, memories, strict=True):
            warn_of_idle_accelerators(self, container, each)
            warn_of_memory(self, memory, container)
        _warn_of_long_policy(self, len(artifact_sources))
        if room is not None and copy_count in (room, 1):
            _warn_of_no_room(self, f"{copy_count} of the {room} that fit on {instance_count} x {pools.names}")

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
    ) -> IMultiAdapterEndpoint:
        """Return an endpoint of this account and region that another app or a person made.

        endpoint_name, base_component_name:
            The names of the endpoint and of the base model's component.
        component_prefix:
            The beginning of the names of the adapters' components.
        lora:
            The engine's limits, which adapters from directories are checked against. Default: not checked.
        role:
            The endpoint's execution role, which gets the right to read adapters from directories. Default:
            no right is added.
        artifact_sources:
            The places in buckets where adapters must be. Default: anywhere.
        """
        imported = _ImportedEndpoint(scope, id)
        with error_context(imported):
            check_name(base_component_name, {"base_component_name": base_component_name})
            if not holds_token(endpoint_name):
                check_component_name(endpoint_name, what="endpoint_name")
        warn_of_fixed_names(
            imported,
            endpoint_name=endpoint_name,
            base_component_name=base_component_name,
            component_prefix=component_prefix,
        )
        imported.artifact_sources = None if artifact_sources is None else tuple(artifact_sources)
        imported.endpoint_name = endpoint_name
        imported.endpoint_arn = endpoint_arn(imported, endpoint_name)
        imported.component_name = base_component_name
        imported._component_arns = component_arn_spellings(imported, base_component_name)
        imported.component_prefix = component_prefix
        imported.identity = endpoint_name
        imported.lora = lora
        if role is not None:
            imported._execution_role = ExecutionRole(imported, role)
            imported.adapters_depend_on = (imported._execution_role.policy,)
        return imported

    def add_adapter(
        self,
        id: str,
        *,
        artifact: AdapterArtifact,
        adapter_name: str | None = None,
        component_name: str | None = None,
        component_per_version: bool = False,
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
            component_per_version=component_per_version,
        )

    def add_fleet(
        self, id: str, *, manifest: AdapterManifest, **options: Unpack[FleetOptions]
    ) -> AdapterFleet:
        """Add the adapters of a manifest to the base model; see `AdapterFleet`."""
        self._check_id(id, "a fleet")
        return AdapterFleet(self, id, endpoint=self, manifest=manifest, **options)

    def base_model_version_for(self, scope: Construct, /) -> str:
        """Return a text that changes with the base model or its container, for use in a scope."""
        return self._model.version_for(scope)

    def auto_scale_copies(
        self,
        *,
        min: int,
        max: int,
        target: ScalingTarget = DEFAULT_TARGET,
        scale_in_cooldown: Duration | None = None,
        scale_out_cooldown: Duration | None = None,
        max_instances: int | None = None,
        wake_cooldown: Duration = DEFAULT_WAKE_COOLDOWN,
        wake_for_adapters: bool = True,
        functions: FunctionHosting = DEFAULT_HOSTING,
    ) -> CopyScaling:
        """Let the copies of the base model follow the load, and the instances follow the copies.

        Fleets ask new copies for their adapters. Adapters need no scaling of their own.
        `copy_count` is only the number at the start: later deployments keep the copies that run.
        docs/guides/scaling.md has the details.

        min, max:
            The least and the most copies. With `min=0`, copies and instances end when nobody sends requests.
            The next request fails, and starts the first copy.
        target:
            The load of one copy. Default: 5 concurrent requests.
        scale_in_cooldown, scale_out_cooldown:
            The time between two changes in one direction. Default: Application Auto Scaling's own, 5 minutes.
        max_instances:
            The most instances. Give one more than the copies need, so that a change of the base model finds
            room for its new copies. Default: as many as `max` copies need.
        wake_cooldown:
            How long a start from zero may take. Until then, further failures start no second copy.
            Default: 15 minutes.
        wake_for_adapters:
            Whether failed requests to an adapter start a copy, too. CloudWatch cannot tell this endpoint's
            adapters from others, so a failed request to any component without a copy in the account and
            region starts one, and one more after each `wake_cooldown` while they keep failing. False: only
            requests to the base model do. Default: True.
        functions:
            Where the function runs that reads the copies in a deployment. Default: AWS's own network and
            keys, and logs for three months.
        """
        with error_context(self):
            if self._scaling is not None:
                raise ValueError("'auto_scale_copies' should be called once, got a second call")
            instances = self._check_scaling(min, max, max_instances)
            for setting, cooldown in (
                ("scale_in_cooldown", scale_in_cooldown),
                ("scale_out_cooldown", scale_out_cooldown),
                ("wake_cooldown", wake_cooldown),
            ):
                if cooldown is not None:
                    whole_seconds(setting, cooldown)
        base = self._base
        self._scaling = scaling = CopyScaling(
            self,
            "Scaling",
            component=self,
            min=min,
            max=max,
            max_copies=instances.copies,
            target=target,
            scale_in_cooldown=scale_in_cooldown,
            scale_out_cooldown=scale_out_cooldown,
            wake_cooldown=wake_cooldown,
            wake_for_adapters=wake_for_adapters,
        )
        scaling.scalable_target.node.add_dependency(base)
        reader = CopyReader(
            scaling,
            "Copies",
            component_name=self.component_name,
            base=base,
            start=self._copies_at_start,
            functions=functions,
        )
        base.runtime_config = sagemaker.CfnInferenceComponent.InferenceComponentRuntimeConfigProperty(
            copy_count=reader.copy_count
        )
        self._config.add_property_override(
            "ProductionVariants.0.ManagedInstanceScaling",
            {
                "Status": "ENABLED",
                "MinInstanceCount": instances.fewest,
                "MaxInstanceCount": instances.most,
            },
        )
        # Another configuration would bring the number of instances back to the one at the start.
        self._resource.retain_all_variant_properties = True
        if instances.copies is None or instances.copies > max:
            Annotations.of(self).acknowledge_warning(
                f"multi-adapter-inference:{_NO_ROOM}", "managed instance scaling adds instances"
            )
        for use in self._uses_of_scaling:
            use(scaling)
        return scaling

    def _when_scaled(self, use: Callable[[CopyScaling], None], /) -> None:
        if self._scaling is not None:
            use(self._scaling)
        else:
            self._uses_of_scaling.append(use)

    def _check_scaling(self, fewest: int, most: int, max_instances: int | None) -> InstanceRange:
        """Return the range of instances. Raises ValueError for numbers that contradict each other."""
        check_whole_number("min", fewest, at_least=0)
        check_whole_number("max", most, at_least=1)
        if fewest > most:
            raise ValueError(f"'min' should be at most 'max', {most}, got {fewest}")
        start, start_instances = self._copies_at_start, self._instances_at_start
        for setting, value in (("copy_count", start), ("instance_count", start_instances)):
            check_whole_number(setting, value, at_least=1)
        if not fewest <= start <= most:
            raise ValueError(
                f"'copy_count', the number of copies at the start, should be from {fewest} to {most} as"
                f" 'min' and 'max' are, got {start}"
            )
        if max_instances is not None:
            check_whole_number("max_instances", max_instances, at_least=1)
        if self._rolling_update is not None:
            self._rolling_update.check_copies(max(1, fewest), most)
        self._copies = max(1, fewest), most
        # The type that fits the fewest copies: SageMaker decides which one an instance has.
        instance_type, compute = self._pools.scarcest
        instances = InstanceRange.for_copies(
            fewest, most, max_instances=max_instances, compute=compute, instance_type=instance_type
        )
        if not instances.fewest <= start_instances <= instances.most:
            raise ValueError(
                "'instance_count', the number of instances at the start, should be from"
                f" {instances.fewest} to {instances.most} for {fewest} to {most} copies, got"
                f" {start_instances}"
            )
        return instances

    def roll_updates(
        self,
        *,
        batch_size: BatchSize,
        wait: Duration,
        max_server_errors: int | None = None,
        alarms: Sequence[cloudwatch.IAlarm] = (),
        rollback_batch_size: BatchSize | None = None,
        timeout: Duration | None = None,
    ) -> None:
        """Replace the copies a batch at a time when the base model, its container or its compute changes.

        After each batch, SageMaker watches the alarms. If one rings, the old copies come back and the
        deployment fails. An alarm that rings before the update ends it at once.

        batch_size:
            How many copies a batch has, at most half of them. A base model with one copy has batches of one.
        wait:
            How long the alarms are watched after each batch, at most an hour. Give more than an alarm needs
            to ring.
        max_server_errors:
            How many requests to the base model or to adapters may fail with a 5XX code in a minute. One more
            sets off an alarm that this makes, and needs a `wait` of 2 minutes. Default: no such alarm.
        alarms:
            Alarms of your own, at most ten with that one. Default: none.
        rollback_batch_size:
            How many old copies come back at a time. Default: all.
        timeout:
            How long the whole update may take, from 10 minutes to 8 hours. Default: SageMaker's own limit.

        Example::

            endpoint.roll_updates(
                batch_size=BatchSize.percent(50), wait=Duration.minutes(10), max_server_errors=10
            )
        """
        with error_context(self):
            if self._rolling_update is not None:
                raise ValueError("'roll_updates' should be called once, got a second call")
            if max_server_errors is not None:
                check_whole_number("max_server_errors", max_server_errors, at_least=0)
                if whole_seconds("wait", wait) < _LEAST_WAIT.to_seconds():
                    raise ValueError(
                        "'wait' should be at least 2 minutes with 'max_server_errors', whose alarm counts a"
                        f" minute, got {wait.to_human_string()}"
                    )
                alarms = [self._server_errors(max_server_errors), *alarms]
            update = RollingUpdate(
                batch_size=batch_size,
                wait=wait,
                alarms=alarms,
                rollback_batch_size=rollback_batch_size,
                timeout=timeout,
            )
            if self._copies is not None:
                update.check_copies(*self._copies)
        self._rolling_update = update
        base = self._base
        base.deployment_config = update._property
        if alarms:
            base.node.add_dependency(self._execution_role.watch_alarms(self, "AlarmPolicy", alarms))

    def _server_errors(self, most: int) -> cloudwatch.Alarm:
        """Alarm when more requests to any component fail: those to an adapter do not count for its base."""
        return cloudwatch.Alarm(
            self,
            "UpdateAlarm",
            metric=cloudwatch.Metric(
                namespace=INVOCATION_NAMESPACE,
                metric_name="Invocation5XXErrors",
                dimensions_map={"EndpointName": self.endpoint_name, "VariantName": VARIANT_NAME},
                statistic=cloudwatch.Stats.SUM,
                period=_ALARM_PERIOD,
            ),
            alarm_description=f"Requests to {self.node.path} fail; an update of its base model is undone",
            threshold=most,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )

    @property
    def role(self) -> iam.IRole:
        """The execution role of the containers."""
        return self._execution_role.role

    def hosting_for(self, scope: Construct, /) -> Mapping[str, str | int]:
        """Return the instances and copies of the base model, for use in a scope.

        In another stack than the endpoint's, tokens are left out.
        """
        together = deployed_together(self, scope)
        hosting: dict[str, str | int] = {
            "InstanceType": self._pools.names,
            "InstanceCount": self._instances_at_start,
            "CopyCount": self._copies_at_start,
        }
        return {name: value for name, value in hosting.items() if together or not holds_token(value)}

    @property
    def needed_by_adapters(self) -> Sequence[IConstruct]:
        """The base model's component and the endpoint. They cannot be deleted before the adapters."""
        return [self._base, self._resource]

    @property
    def connections(self) -> ec2.Connections:
        """The network connections of the containers. Raises ValueError without a VPC."""
        if self._network is None:
            raise ValueError(f"'{self.node.path}' should have a 'vpc' to have connections, got None")
        return self._network.connections

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

    def _grant_to_role(self, encryption_key: kms.IKey | None, capture: DataCapture | None) -> None:
        self._execution_role.write_logs_and_metrics()
        for source in self.artifact_sources:
            self._execution_role.read_prefix(source.bucket, source.prefix)
        if self._network is not None:
            self._execution_role.attach_network_interfaces()
        if encryption_key is not None:
            self._execution_role.use_volume_key(encryption_key)
        if capture is not None:
            self._execution_role.write_prefix(capture.bucket, capture.prefix, capture.encryption_key)

    def _create_model(
        self, bound: BoundModel, container: IContainer, network_isolation: bool
    ) -> ModelResource:
        with error_context(self):
            image = container._image(self)
            environment = container._environment_for(self.lora, bound.download)
        self._execution_role.pull(image)
        return ModelResource(
            self,
            bound,
            image=image,
            environment=environment,
            role=self.role,
            network_isolation=network_isolation,
            network=None if self._network is None else self._network.settings,
        )

    def _variant(
        self,
        instance_count: int,
        capacity_reservation_arn: str | None,
        startup: StartupTimeouts,
        routing: sagemaker.CfnEndpointConfig.RoutingConfigProperty,
        inference_ami_version: str | None,
    ) -> sagemaker.CfnEndpointConfig.ProductionVariantProperty:
        cfn, pools = sagemaker.CfnEndpointConfig, self._pools
        return cfn.ProductionVariantProperty(
            # No model: the base model is an inference component.
            variant_name=VARIANT_NAME,
            # Pools replace the type (developer guide, "Deploy to multiple instance types").
            instance_type=None if pools.several else pools.pools[0][0].name,
            instance_pools=pools.resources if pools.several else None,
            initial_instance_count=instance_count,
            inference_ami_version=inference_ami_version,
            model_data_download_timeout_in_seconds=_seconds(startup.model_download),
            container_startup_health_check_timeout_in_seconds=_seconds(startup.container_health_check),
            variant_instance_provision_timeout_in_seconds=_seconds(startup.instance_provision),
            routing_config=routing,
            capacity_reservation_config=None
            if capacity_reservation_arn is None
            else cfn.CapacityReservationConfigProperty(
                capacity_reservation_preference="capacity-reservations-only",
                ml_reservation_arn=capacity_reservation_arn,
            ),
        )

    def _create_config(
        self,
        variant: sagemaker.CfnEndpointConfig.ProductionVariantProperty,
        encryption_key: kms.IKey | None,
        network_isolation: bool,
        data_capture: DataCapture | None,
    ) -> sagemaker.CfnEndpointConfig:
        network = None if self._network is None else self._network.settings
        return sagemaker.CfnEndpointConfig(
            self,
            # Never a physical name: a change of nearly any property creates another configuration.
            "Config",
            execution_role_arn=self.role.role_arn,
            production_variants=[variant],
            kms_key_id=None if encryption_key is None else encryption_key.key_arn,
            enable_network_isolation=network_isolation or None,
            vpc_config=network and sagemaker.CfnEndpointConfig.VpcConfigProperty(**network),
            data_capture_config=None if data_capture is None else data_capture._property,
        )

    def _create_base(
        self,
        model: sagemaker.CfnModel,
        copy_count: int,
        startup: StartupTimeouts,
        data_caching: bool | None,
    ) -> sagemaker.CfnInferenceComponent:
        cfn, pools = sagemaker.CfnInferenceComponent, self._pools
        shared = _Shared(
            # A change of the container creates another model with another name. The new name updates the
            # component.
            model_name=model.attr_model_name,
            startup_parameters=cfn.InferenceComponentStartupParametersProperty(
                model_data_download_timeout_in_seconds=_seconds(startup.model_download),
                container_startup_health_check_timeout_in_seconds=_seconds(startup.container_health_check),
            )
            if startup.of_copies
            else None,
            data_cache_config=None
            if data_caching is None
            else cfn.InferenceComponentDataCacheConfigProperty(enable_caching=data_caching),
        )
        base = cfn(
            self,
            "Base",
            inference_component_name=self.component_name,
            endpoint_name=self.endpoint_name,
            variant_name=VARIANT_NAME,
            specification=None
            if pools.differ
            else cfn.InferenceComponentSpecificationProperty(
                compute_resource_requirements=_requirements(pools.pools[0][1]), **shared
            ),
            specifications=[
                cfn.InferenceComponentSpecificationForInstanceTypeProperty(
                    instance_type=type_.name, compute_resource_requirements=_requirements(compute), **shared
                )
                for type_, compute in pools.pools
            ]
            if pools.differ
            else None,
            runtime_config=cfn.InferenceComponentRuntimeConfigProperty(copy_count=copy_count),
        )
        replace_on_change(self, base, self.identity, VARIANT_NAME, self.component_name)
        return base


class _ImportedEndpoint(IMultiAdapterEndpoint):
    """An endpoint of another app."""

    def __getattr__(self, name: str) -> object:
        """Raise AttributeError, with the construct that does what the method of an own endpoint does."""
        if (construct := _CONSTRUCTS.get(name)) is not None:
            raise AttributeError(f"an imported endpoint has no {name!r}: use {construct}")
        return super().__getattribute__(name)  # raises


class _Shared(TypedDict):
    """What the base component's specifications have in common."""

    model_name: str
    startup_parameters: sagemaker.CfnInferenceComponent.InferenceComponentStartupParametersProperty | None
    data_cache_config: sagemaker.CfnInferenceComponent.InferenceComponentDataCacheConfigProperty | None


def _requirements(
    compute: ComputeRequirements,
) -> sagemaker.CfnInferenceComponent.InferenceComponentComputeResourceRequirementsProperty:
    return sagemaker.CfnInferenceComponent.InferenceComponentComputeResourceRequirementsProperty(
        min_memory_required_in_mb=compute.min_memory_mib,
        max_memory_required_in_mb=compute.max_memory_mib,
        number_of_accelerator_devices_required=compute.accelerators,
        number_of_cpu_cores_required=compute.cpu_cores,
    )


def _isolation(wanted: bool | None, base_model: BaseModel) -> bool:
    """Return whether the containers have no network. Raises ValueError if the model needs one."""
    if wanted and base_model.needs_network:
        raise ValueError(
            "'base_model' should be one that SageMaker downloads when 'network_isolation' is on, got one that"
            " the container downloads"
        )
    return not base_model.needs_network if wanted is None else wanted


def _check_key(encryption_key: kms.IKey | None, pools: InstancePools) -> None:
    """Raise ValueError for a key that the storage of an instance does not take."""
    local = next((type_.name for type_, _ in pools.pools if type_.local_storage), None)
    if encryption_key is not None and local is not None:
        raise ValueError(
            f"'encryption_key' should be left out for {local}, whose storage is local and encrypted in"
            " hardware"
        )


def _check_reservation(arn: str | None, pools: InstancePools) -> None:
    """Raise ValueError for a reservation that contradicts the instance types, or for no ARN of one."""
    if arn is None:
        return
    if pools.several:
        raise ValueError(
            "'instance_pools' should be left out with 'capacity_reservation_arn': instances start in the"
            f" reservation and nowhere else, got {pools.pools[1][0].name}"
        )
    if not holds_token(arn) and not _RESERVATION_ARN.match(arn):
        raise ValueError(
            "'capacity_reservation_arn' should be one such as"
            f" 'arn:aws:sagemaker:us-east-1:111122223333:training-plan/…', got {arn!r}"
        )


def _warn_of_long_policy(scope: Construct, sources: int) -> None:
    if sources <= _MOST_SOURCES:
        return
    Annotations.of(scope).add_warning_v2(
        "multi-adapter-inference:long-policy",
        f"'artifact_sources' are {sources}, and IAM may refuse the execution role's policy: the inline"
        " policies of a role have at most 10,240 characters, and each source takes about 340; give one"
        " bucket with a prefix for all adapters",
    )


def _warn_of_no_room(scope: Construct, used: str) -> None:
    Annotations.of(scope).add_warning_v2(
        f"multi-adapter-inference:{_NO_ROOM}",
        "a change of the base model or its container may interrupt requests or find no capacity: it"
        f" starts new copies, of at most half as many as there are, beside the old ones, and {used} are in"
        " use; give more copies and room for another one",
    )


def _room_for_copies(pools: InstancePools, instance_count: int, copy_count: int) -> int | None:
    """Return how many copies fit on the instances, whatever their type, or None if that is not known.

    Raises ValueError if `copy_count` is higher.
    """
    instance_type, compute = pools.scarcest
    per_instance = compute.copies_on(instance_type)
    if per_instance is None or holds_token(instance_count) or holds_token(copy_count):
        return None
    room = per_instance * instance_count
    if copy_count > room:
        raise ValueError(
            f"'copy_count' should be at most {room}, as that many copies fit on {instance_count} x"
            f" {instance_type.name}, got {copy_count}"
        )
    return room


def _check_count(setting: str, count: int) -> None:
    if not holds_token(count) and count < 1:
        raise ValueError(f"'{setting}' should be at least 1, got {count}")


def _seconds(timeout: Duration | None) -> int | float | None:
    return None if timeout is None else timeout.to_seconds()
