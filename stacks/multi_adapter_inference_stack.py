"""The reference stack: the base models and the adapters of an environment file.

The file has what differs between deployments, this module the rest; `docs/guides/` shows each setting. An app
of your own copies the calls below `# Copy`, with values in place of the settings.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypedDict

from aws_cdk import Annotations, CfnOutput, Duration, Size, Stack, Tags
from aws_cdk import Environment as AwsTarget
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from constructs import Construct

from adapter_rules import environment as tables
from multi_adapter_inference import (
    AdapterArtifact,
    AdapterFleet,
    AdapterManifest,
    ArtifactSource,
    BaseComponent,
    BaseModel,
    BatchSize,
    Canary,
    CommonBaseModelOptions,
    ComputeRequirements,
    DeletionGuard,
    DriftCheck,
    FunctionHosting,
    IContainer,
    InstanceType,
    LmiContainer,
    LoraAdapter,
    MultiAdapterEndpoint,
    Releases,
    RequiredEvaluation,
    ScalingTarget,
    SmokeTest,
    StartupTimeouts,
    UsageMetrics,
    VllmContainer,
)


class _Network(TypedDict):
    vpc: ec2.IVpc | None
    security_groups: Sequence[ec2.ISecurityGroup]


class MultiAdapterInferenceStack(Stack):
    """The resources of one environment file. Outputs: `EndpointName`, `BaseComponentName`, `Adapters`.

    `Adapters` is a JSON object of component names by the adapters' keys in the file. `OpenAIBaseUrl` is the
    base model's address for OpenAI clients, and `<key>OpenAIBaseUrl` is an adapter's. Each fleet adds the
    outputs `<Id>Table`, `<Id>Summary` and `<Id>ComponentPrefix`.
    """

    def __init__(self, scope: Construct, id: str, *, environment: tables.Environment) -> None:
        aws = environment.aws
        super().__init__(scope, id, env=AwsTarget(account=aws.account, region=aws.region))
        for key, value in environment.tags.items():
            Tags.of(self).add(key, value)

        self._network = self._own_network(environment.network)
        encryption = environment.encryption
        self._key = None if encryption is None else kms.Key.from_key_arn(self, "Key", encryption.key_arn)
        self._functions = FunctionHosting(encryption_key=self._key, **self._network)
        self._sources = [
            ArtifactSource(bucket=self._bucket(source.bucket), prefix=source.prefix)
            for source in environment.artifact_sources
        ]
        self.endpoint = self._endpoint(environment)
        if environment.scaling is not None:
            with _table("scaling"):
                self._scale(environment.scaling)
        self.bases = {name: self._further_base(name, base) for name, base in environment.base_models.items()}
        adapters = {name: self._adapter(name, adapter) for name, adapter in environment.adapters.items()}
        self._add_outputs(adapters)
        self.fleets = {name: self._fleet(name, fleet) for name, fleet in environment.fleets.items()}
        if environment.monitoring is not None:
            with _table("monitoring"):
                self._monitor(environment.monitoring)

    def _endpoint(self, environment: tables.Environment) -> MultiAdapterEndpoint:
        settings, copies, scaling = environment.endpoint, environment.copies, environment.scaling
        with _table("base_model"):
            base_model = self._base_model(environment.base_model)
        with _table("container"):
            container = _container(environment.container)
        with _table("endpoint"):
            instance_type = InstanceType.of(settings.instance_type)
        with _table("copies"):
            options = self._options(copies, settings.component_prefix)
        # Copy: the endpoint and its first base model.
        return MultiAdapterEndpoint(
            self,
            "Llm",
            base_model=base_model,
            container=container,
            lora=environment.lora,
            instance_type=instance_type,
            instance_count=settings.instance_count,
            max_instances=None if scaling is None else scaling.max_instances,
            compute=ComputeRequirements(
                accelerators=copies.accelerators, min_memory=Size.mebibytes(copies.min_memory_mib)
            ),
            # Hardware encrypts local storage, which takes no key.
            encryption_key=None if instance_type.local_storage else self._key,
            inference_ami_version=container.version.inference_ami_version,
            **options,
            **self._network,
        )

    def _further_base(self, name: str, settings: tables.FurtherBaseTable) -> BaseComponent:
        copies = settings.copies
        with _table(f"base_models.{name}"):
            # Copy: a second base model on the same instances.
            return self.endpoint.endpoint.add_base_model(
                name,
                model=self._base_model(settings.model),
                container=_container(settings.container),
                lora=settings.lora,
                compute=ComputeRequirements(
                    accelerators=copies.accelerators, min_memory=Size.mebibytes(copies.min_memory_mib)
                ),
                **self._options(copies),
            )

    def _options(self, settings: tables.CopiesTable, prefix: str | None = None) -> CommonBaseModelOptions:
        # Copy: the options of both base models.
        startup = StartupTimeouts(
            model_download=_seconds(settings.model_download_timeout_seconds),
            container_health_check=_seconds(settings.health_check_timeout_seconds),
        )
        return {
            "copy_count": settings.count,
            "startup": startup,
            "artifact_sources": self._sources,
            "component_prefix": prefix,
        }

    def _scale(self, settings: tables.ScalingTable) -> None:
        """Let copies follow the load, and let a change of the base model replace them batch by batch."""
        # Copy: scaling, and updates of the base model.
        self.endpoint.auto_scale_copies(
            min=settings.min_copies,
            max=settings.max_copies,
            target=ScalingTarget.concurrent_requests(settings.target),
            scale_in_cooldown=Duration.minutes(10),
            functions=self._functions,
        )
        self.endpoint.roll_updates(
            batch_size=BatchSize.percent(50), wait=Duration.minutes(10), max_server_errors=10
        )

    def _monitor(self, settings: tables.MonitoringTable) -> None:
        arn = settings.topic_arn
        topic = None if arn is None else sns.Topic.from_topic_arn(self, "AlarmTopic", arn)
        for fleet in self.fleets.values():
            # Copy: a dashboard and alarms. One rings before requests wait for adapters outside memory.
            fleet.monitor(topic, usage=UsageMetrics(by=settings.usage_by, max_use=0.8))

    def _adapter(self, name: str, settings: tables.AdapterTable) -> LoraAdapter:
        with _table(f"adapters.{name}"):
            if settings.directory is not None:
                artifact = AdapterArtifact.from_directory(settings.directory)
            else:
                assert settings.uri is not None  # one of the two is given
                artifact = AdapterArtifact.from_uri(settings.uri)
            return self.endpoint.add_adapter(name, artifact=artifact)

    def _fleet(self, name: str, settings: tables.FleetTable) -> AdapterFleet:
        with _table(f"fleets.{name}"):
            table, summary, prefix = f"{name}Table", f"{name}Summary", f"{name}ComponentPrefix"
            if any(map(self.node.try_find_child, (name, table, summary, prefix))):
                raise ValueError(f"a fleet should have a name that nothing else here has, got {name!r}")
            smoke, drift = settings.smoke, settings.drift_check
            check_for_drift = DriftCheck.repair if drift == "repair" else DriftCheck.report
            every = Duration.hours(1) if drift is None else Duration.minutes(15)
            base, bar, releases = settings.base_model, settings.evaluation, settings.releases
            canary = Canary(steps=releases.canary) if releases is not None and releases.canary else None
            # Copy: a fleet, with a required evaluation, releases and a canary.
            fleet = AdapterFleet(
                self,
                name,
                endpoint=self.endpoint if base is None else self.bases[base],
                manifest=self._manifest(settings),
                deletion_guard=DeletionGuard.share(0.2, above=10, allow_empty=settings.allow_empty),
                request_rate=settings.request_rate,
                smoke_test=None if smoke is None else SmokeTest(prompt=smoke.prompt, expect=smoke.expect),
                # Each check asks new copies of the base model whether they have the adapters.
                drift_check=check_for_drift(every=every),
                evaluation=RequiredEvaluation(requirements=bar) if bar else None,
                releases=None if releases is None else Releases(keep=releases.keep, canary=canary),
                allow_base_replacement=settings.allow_base_replacement,
                component_prefix=settings.component_prefix,
                functions=self._functions,
            )
            CfnOutput(self, table, value=fleet.registry.table_name)
            CfnOutput(self, summary, value=fleet.summary)
            CfnOutput(self, prefix, value=fleet.component_prefix)
            return fleet

    def _manifest(self, settings: tables.FleetTable) -> AdapterManifest:
        buckets = {alias: self._bucket(name) for alias, name in settings.buckets.items()}
        if settings.manifest is not None:
            return AdapterManifest.from_file(settings.manifest, buckets=buckets)
        assert settings.bucket is not None  # one of the two is given,
        assert settings.key is not None  # and this with it
        return AdapterManifest.from_bucket(self._bucket(settings.bucket), settings.key, buckets=buckets)

    def _base_model(self, settings: tables.BaseModelTable) -> BaseModel:
        if settings.directory is not None:
            return BaseModel.from_directory(settings.directory, name=settings.name)
        assert settings.bucket is not None  # one of the two is given
        return BaseModel.from_bucket(
            self._bucket(settings.bucket), settings.prefix, name=settings.name, config=settings.config
        )

    def _bucket(self, name: str) -> s3.IBucket:
        """Return the bucket of that name. A file may name a bucket twice."""
        known = self.node.try_find_child(name)
        return known if isinstance(known, s3.BucketBase) else s3.Bucket.from_bucket_name(self, name, name)

    def _own_network(self, settings: tables.NetworkTable | None) -> _Network:
        """Return the VPC by the ids in the file: a look-up would need credentials at synth."""
        if settings is None:
            return {"vpc": None, "security_groups": []}
        vpc = ec2.Vpc.from_vpc_attributes(
            self,
            "Vpc",
            vpc_id=settings.vpc,
            # The zones are in no template. The CDK needs a number that divides the number of subnets.
            availability_zones=["any"],
            private_subnet_ids=settings.subnets,
        )
        for subnet in vpc.private_subnets:
            Annotations.of(subnet).acknowledge_warning(
                "@aws-cdk/aws-ec2:noSubnetRouteTableId", "nothing here adds a route"
            )
        groups = [
            ec2.SecurityGroup.from_security_group_id(self, group, group, mutable=False)
            for group in settings.security_groups
        ]
        return {"vpc": vpc, "security_groups": groups}

    def _add_outputs(self, adapters: dict[str, LoraAdapter]) -> None:
        CfnOutput(self, "EndpointName", value=self.endpoint.endpoint_name)
        CfnOutput(self, "BaseComponentName", value=self.endpoint.base_component_name)
        names = {name: adapter.component_name for name, adapter in adapters.items()}
        CfnOutput(self, "Adapters", value=json.dumps(names))
        CfnOutput(self, "OpenAIBaseUrl", value=self.endpoint.openai_base_url)
        for name, adapter in adapters.items():
            CfnOutput(self, f"{name}OpenAIBaseUrl", value=adapter.openai_base_url)


@contextmanager
def _table(name: str) -> Iterator[None]:
    """Put the table of the file in front of an error."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"[{name}]: {error}") from error


def _container(settings: tables.ContainerTable) -> IContainer:
    if settings.vllm_version is not None:
        return VllmContainer(version=settings.vllm_version, environment=settings.environment)
    assert settings.lmi_version is not None  # one of the two is given
    return LmiContainer(version=settings.lmi_version, environment=settings.environment)


def _seconds(seconds: int | None) -> Duration | None:
    return None if seconds is None else Duration.seconds(seconds)
