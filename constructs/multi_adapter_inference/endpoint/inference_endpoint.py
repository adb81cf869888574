"""A SageMaker endpoint: the instances that base models share."""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Unpack

import jsii
from aws_cdk import Duration
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct, IValidation

from adapter_fleet.common.naming import check_component_name
from adapter_fleet.common.validators import check_whole_number, holds_token
from adapter_rules.engines.lora_limits import LoraServing
from multi_adapter_inference.arguments.argument_types import checked
from multi_adapter_inference.arguments.durations import whole_seconds
from multi_adapter_inference.arguments.errors import error_context
from multi_adapter_inference.components.base_component_interface import VARIANT_NAME
from multi_adapter_inference.components.component_names import check_child_id, warn_of_fixed_names
from multi_adapter_inference.endpoint.base_component import BaseComponent
from multi_adapter_inference.endpoint.base_model_options import BaseModelOptions
from multi_adapter_inference.endpoint.container_network import ContainerNetwork
from multi_adapter_inference.endpoint.endpoint_interface import IInferenceEndpoint
from multi_adapter_inference.endpoint.instances import Instances
from multi_adapter_inference.models.base_model import BaseModel
from multi_adapter_inference.models.compute import (
    ComputeRequirements,
    StartupTimeouts,
    check_instance_provision,
    seconds_of,
)
from multi_adapter_inference.models.container import IContainer
from multi_adapter_inference.models.execution_role import ExecutionRole
from multi_adapter_inference.models.instance_type import InstanceType
from multi_adapter_inference.template.arns import imported_endpoint_arn

# MlReservationArn in the botocore service model
_RESERVATION_ARN = re.compile(r"arn:aws[a-z\-]*:sagemaker:[a-z0-9\-]*:[0-9]{12}:[a-z0-9\-]{1,14}/.")

# MetricPublishFrequencyInSeconds of CreateEndpointConfig
_METRIC_PERIODS = (10, 30, 60, 120, 180, 240, 300)

# The ids of an endpoint's own children. Its base models are children as well.
_OWN_IDS = frozenset({"Config", "Default", "Policy", "Resource", "Role", "SecurityGroup"})


class RoutingStrategy(StrEnum):
    """How the endpoint picks the copy of the base model that answers a request.

    The API also has PREFIX_AWARE, which needs a prefix cache, and KV_AWARE, which CloudFormation does not
    have.

    Example::

        strategy = RoutingStrategy.RANDOM  # `routing_strategy` of an endpoint
    """

    LEAST_OUTSTANDING_REQUESTS = "LEAST_OUTSTANDING_REQUESTS"
    """The copy with the fewest requests in progress."""
    RANDOM = "RANDOM"
    """Any copy."""


@checked
class InferenceEndpoint(IInferenceEndpoint):
    """The instances that one or more base models share, and the role of their containers.

    instance_type:
        The type of the instances.
    fallback_instance_types:
        Further types, in their order: instances are of the first one that has capacity.
    instance_count:
        The number of instances. It is an error if the copies of all base models do not fit on them.
    min_instances, max_instances:
        The fewest and the most instances. SageMaker adds and removes instances as the copies need them. Give
        one more than the copies need: a change of a base model needs room for its new copies. Default: the
        number does not change, or follows the copies if they scale.
    capacity_reservation_arn:
        The ARN of an ML capacity reservation. Instances start only there.
    instance_provision_timeout:
        How long SageMaker looks for instances that have capacity: 5 minutes to 1 hour. Default: SageMaker's
        own limit.
    routing_strategy:
        Which copy answers a request. Default: the one with the fewest requests in progress.
    role:
        An existing role. The rights of the containers are added to it, if it can be changed. Default: a new
        one.
    vpc, vpc_subnets, security_groups:
        Where the containers' network interfaces are. Default: in no VPC of the account.
    network_isolation:
        Whether the endpoint's configuration cuts the containers off from every network. Default: True, until
        a base model needs one.
    encryption_key:
        The KMS key of the storage volumes. Instance types with local storage, as all of `InstanceType.ML_*`,
        take none: hardware encrypts it. Default: a key of AWS.
    inference_ami_version:
        The image of the instances. LMI 25, vLLM 2.0 and newer need `al2023-ami-sagemaker-inference-gpu-4-1`;
        see docs/guides/containers.md. Default: SageMaker's own.
    enhanced_metrics_period:
        How often SageMaker writes its enhanced metrics, by instance and container, at a price of CloudWatch:
        10, 30, 60, 120, 180, 240 or 300 seconds. Default: it writes none.

    Example::

        endpoint = InferenceEndpoint(
            stack,
            "Endpoint",
            instance_type=InstanceType.ML_G5_12XLARGE,
            inference_ami_version="al2023-ami-sagemaker-inference-gpu-4-1",
        )
        llama = endpoint.add_base_model(
            "Llama",
            model=BaseModel.from_bucket(
                bucket, "llama-3.1-8b-instruct/", name="meta-llama/Llama-3.1-8B-Instruct"
            ),
            container=LmiContainer(version=LmiVersion.V28),
            lora=LoraServing(max_loras=30, max_cpu_loras=70, max_lora_rank=16),
            compute=ComputeRequirements(accelerators=2, min_memory=Size.mebibytes(16000)),
        )
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        instance_type: InstanceType,
        fallback_instance_types: Sequence[InstanceType] = (),
        instance_count: int = 1,
        min_instances: int | None = None,
        max_instances: int | None = None,
        capacity_reservation_arn: str | None = None,
        instance_provision_timeout: Duration | None = None,
        routing_strategy: RoutingStrategy = RoutingStrategy.LEAST_OUTSTANDING_REQUESTS,
        role: iam.IRole | None = None,
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
        security_groups: Sequence[ec2.ISecurityGroup] = (),
        network_isolation: bool | None = None,
        encryption_key: kms.IKey | None = None,
        inference_ami_version: str | None = None,
        enhanced_metrics_period: Duration | None = None,
        _startup: StartupTimeouts | None = None,
        _pools_setting: str = "fallback_instance_types",
    ) -> None:
        super().__init__(scope, id)
        with error_context(self):
            if not holds_token(instance_count) and instance_count < 1:
                raise ValueError(f"'instance_count' should be at least 1, got {instance_count}")
            _check_range(min_instances, max_instances)
            types = (instance_type, *fallback_instance_types)
            self._instances = Instances(
                types, setting=_pools_setting, start=instance_count, fewest=min_instances, most=max_instances
            )
            _check_key(encryption_key, types)
            _check_reservation(capacity_reservation_arn, types, _pools_setting)
            _check_vpc(vpc, vpc_subnets, security_groups)
            check_instance_provision("instance_provision_timeout", instance_provision_timeout)
            startup = _startup or StartupTimeouts(instance_provision=instance_provision_timeout)
            metrics = None if enhanced_metrics_period is None else _metrics(enhanced_metrics_period)

        self._identity = self.node.addr
        self._isolated = network_isolation
        self._inference_ami_version = inference_ami_version
        self._network = None if vpc is None else ContainerNetwork(self, vpc, vpc_subnets, security_groups)
        self._execution_role = (
            ExecutionRole.create(self, "Role") if role is None else ExecutionRole(self, role)
        )
        self._grant_to_role(encryption_key)

        network = None if self._network is None else self._network.settings
        cfn = sagemaker.CfnEndpointConfig
        pools = self._instances.pools
        self._config = cfn(
            self,
            # Never a physical name: a change of nearly any property creates another configuration.
            "Config",
            execution_role_arn=self.role.role_arn,
            production_variants=[
                cfn.ProductionVariantProperty(
                    # No model: base models are inference components.
                    variant_name=VARIANT_NAME,
                    # Pools replace the type (developer guide, "Deploy to multiple instance types").
                    instance_type=instance_type.name if pools is None else None,
                    instance_pools=pools,
                    initial_instance_count=instance_count,
                    inference_ami_version=inference_ami_version,
                    model_data_download_timeout_in_seconds=seconds_of(startup.model_download),
                    container_startup_health_check_timeout_in_seconds=seconds_of(
                        startup.container_health_check
                    ),
                    variant_instance_provision_timeout_in_seconds=seconds_of(startup.instance_provision),
                    routing_config=cfn.RoutingConfigProperty(routing_strategy=routing_strategy.value),
                    capacity_reservation_config=None
                    if capacity_reservation_arn is None
                    else cfn.CapacityReservationConfigProperty(
                        capacity_reservation_preference="capacity-reservations-only",
                        ml_reservation_arn=capacity_reservation_arn,
                    ),
                )
            ],
            kms_key_id=None if encryption_key is None else encryption_key.key_arn,
            enable_network_isolation=None if network_isolation is False else True,
            vpc_config=network and cfn.VpcConfigProperty(**network),
            metrics_config=metrics,
        )
        self._resource = sagemaker.CfnEndpoint(
            self, "Resource", endpoint_config_name=self._config.attr_endpoint_config_name
        )
        self._resource.node.add_dependency(self._execution_role.policy)
        if self._network is not None:
            self._resource.node.add_dependency(self._network.routes)
        self.endpoint_name = self._resource.attr_endpoint_name
        self.endpoint_arn = self._resource.ref
        self._needed_by_bases = (self._resource,)
        self.node.add_validation(_InstancesValidation(self._instances))
        self._base_model_changed()

    @classmethod
    def from_endpoint_attributes(
        cls,
        scope: Construct,
        id: str,
        *,
        endpoint_name: str,
        endpoint_arn: str | None = None,
        instance_type: InstanceType,
        fallback_instance_types: Sequence[InstanceType] = (),
        role: iam.IRole,
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
        security_groups: Sequence[ec2.ISecurityGroup] = (),
        inference_ami_version: str | None = None,
    ) -> IInferenceEndpoint:
        """Return an endpoint that another app or a person made in this account and region.

        A `BaseComponent` can run on it. The app that made it says how many instances it has.

        endpoint_name:
            The name of the endpoint.
        endpoint_arn:
            The ARN of the endpoint, which IAM compares letter by letter. Default: made of the name, in lower
            case as SageMaker writes it. A name that is a token needs it.
        instance_type, fallback_instance_types:
            The types of its instances.
        role:
            The endpoint's execution role. The rights of the containers are added to it, if it can be changed.
        vpc, vpc_subnets, security_groups:
            Where the containers' network interfaces are. `vpc` needs `security_groups`. Default: in no VPC of
            the account.
        inference_ami_version:
            The image of its instances. Default: SageMaker's own.
        """
        imported = _ImportedEndpoint(scope, id)
        with error_context(imported):
            if not holds_token(endpoint_name):
                check_component_name(endpoint_name, what="endpoint_name")
            _check_vpc(vpc, vpc_subnets, security_groups)
            if vpc is not None and not security_groups:
                raise ValueError("'security_groups' should be those of the endpoint with 'vpc', got none")
            imported._instances = Instances((instance_type, *fallback_instance_types))
        warn_of_fixed_names(imported, endpoint_name=endpoint_name)
        imported.endpoint_name = imported._identity = endpoint_name
        with error_context(imported):
            imported.endpoint_arn = imported_endpoint_arn(imported, endpoint_name, endpoint_arn)
        imported._inference_ami_version = inference_ami_version
        imported._execution_role = ExecutionRole(imported, role)
        if vpc is not None:
            imported._network = ContainerNetwork(imported, vpc, vpc_subnets, security_groups)
        return imported

    def add_base_model(
        self,
        id: str,
        *,
        model: BaseModel,
        container: IContainer,
        lora: LoraServing,
        compute: ComputeRequirements | Mapping[InstanceType, ComputeRequirements],
        **options: Unpack[BaseModelOptions],
    ) -> BaseComponent:
        """Add a base model to the endpoint.

        `BaseComponent` explains the arguments and the options.
        """
        check_child_id(self, id, "a base model", _OWN_IDS)
        return BaseComponent(
            self, id, endpoint=self, model=model, container=container, lora=lora, compute=compute, **options
        )

    def _base_model_changed(self, *, network_isolation: bool = True) -> None:
        if not network_isolation:
            if self._isolated:
                raise ValueError(
                    "'network_isolation' of the endpoint should be left out with a base model that needs the"
                    " network, got True"
                )
            self._config.enable_network_isolation = None
        if (instances := self._instances.range) is None:
            return
        fewest, most = instances
        self._config.add_property_override(
            "ProductionVariants.0.ManagedInstanceScaling",
            {"Status": "ENABLED", "MinInstanceCount": fewest, "MaxInstanceCount": most},
        )
        # Another configuration would bring the number of instances back to the one at the start.
        self._resource.retain_all_variant_properties = True

    def _grant_to_role(self, encryption_key: kms.IKey | None) -> None:
        self._execution_role.write_logs_and_metrics()
        if self._network is not None:
            self._execution_role.attach_network_interfaces()
        if encryption_key is not None:
            self._execution_role.use_volume_key(encryption_key)


class _ImportedEndpoint(IInferenceEndpoint):
    """An endpoint of another app."""


@jsii.implements(IValidation)
class _InstancesValidation:
    """The rules that need every base model of the endpoint."""

    def __init__(self, instances: Instances) -> None:
        self._instances = instances

    def validate(self) -> list[str]:
        """Return what is wrong, add warnings where an update has no room, and order the base models."""
        self._instances.warn_of_no_room()
        self._instances.order()
        try:
            self._instances.check_start()
        except ValueError as error:
            return [str(error)]
        return []


def _metrics(every: Duration) -> sagemaker.CfnEndpointConfig.MetricsConfigProperty:
    seconds = whole_seconds("enhanced_metrics_period", every)
    if seconds not in _METRIC_PERIODS:
        allowed = ", ".join(map(str, _METRIC_PERIODS))
        raise ValueError(f"'enhanced_metrics_period' should be one of {allowed} seconds, got {seconds}")
    return sagemaker.CfnEndpointConfig.MetricsConfigProperty(
        enable_enhanced_metrics=True, metric_publish_frequency_in_seconds=seconds
    )


def _check_key(encryption_key: kms.IKey | None, types: Sequence[InstanceType]) -> None:
    """Raise ValueError for a key that the storage of an instance does not take."""
    local = next((type_.name for type_ in types if type_.local_storage), None)
    if encryption_key is not None and local is not None:
        raise ValueError(
            f"'encryption_key' should be left out for {local}, whose storage is local and encrypted in"
            " hardware"
        )


def _check_range(fewest: int | None, most: int | None) -> None:
    """Raise ValueError for numbers of instances that contradict each other."""
    if most is not None:
        check_whole_number("max_instances", most, at_least=1)
    if fewest is None:
        return
    check_whole_number("min_instances", fewest, at_least=0)
    if most is not None and fewest > most:
        raise ValueError(f"'min_instances' should be at most 'max_instances', {most}, got {fewest}")


def _check_vpc(
    vpc: ec2.IVpc | None,
    vpc_subnets: ec2.SubnetSelection | None,
    security_groups: Sequence[ec2.ISecurityGroup],
) -> None:
    if vpc is None and (vpc_subnets is not None or security_groups):
        raise ValueError("'vpc' should be given with 'vpc_subnets' or 'security_groups', got None")


def _check_reservation(arn: str | None, types: Sequence[InstanceType], setting: str) -> None:
    """Raise ValueError for a reservation that contradicts the instance types, or for no ARN of one."""
    if arn is None:
        return
    if len(types) > 1:
        raise ValueError(
            f"'{setting}' should be left out with 'capacity_reservation_arn': instances start in the"
            f" reservation and nowhere else, got {types[1].name}"
        )
    if not holds_token(arn) and not _RESERVATION_ARN.match(arn):
        raise ValueError(
            "'capacity_reservation_arn' should be one such as"
            f" 'arn:aws:sagemaker:us-east-1:111122223333:training-plan/…', got {arn!r}"
        )
