"""What a base model of this app is made of, on an endpoint of its own or on a shared one."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypedDict, Unpack

from aws_cdk import Duration, Names
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct, IConstruct

from adapter_fleet.common.validators import check_whole_number, holds_token
from adapter_rules.engines.lora_limits import LoraServing
from multi_adapter_inference.adapters.adapter import LoraAdapter
from multi_adapter_inference.adapters.artifact import AdapterArtifact
from multi_adapter_inference.arguments.argument_types import checked
from multi_adapter_inference.arguments.durations import whole_seconds
from multi_adapter_inference.arguments.errors import error_context
from multi_adapter_inference.arguments.options import with_defaults
from multi_adapter_inference.components.base_component_interface import VARIANT_NAME, IBaseComponent
from multi_adapter_inference.components.component_names import (
    check_child_id,
    claim_name,
    immutable_hash,
    replace_on_change,
    warn_of_fixed_names,
)
from multi_adapter_inference.components.scaling import (
    DEFAULT_TARGET,
    DEFAULT_WAKE_COOLDOWN,
    CopyScaling,
    ScalingTarget,
)
from multi_adapter_inference.endpoint.base_model_options import BaseModelOptions
from multi_adapter_inference.endpoint.copy_reader import CopyReader
from multi_adapter_inference.endpoint.endpoint_interface import IInferenceEndpoint
from multi_adapter_inference.endpoint.instances import Copies
from multi_adapter_inference.endpoint.model_resource import ModelResource
from multi_adapter_inference.endpoint.rolling_update import BatchSize, RollingUpdate
from multi_adapter_inference.fleet.fleet import AdapterFleet, FleetOptions
from multi_adapter_inference.functions.functions import DEFAULT_HOSTING, FunctionHosting
from multi_adapter_inference.manifests.manifest import AdapterManifest
from multi_adapter_inference.models.artifact_source import ArtifactSource
from multi_adapter_inference.models.base_model import BaseModel
from multi_adapter_inference.models.capacity import memory_of_copy, warn_of_idle_accelerators, warn_of_memory
from multi_adapter_inference.models.compute import ComputeRequirements, StartupTimeouts, seconds_of
from multi_adapter_inference.models.container import IContainer
from multi_adapter_inference.models.execution_role import ExecutionRole
from multi_adapter_inference.models.instance_type import InstanceType
from multi_adapter_inference.template.stack_location import check_same_environment, deployed_together

_ALARM_PERIOD = Duration.minutes(1)
_LEAST_WAIT = Duration.minutes(2)

# The ids of the own children of a base component, and of an endpoint with one base model. Adapters and fleets
# are children as well, so their logical ids are short.
_OWN_IDS = frozenset(
    {
        "AlarmPolicy",
        "Base",
        "Config",
        "Default",
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


@checked
class OwnBaseComponent(IBaseComponent):
    """What a `BaseComponent` and a `MultiAdapterEndpoint` have in common: a base model of this app."""

    container: IContainer
    lora: LoraServing
    _execution_role: ExecutionRole
    artifact_sources: Sequence[ArtifactSource]

    endpoint: IInferenceEndpoint
    """The endpoint that the base model runs on."""

    def _create(
        self,
        endpoint: IInferenceEndpoint,
        *,
        model: BaseModel,
        container: IContainer,
        lora: LoraServing,
        compute: ComputeRequirements | Mapping[InstanceType, ComputeRequirements],
        settings: Mapping[str, str] = MappingProxyType({}),
        **options: Unpack[BaseModelOptions],
    ) -> None:
        """Create the resources; see `BaseComponent`.

        `settings` has the names that arguments have for the user, where they are others.
        """
        given = with_defaults(BaseModelOptions, options)
        copy_count, instances = given["copy_count"], endpoint._instances
        with error_context(self):
            check_same_environment(self, endpoint)
            if not holds_token(copy_count) and copy_count < 1:
                raise ValueError(f"'copy_count' should be at least 1, got {copy_count}")
            network_isolation = _isolation(given["network_isolation"], model, settings)
            by_type = _by_type(compute, instances.types)
            self._copies = Copies(of=self, compute=by_type, start=copy_count)
            instances.add(self._copies)
            memories = [
                memory_of_copy(model, lora, container, each, type_) for type_, each in by_type.items()
            ]

        self.endpoint = endpoint
        self.endpoint_name, self.endpoint_arn = endpoint.endpoint_name, endpoint.endpoint_arn
        self.container = container
        self.lora = lora
        self._base_model_facts = model._facts
        self.artifact_sources = tuple(given["artifact_sources"])
        self._rolling_update: RollingUpdate | None = None
        self._scaling: CopyScaling | None = None
        self._uses_of_scaling: list[Callable[[CopyScaling], None]] = []
        self.identity = endpoint._identity
        self._take_names(endpoint, given["component_prefix"], given["component_name"], settings)

        # A policy in the endpoint's stack could refer to nothing of this one.
        together = deployed_together(self, endpoint)
        role = endpoint._execution_role if together else ExecutionRole(self, endpoint.role)
        self._execution_role = role
        role.read_sources(self, self.artifact_sources)
        bound = model._bind(role)
        with error_context(self):
            image = container._image(self)
            environment = container._environment_for(lora, bound.download)
        role.pull(image)
        self._model = ModelResource(
            self,
            bound,
            image=image,
            environment=environment,
            role=role.role,
            network_isolation=network_isolation,
            network=None if endpoint._network is None else endpoint._network.settings,
        )
        with error_context(self):
            endpoint._base_model_changed(network_isolation=network_isolation)
        self._base = base = self._create_base(given)
        self._copies.component = base
        self._component_arns = (base.attr_inference_component_arn,)
        for resource in (self._model.model, base):
            resource.node.add_dependency(role.policy)
        if endpoint._network is not None:
            base.node.add_dependency(endpoint._network.routes)
        self.adapters_depend_on = (base, role.policy)

        container.annotate(
            self,
            inference_ami_version=endpoint._inference_ami_version,
            model_in_s3=bound.data_source is not None,
        )
        for each, memory in zip(by_type.values(), memories, strict=True):
            warn_of_idle_accelerators(self, container, each)
            warn_of_memory(self, memory, container)

    def _take_names(
        self, endpoint: IInferenceEndpoint, prefix: str | None, name: str | None, settings: Mapping[str, str]
    ) -> None:
        """Set the names that components have, with the defaults of those that are None."""
        name_setting = settings.get("component_name", "component_name")
        self.component_prefix = prefix or Names.unique_resource_name(
            self, max_length=_LONGEST_DEFAULT_PREFIX, separator="-"
        )
        # A base model with another path is another one, and may not have the name of its predecessor.
        own = [] if self.node.addr == self.identity else [self.node.addr]
        hashed = immutable_hash(self, self.identity, VARIANT_NAME, *own)
        self.component_name = name or f"{self.component_prefix}-base-{hashed}"
        made_of = {name_setting: name} if name else {"component_prefix": self.component_prefix}
        claim_name(self, self.component_name, endpoint=endpoint, made_of=made_of)
        warn_of_fixed_names(self, component_prefix=prefix, **{name_setting: name})

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
        check_child_id(self, id, "an adapter", _OWN_IDS)
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
        check_child_id(self, id, "a fleet", _OWN_IDS)
        return AdapterFleet(self, id, endpoint=self, manifest=manifest, **options)

    def base_model_version_for(self, scope: Construct, /) -> str:
        """Return a text that changes with the base model or its container, for use in a scope."""
        return self._model.version_for(scope)

    def hosting_for(self, scope: Construct, /) -> Mapping[str, str | int]:
        """Return the instances and copies of the base model, for use in a scope.

        In another stack than that of the base model or the endpoint, tokens are left out.
        """
        instances = self.endpoint._instances
        together = all(deployed_together(each, scope) for each in (self, self.endpoint))
        hosting: dict[str, str | int] = {"InstanceType": instances.names, "CopyCount": self._copies.start}
        if instances.start is not None:
            hosting["InstanceCount"] = instances.start
        return {name: value for name, value in hosting.items() if together or not holds_token(value)}

    @property
    def needed_by_adapters(self) -> Sequence[IConstruct]:
        """The base model's component and the endpoint. They cannot be deleted before the adapters."""
        return [self._base, *self.endpoint._needed_by_bases]

    def auto_scale_copies(
        self,
        *,
        min: int,
        max: int,
        target: ScalingTarget = DEFAULT_TARGET,
        scale_in_cooldown: Duration | None = None,
        scale_out_cooldown: Duration | None = None,
        wake_cooldown: Duration = DEFAULT_WAKE_COOLDOWN,
        wake_for_adapters: bool = True,
        functions: FunctionHosting = DEFAULT_HOSTING,
    ) -> CopyScaling:
        """Let the copies of the base model follow the load, and the instances follow the copies.

        `copy_count` is only the number at the start: later deployments keep the copies that run.
        docs/guides/scaling.md has the details.

        min, max:
            The least and the most copies. With `min=0`, copies and instances end when nobody sends requests.
            The next request fails, and starts the first copy.
        target:
            The load of one copy. Default: 5 concurrent requests.
        scale_in_cooldown, scale_out_cooldown:
            The time between two changes in one direction. Default: Application Auto Scaling's own, 5 minutes.
        wake_cooldown:
            How long a start from zero may take. Until then, further failures start no second copy.
            Default: 15 minutes.
        wake_for_adapters:
            Whether failed requests to an adapter start a copy, too. CloudWatch does not know whose adapter it
            is. So failed requests to any component in the account and region that has no copy start one here,
            and one more after each `wake_cooldown`. False: only requests to the base model do.
        functions:
            Where the function runs that reads the copies in a deployment.
        """
        with error_context(self):
            if self._scaling is not None:
                raise ValueError("'auto_scale_copies' should be called once, got a second call")
            self._check_scaling(min, max)
            for setting, cooldown in (
                ("scale_in_cooldown", scale_in_cooldown),
                ("scale_out_cooldown", scale_out_cooldown),
                ("wake_cooldown", wake_cooldown),
            ):
                if cooldown is not None:
                    whole_seconds(setting, cooldown)
            self.endpoint._instances.scale(self._copies, min, max)
        base = self._base
        self._scaling = scaling = CopyScaling(
            self,
            "Scaling",
            component=self,
            min=min,
            max=max,
            allow_most=self._allow_most,
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
            start=self._copies.start,
            functions=functions,
        )
        base.runtime_config = sagemaker.CfnInferenceComponent.InferenceComponentRuntimeConfigProperty(
            copy_count=reader.copy_count
        )
        self.endpoint._base_model_changed()
        for use in self._uses_of_scaling:
            use(scaling)
        return scaling

    def _check_scaling(self, fewest: int, most: int) -> None:
        """Raise ValueError for numbers of copies that contradict each other."""
        check_whole_number("min", fewest, at_least=0)
        check_whole_number("max", most, at_least=1)
        start = self._copies.start
        check_whole_number("copy_count", start, at_least=1)
        if fewest > most:
            raise ValueError(f"'min' should be at most 'max', {most}, got {fewest}")
        if not fewest <= start <= most:
            raise ValueError(
                f"'copy_count', the number of copies at the start, should be from {fewest} to {most} as"
                f" 'min' and 'max' are, got {start}"
            )
        if self._rolling_update is not None:
            self._rolling_update.check_copies(max(1, fewest))

    def _allow_most(self, copies: int) -> None:
        """Let a schedule have so many copies. Raises ValueError if they do not fit beside the others."""
        room, scaled = self.endpoint._instances.room(self._copies), self._copies.scaled
        if room is not None and copies > room:
            raise ValueError(
                f"'max' should be at most {room}, as that many copies fit on the instances of the endpoint,"
                f" got {copies}; give more 'max_instances'"
            )
        if scaled is not None:
            self._copies.scaled = scaled[0], max(scaled[1], copies)

    def _when_scaled(self, use: Callable[[CopyScaling], None], /) -> None:
        if self._scaling is not None:
            use(self._scaling)
        else:
            self._uses_of_scaling.append(use)

    def roll_updates(
        self,
        *,
        batch_size: BatchSize,
        wait: Duration,
        max_server_errors: int | None = None,
        alarms: Sequence[cloudwatch.IAlarm] = (),
    ) -> None:
        """Replace the copies a batch at a time when the base model, its container or its compute changes.

        SageMaker watches the alarms after each batch. If one rings, the old copies come back and the
        deployment fails. An alarm that rings before the update ends it at once.

        batch_size:
            How many copies a batch has, at most half of them. A base model with one copy has batches of one.
        wait:
            How long the alarms are watched after each batch, at most an hour. Give alarms time to ring.
        max_server_errors:
            How many requests to the endpoint may fail with a 5XX code in a minute. One more sets off an alarm
            that this makes. It needs a `wait` of at least 2 minutes. Default: no such alarm.
        alarms:
            Alarms of your own. At most ten in all.

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
            update = RollingUpdate(batch_size=batch_size, wait=wait, alarms=alarms)
            fewest, _ = self._copies.scaled or (self._copies.start, self._copies.start)
            if not holds_token(fewest):
                update.check_copies(max(1, fewest))
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
            metric=self.endpoint.metric(
                "Invocation5XXErrors", statistic=cloudwatch.Stats.SUM, period=_ALARM_PERIOD
            ),
            alarm_description=f"Requests to {self.node.path} fail; an update of its base model is undone",
            threshold=most,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )

    def _create_base(self, options: BaseModelOptions) -> sagemaker.CfnInferenceComponent:
        startup = options["startup"] or StartupTimeouts()
        data_caching, placement_strategy = options["data_caching"], options["placement_strategy"]
        cfn, computes = sagemaker.CfnInferenceComponent, self._copies.compute
        shared = _Shared(
            # A change of the container creates another model with another name. The new name updates the
            # component.
            model_name=self._model.model.attr_model_name,
            startup_parameters=cfn.InferenceComponentStartupParametersProperty(
                model_data_download_timeout_in_seconds=seconds_of(startup.model_download),
                container_startup_health_check_timeout_in_seconds=seconds_of(startup.container_health_check),
            )
            if startup.of_copies
            else None,
            data_cache_config=None
            if data_caching is None
            else cfn.InferenceComponentDataCacheConfigProperty(enable_caching=data_caching),
            scheduling_config=None
            if placement_strategy is None
            else cfn.InferenceComponentSchedulingConfigProperty(
                placement_strategy=placement_strategy.value,
                # CloudFormation requires it, and the API has no other mode.
                availability_zone_balance=cfn.InferenceComponentAvailabilityZoneBalanceProperty(
                    enforcement_mode="PERMISSIVE"
                ),
            ),
        )
        first, *_ = computes.values()
        differ = any(each._amounts != first._amounts for each in computes.values())
        base = cfn(
            self,
            "Base",
            inference_component_name=self.component_name,
            endpoint_name=self.endpoint_name,
            variant_name=VARIANT_NAME,
            specification=None
            if differ
            else cfn.InferenceComponentSpecificationProperty(
                compute_resource_requirements=_requirements(first), **shared
            ),
            specifications=[
                cfn.InferenceComponentSpecificationForInstanceTypeProperty(
                    instance_type=type_.name, compute_resource_requirements=_requirements(compute), **shared
                )
                for type_, compute in computes.items()
            ]
            if differ
            else None,
            runtime_config=cfn.InferenceComponentRuntimeConfigProperty(copy_count=self._copies.start),
        )
        replace_on_change(self, base, self.identity, VARIANT_NAME, self.component_name)
        return base


class _Shared(TypedDict):
    """What the specifications for several instance types have in common."""

    model_name: str
    startup_parameters: sagemaker.CfnInferenceComponent.InferenceComponentStartupParametersProperty | None
    data_cache_config: sagemaker.CfnInferenceComponent.InferenceComponentDataCacheConfigProperty | None
    scheduling_config: sagemaker.CfnInferenceComponent.InferenceComponentSchedulingConfigProperty | None


def _by_type(
    compute: ComputeRequirements | Mapping[InstanceType, ComputeRequirements], types: Sequence[InstanceType]
) -> Mapping[InstanceType, ComputeRequirements]:
    """Return what a copy takes on each type. Raises ValueError if that is not told for one."""
    if isinstance(compute, ComputeRequirements):
        return dict.fromkeys(types, compute)
    given = {type_.name: each for type_, each in compute.items()}
    if given.keys() != {type_.name for type_ in types}:
        wanted = ", ".join(type_.name for type_ in types)
        raise ValueError(
            f"'compute' should be given for each type of the endpoint, {wanted}, got {', '.join(given)}"
        )
    return {type_: given[type_.name] for type_ in types}


def _requirements(
    compute: ComputeRequirements,
) -> sagemaker.CfnInferenceComponent.InferenceComponentComputeResourceRequirementsProperty:
    return sagemaker.CfnInferenceComponent.InferenceComponentComputeResourceRequirementsProperty(
        min_memory_required_in_mb=compute.min_memory_mib,
        max_memory_required_in_mb=compute.max_memory_mib,
        number_of_accelerator_devices_required=compute.accelerators,
        number_of_cpu_cores_required=compute.cpu_cores,
    )


def _isolation(wanted: bool | None, model: BaseModel, settings: Mapping[str, str]) -> bool:
    """Return whether the containers have no network. Raises ValueError if the model needs one."""
    if wanted and model.needs_network:
        raise ValueError(
            f"'{settings.get('model', 'model')}' should be one that SageMaker downloads when"
            " 'network_isolation' is on, got one that the container downloads"
        )
    return not model.needs_network if wanted is None else wanted
