"""The reference stack: one base model and the adapters of an environment file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypedDict

from aws_cdk import Annotations, CfnOutput, Duration, RemovalPolicy, Size, Stack, Tags, TimeZone
from aws_cdk import Environment as AwsTarget
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk.aws_applicationautoscaling import Schedule
from constructs import Construct

from adapter_fleet.environment.environment_schema import (
    AdapterTable,
    BaseModelTable,
    ContainerTable,
    CopiesTable,
    DataCaptureTable,
    EndpointTable,
    Environment,
    EvaluationTable,
    FleetTable,
    InstancePoolTable,
    MetricsTable,
    MonitoringTable,
    NetworkTable,
    RollingUpdateTable,
    ScalingTable,
    SmokeTable,
)
from adapter_fleet.fleet.state.deletion_limit import DeletionLimit
from multi_adapter_inference import (
    AdapterArtifact,
    AdapterFleet,
    AdapterManifest,
    ArtifactSource,
    BaseModel,
    BatchSize,
    ComputeRequirements,
    CopyScheduling,
    DataCapture,
    DeletionGuard,
    DriftCheck,
    FailurePolicy,
    IContainer,
    InstancePool,
    InstanceType,
    LmiContainer,
    LoraAdapter,
    MetricsConfig,
    MultiAdapterEndpoint,
    PriceList,
    RequiredEvaluation,
    ScalingTarget,
    SmokeTest,
    StartupTimeouts,
    UsageMetrics,
    VllmContainer,
)

_DRIFT_PERIOD_MINUTES = 6 * 60


class _Network(TypedDict):
    vpc: ec2.IVpc | None
    security_groups: Sequence[ec2.ISecurityGroup]


class _Hosting(_Network):
    encryption_key: kms.IKey | None
    log_retention: logs.RetentionDays


class _Waking(TypedDict, total=False):
    wake_cooldown: Duration


class MultiAdapterInferenceStack(Stack):
    """The resources of one environment file. Outputs: `EndpointName`, `BaseComponentName`, `Adapters`.

    `Adapters` is a JSON object of component names by the adapters' keys in the file. `OpenAIBaseUrl` is the
    base model's address for OpenAI clients, and `<key>OpenAIBaseUrl` is an adapter's. Each fleet adds the
    outputs `<Id>Table`, `<Id>Summary` and `<Id>ComponentPrefix`.
    """

    def __init__(self, scope: Construct, id: str, *, environment: Environment) -> None:
        aws = environment.aws
        super().__init__(scope, id, env=AwsTarget(account=aws.account, region=aws.region))
        for key, value in environment.tags.items():
            Tags.of(self).add(key, value)

        settings = environment.endpoint
        self._hosting = _hosting(self, environment)
        network: _Network = {
            "vpc": self._hosting["vpc"],
            "security_groups": self._hosting["security_groups"],
        }
        with _table("base_model"):
            base_model = self._base_model(environment.base_model)
        with _table("container"):
            container = _container(environment.container)
        copies = environment.copies
        with _table("endpoint"):
            instance_type = _instance_type(settings)
            pools = [_instance_pool(pool) for pool in settings.instance_pools]
            metrics, capture = _metrics(settings.metrics), self._data_capture(settings.data_capture)
        with _table("copies"):
            compute, startup = _compute(copies), _startup(copies, settings)
            scheduling = _scheduling(copies)
        self.endpoint = MultiAdapterEndpoint(
            self,
            "Llm",
            base_model=base_model,
            container=container,
            lora=environment.lora,
            instance_type=instance_type,
            instance_pools=pools,
            instance_count=settings.instance_count,
            capacity_reservation_arn=settings.capacity_reservation_arn,
            routing_strategy=settings.routing_strategy,
            prefix_routing=settings.prefix_routing,
            compute=compute,
            copy_count=copies.count,
            startup=startup,
            scheduling=scheduling,
            data_caching=copies.data_caching,
            artifact_sources=[
                ArtifactSource(bucket=self._bucket(source.bucket), prefix=source.prefix)
                for source in environment.artifact_sources
            ],
            component_prefix=settings.component_prefix,
            inference_ami_version=environment.container.inference_ami_version,
            network_isolation=settings.network_isolation,
            metrics_config=metrics,
            data_capture=capture,
            # Hardware encrypts local storage, which takes no key.
            encryption_key=None if instance_type.local_storage else self._hosting["encryption_key"],
            **network,
        )
        if environment.scaling is not None:
            with _table("scaling"):
                self._scale(environment.scaling)
        if copies.rolling_update is not None:
            with _table("copies.rolling_update"):
                self._roll(copies.rolling_update)
        adapters = {name: self._adapter(name, adapter) for name, adapter in environment.adapters.items()}
        self.fleets = {name: self._fleet(name, fleet) for name, fleet in environment.fleets.items()}

        if environment.monitoring is not None:
            with _table("monitoring"):
                self._monitor(environment.monitoring)

        CfnOutput(self, "EndpointName", value=self.endpoint.endpoint_name)
        CfnOutput(self, "BaseComponentName", value=self.endpoint.base_component_name)
        CfnOutput(
            self,
            "Adapters",
            value=json.dumps({name: adapter.component_name for name, adapter in adapters.items()}),
        )
        CfnOutput(self, "OpenAIBaseUrl", value=self.endpoint.openai_base_url)
        for name, adapter in adapters.items():
            CfnOutput(self, f"{name}OpenAIBaseUrl", value=adapter.openai_base_url)
        for name, fleet in self.fleets.items():
            CfnOutput(self, f"{name}Table", value=fleet.registry.table_name)
            CfnOutput(self, f"{name}Summary", value=fleet.summary)
            CfnOutput(self, f"{name}ComponentPrefix", value=fleet.component_prefix)

    def _scale(self, settings: ScalingTable) -> None:
        wake = _seconds(settings.wake_cooldown_seconds)
        scaling = self.endpoint.auto_scale_copies(
            min=settings.min_copies,
            max=settings.max_copies,
            target=ScalingTarget(metric=settings.metric, value=settings.load),
            scale_in_cooldown=_seconds(settings.scale_in_cooldown_seconds),
            scale_out_cooldown=_seconds(settings.scale_out_cooldown_seconds),
            max_instances=settings.max_instances,
            wake_for_adapters=settings.wake_for_adapters,
            **({} if wake is None else _Waking(wake_cooldown=wake)),
            **self._hosting,
        )
        for schedule in settings.schedules:
            scaling.on_schedule(
                schedule.name,
                schedule=Schedule.expression(schedule.schedule),
                min=schedule.min_copies,
                max=schedule.max_copies,
                time_zone=None if schedule.time_zone is None else TimeZone.of(schedule.time_zone),
            )

    def _roll(self, settings: RollingUpdateTable) -> None:
        batch = _batch_size(settings.batch_percent, settings.batch_copies)
        assert batch is not None  # one of the two is given
        self.endpoint.roll_updates(
            batch_size=batch,
            wait=Duration.seconds(settings.wait_seconds),
            max_server_errors=settings.max_server_errors,
            alarms=[
                cloudwatch.Alarm.from_alarm_name(self, f"Alarm{name}", name) for name in settings.alarm_names
            ],
            rollback_batch_size=_batch_size(settings.rollback_percent, settings.rollback_copies),
            timeout=_seconds(settings.timeout_seconds),
        )

    def _data_capture(self, settings: DataCaptureTable | None) -> DataCapture | None:
        if settings is None:
            return None
        return DataCapture(
            bucket=self._bucket(settings.bucket),
            prefix=settings.prefix,
            sampling_percent=settings.sampling_percent,
            mode=settings.mode,
        )

    def _monitor(self, settings: MonitoringTable) -> None:
        latency = settings.max_model_latency_ms
        topic = None
        if settings.topic_arn is not None:
            topic = sns.Topic.from_topic_arn(self, "AlarmTopic", settings.topic_arn)
        for fleet in self.fleets.values():
            fleet.monitor(
                topic,
                max_failed=settings.max_failed,
                max_convergence_age=Duration.minutes(settings.max_convergence_age_minutes),
                max_server_errors=settings.max_server_errors,
                max_model_latency=None if latency is None else Duration.millis(latency),
                usage=_usage(settings),
            )

    def _adapter(self, name: str, settings: AdapterTable) -> LoraAdapter:
        with _table(f"adapters.{name}"):
            return self.endpoint.add_adapter(
                name,
                artifact=_artifact(settings),
                component_per_version=settings.component_per_version,
            )

    def _fleet(self, name: str, settings: FleetTable) -> AdapterFleet:
        with _table(f"fleets.{name}"):
            if self.node.try_find_child(name) is not None:
                raise ValueError(f"a fleet should have a name that nothing else here has, got {name!r}")
            return AdapterFleet(
                self,
                name,
                endpoint=self.endpoint,
                manifest=self._manifest(settings),
                failure_policy=_failure_policy(settings),
                deletion_guard=_deletion_guard(settings),
                update_mode=settings.update_mode,
                request_rate=settings.request_rate,
                timeout=Duration.seconds(round(settings.timeout_minutes * 60)),
                on_timeout=settings.on_timeout,
                smoke_test=_smoke_test(settings.smoke),
                drift_check=_drift_check(settings),
                evaluation=_evaluation(settings.evaluation),
                allow_base_replacement=settings.allow_base_replacement,
                component_prefix=settings.component_prefix,
                **self._hosting,
                registry_removal_policy=RemovalPolicy.RETAIN
                if settings.keep_registry
                else RemovalPolicy.DESTROY,
            )

    def _manifest(self, settings: FleetTable) -> AdapterManifest:
        buckets = {alias: self._bucket(name) for alias, name in settings.buckets.items()}
        if settings.manifest is not None:
            return AdapterManifest.from_file(settings.manifest, buckets=buckets)
        assert settings.bucket is not None  # one of the two is given,
        assert settings.key is not None  # and this with it
        return AdapterManifest.from_bucket(
            self._bucket(settings.bucket),
            settings.key,
            buckets=buckets,
            enable_events=settings.enable_events,
            reread_every=Duration.minutes(settings.reread_every_minutes),
        )

    def _base_model(self, settings: BaseModelTable) -> BaseModel:
        if settings.directory is not None:
            return BaseModel.from_directory(settings.directory, name=settings.name)
        if settings.hub is not None:
            return BaseModel.from_hugging_face_hub(
                settings.hub, revision=settings.revision, config=settings.config
            )
        assert settings.bucket is not None  # one of the three is given
        return BaseModel.from_bucket(
            self._bucket(settings.bucket), settings.prefix, name=settings.name, config=settings.config
        )

    def _bucket(self, name: str) -> s3.IBucket:
        """Return the bucket of that name. A file may name a bucket twice."""
        known = self.node.try_find_child(name)
        return known if isinstance(known, s3.BucketBase) else s3.Bucket.from_bucket_name(self, name, name)


@contextmanager
def _table(name: str) -> Iterator[None]:
    """Put the table of the file in front of an error."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"[{name}]: {error}") from error


def _hosting(scope: Construct, environment: Environment) -> _Hosting:
    """Return the network, the key and the log retention of the functions."""
    network, encryption = environment.network, environment.encryption
    return {
        "encryption_key": None
        if encryption is None
        else kms.Key.from_key_arn(scope, "Key", encryption.key_arn),
        "log_retention": logs.RetentionDays[environment.logs.retention.upper()],
        "vpc": None if network is None else _vpc(scope, network),
        "security_groups": []
        if network is None
        else [
            ec2.SecurityGroup.from_security_group_id(scope, group, group, mutable=False)
            for group in network.security_groups
        ],
    }


def _vpc(scope: Construct, network: NetworkTable) -> ec2.IVpc:
    """Return the VPC by the ids in the file: a look-up would need credentials at synth."""
    vpc = ec2.Vpc.from_vpc_attributes(
        scope,
        "Vpc",
        vpc_id=network.vpc,
        # The zones are in no template. The CDK needs a number that divides the number of subnets.
        availability_zones=["any"],
        private_subnet_ids=network.subnets,
    )
    for subnet in vpc.private_subnets:
        Annotations.of(subnet).acknowledge_warning(
            "@aws-cdk/aws-ec2:noSubnetRouteTableId", "nothing here adds a route"
        )
    return vpc


def _container(settings: ContainerTable) -> IContainer:
    environment, prefix_caching = settings.environment, settings.prefix_caching
    if settings.vllm_version is not None:
        return VllmContainer(
            version=settings.vllm_version, environment=environment, prefix_caching=prefix_caching
        )
    assert settings.lmi_version is not None  # one of the two is given
    return LmiContainer(version=settings.lmi_version, environment=environment, prefix_caching=prefix_caching)


def _instance_type(settings: EndpointTable) -> InstanceType:
    facts = settings.instance
    if facts is None:
        return InstanceType.of(settings.instance_type)
    return InstanceType.of(
        settings.instance_type,
        accelerators=facts.accelerators,
        accelerator_memory=_gibibytes(facts.accelerator_memory_gib),
        memory=_gibibytes(facts.memory_gib),
        vcpus=facts.vcpus,
        local_storage=facts.local_storage,
    )


def _gibibytes(amount: int | None) -> Size | None:
    return None if amount is None else Size.gibibytes(amount)


def _instance_pool(settings: InstancePoolTable) -> InstancePool:
    memory, accelerators = settings.min_memory_mib, settings.accelerators
    return InstancePool(
        instance_type=InstanceType.of(settings.instance_type),
        compute=None
        if memory is None or accelerators is None  # one of the two is given with the other
        else ComputeRequirements(
            accelerators=accelerators,
            cpu_cores=settings.cpu_cores,
            min_memory=Size.mebibytes(memory),
            max_memory=_mebibytes(settings.max_memory_mib),
        ),
    )


def _metrics(settings: MetricsTable | None) -> MetricsConfig | None:
    if settings is None:
        return None
    return MetricsConfig(
        enhanced=settings.enhanced,
        detailed_observability=settings.detailed_observability,
        publish_every=_seconds(settings.publish_every_seconds),
    )


def _scheduling(copies: CopiesTable) -> CopyScheduling | None:
    if copies.placement is None:
        return None
    return CopyScheduling(strategy=copies.placement, max_zone_imbalance=copies.max_zone_imbalance or 0)


def _batch_size(percent: int | None, copies: int | None) -> BatchSize | None:
    if percent is not None:
        return BatchSize.percent(percent)
    return None if copies is None else BatchSize.copies(copies)


def _mebibytes(amount: int | None) -> Size | None:
    return None if amount is None else Size.mebibytes(amount)


def _compute(copies: CopiesTable) -> ComputeRequirements:
    return ComputeRequirements(
        accelerators=copies.accelerators,
        cpu_cores=copies.cpu_cores,
        min_memory=Size.mebibytes(copies.min_memory_mib),
        max_memory=_mebibytes(copies.max_memory_mib),
    )


def _startup(copies: CopiesTable, endpoint: EndpointTable) -> StartupTimeouts:
    return StartupTimeouts(
        model_download=_seconds(copies.model_download_timeout_seconds),
        container_health_check=_seconds(copies.health_check_timeout_seconds),
        instance_provision=_seconds(endpoint.provision_timeout_seconds),
    )


def _seconds(seconds: int | None) -> Duration | None:
    return None if seconds is None else Duration.seconds(seconds)


def _artifact(adapter: AdapterTable) -> AdapterArtifact:
    if adapter.directory is not None:
        return AdapterArtifact.from_directory(adapter.directory)
    assert adapter.uri is not None  # one of the two is given
    return AdapterArtifact.from_uri(adapter.uri)


def _failure_policy(settings: FleetTable) -> FailurePolicy | None:
    if settings.strict:
        return FailurePolicy.strict()
    if settings.failure_at_most is not None:
        return FailurePolicy.at_most(settings.failure_at_most)
    return None if settings.failure_share is None else FailurePolicy.share(settings.failure_share)


def _deletion_guard(settings: FleetTable) -> DeletionGuard:
    if not settings.deletion_guard:
        return DeletionGuard.off()
    default = DeletionLimit()
    return DeletionGuard.share(
        default.share if settings.deletion_share is None else settings.deletion_share,
        above=default.above if settings.deletion_above is None else settings.deletion_above,
        allow_empty=settings.allow_empty,
    )


def _smoke_test(settings: SmokeTable | None) -> SmokeTest | None:
    if settings is None:
        return None
    return SmokeTest(
        prompt=settings.prompt, max_tokens=settings.max_tokens, body=settings.body, expect=settings.expect
    )


def _evaluation(settings: EvaluationTable | None) -> RequiredEvaluation | None:
    if settings is None:
        return None
    return RequiredEvaluation(requirements=settings.require, dataset=settings.dataset, exempt=settings.exempt)


def _usage(settings: MonitoringTable) -> UsageMetrics | None:
    if not settings.usage:
        return None
    return UsageMetrics(
        by=settings.usage_by,
        per_adapter=settings.usage_per_adapter,
        every=Duration.minutes(settings.usage_every_minutes),
        max_use=settings.max_lora_use,
        token_pattern=settings.token_pattern,
        token_text=settings.token_text,
        prices=None if settings.prices is None else PriceList.from_file(settings.prices),
    )


def _drift_check(settings: FleetTable) -> DriftCheck | None:
    if settings.drift_check is None:
        return None
    every = Duration.minutes(settings.drift_every_minutes or _DRIFT_PERIOD_MINUTES)
    probes = {} if settings.drift_probes is None else {"probes": settings.drift_probes}
    return DriftCheck(every=every, action=settings.drift_check, **probes)
