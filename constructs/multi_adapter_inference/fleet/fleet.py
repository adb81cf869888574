"""A fleet of adapters that is kept equal to a manifest."""

import json
from typing import Annotated, TypedDict, Unpack

import jsii
from aws_cdk import (
    CfnDeletionPolicy,
    CfnResource,
    CustomResource,
    Duration,
    Fn,
    ITaggableV2,
    Lazy,
    RemovalPolicy,
    TagManager,
)
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct, IConstruct, IValidation

from adapter_fleet.common.naming import check_fleet_uid
from adapter_fleet.common.serialization import unstructured
from adapter_fleet.common.validators import TOKEN, holds_token
from adapter_fleet.fleet.state.fleet_settings import FleetSettings, OnTimeout
from multi_adapter_inference.arguments.argument_types import checked
from multi_adapter_inference.arguments.durations import whole_seconds
from multi_adapter_inference.arguments.errors import error_context
from multi_adapter_inference.arguments.options import Default, with_defaults
from multi_adapter_inference.components.base_component_interface import IBaseComponent
from multi_adapter_inference.components.component_names import (
    claim_checked,
    claim_fleet_uid,
    claim_manifest,
)
from multi_adapter_inference.components.scaling import CopyScaling
from multi_adapter_inference.fleet.component_tags import ComponentTags, InheritedTags
from multi_adapter_inference.fleet.control_plane import ControlPlane
from multi_adapter_inference.fleet.fleet_interface import IAdapterFleet, checked_prefix, stack_arn
from multi_adapter_inference.fleet.monitoring import (
    DEFAULT_CONVERGENCE_AGE,
    DEFAULT_SERVER_ERRORS,
    DEFAULT_USAGE,
    PERIOD,
    AdapterFleetMonitoring,
)
from multi_adapter_inference.fleet.policies import (
    DEFAULT_DRIFT_CHECK,
    DeletionGuard,
    DriftCheck,
    FailurePolicy,
    Releases,
    RequiredEvaluation,
)
from multi_adapter_inference.fleet.statements import (
    copies_archives,
    prefix_of_copies,
    reads_artifacts,
    reads_manifest,
)
from multi_adapter_inference.fleet.triggers import (
    ask_after_scaling,
    check_for_drift,
    go_on_after_stop,
    look_after_change,
    look_after_errors,
    read_new_manifests,
    reread_manifest,
)
from multi_adapter_inference.fleet.usage import UsageMetrics, count_usage
from multi_adapter_inference.functions.functions import DEFAULT_HOSTING, FunctionHosting
from multi_adapter_inference.functions.provider import answer_timeout
from multi_adapter_inference.manifests.fleet_adapter import SmokeTest
from multi_adapter_inference.manifests.manifest import AdapterManifest, BoundManifest
from multi_adapter_inference.models.capacity import warn_of_adapters_on_disk
from multi_adapter_inference.template.metrics import MetricOptions
from multi_adapter_inference.template.stack_location import (
    check_same_environment,
    deployed_together,
    stack_of,
    stacks_of,
)

_RETAINING = (CfnDeletionPolicy.RETAIN, CfnDeletionPolicy.RETAIN_EXCEPT_ON_CREATE)


class FleetOptions(TypedDict, total=False):
    """The options of a fleet other than its endpoint and its manifest; see `AdapterFleet`.

    Example::

        options: FleetOptions = {"request_rate": 2.0, "component_prefix": "acme-eu"}
        endpoint.add_fleet("Fleet", manifest=manifest, **options)
    """

    failure_policy: FailurePolicy | None
    deletion_guard: DeletionGuard | None
    request_rate: Annotated[float, Default(FleetSettings.request_rate)]
    timeout: Annotated[Duration, Default(Duration.seconds(FleetSettings.timeout_seconds))]
    on_timeout: OnTimeout | None
    smoke_test: SmokeTest | None
    drift_check: Annotated[DriftCheck | None, Default(DEFAULT_DRIFT_CHECK)]
    evaluation: RequiredEvaluation | None
    releases: Releases | None
    allow_base_replacement: Annotated[bool, Default(False)]
    component_prefix: str | None
    registry_removal_policy: Annotated[RemovalPolicy, Default(RemovalPolicy.DESTROY)]
    functions: Annotated[FunctionHosting, Default(DEFAULT_HOSTING)]
    fleet_uid: str | None


@checked
@jsii.implements(ITaggableV2)
class AdapterFleet(IAdapterFleet):
    """A fleet of adapters on an endpoint: one resource of the stack, however many adapters there are.

    A deployment makes the endpoint's adapters equal to the manifest: it creates, updates and deletes
    adapters, and touches no other component. An adapter that fails does not stop the others.

    endpoint:
        The base model that the adapters run on, from `add_base_model()`, or a `MultiAdapterEndpoint`.
    failure_policy:
        How many of the changed adapters may fail before the change is undone. Default: 5 %, rounded down,
        which is none below 20 changed adapters. With a manifest in S3, each adapter fails alone: no change of
        the manifest is undone, and a deployment only if more than one adapter fails, and more than half.
    deletion_guard:
        How much of the fleet a deployment may delete. Default: 20 % of more than 10 adapters; a manifest
        without adapters is refused.
    request_rate:
        The most writes a second to SageMaker. A throttle lowers it for a while. Default: 5.
    timeout:
        How long a deployment waits for its adapters, at most 55 minutes. Default: 50 minutes.
    on_timeout:
        How a deployment ends after `timeout`. Default: it fails if nothing of what it changes was applied;
        otherwise it succeeds and reports the pending adapters.
    smoke_test:
        The request for adapters that have none in the manifest. An adapter is in service only after it
        passes.
    drift_check:
        How often to look for changes made by hand, lost adapters, and models that answer in an adapter's
        place. None for never. Default: a report every hour.
    evaluation:
        What the evaluation of a new version should reach before the fleet takes it.
    releases:
        Makes each version a component of its own, and callers look up which one answers. Default: adapters
        are updated in place.
    allow_base_replacement:
        Whether the fleet may move to another endpoint or base model, where every adapter is created again.
    component_prefix:
        The beginning of the components' names, `<prefix>-<adapter>`. Fleets on one endpoint need different
        prefixes if their adapters have the same names. A new prefix renames every component;
        docs/guides/fleets.md has how. Default: the endpoint's.
    registry_removal_policy:
        What happens to the fleet's table, and the histories in it, when the fleet is deleted. Default: it is
        deleted, too.
    functions:
        The network of the functions, and the key and retention of what they write.
    fleet_uid:
        The identifier that the fleet had, for a construct that was moved or renamed while its resources kept
        their logical ids; see docs/guides/fleets.md. Default: made of the construct's path and the stack.

    Example::

        fleet = AdapterFleet(
            stack,
            "Tenants",
            endpoint=endpoint,
            manifest=AdapterManifest.from_file("environments/local.adapters.yaml"),
            smoke_test=SmokeTest(prompt="Hello"),
        )
        fleet.grant_invoke(caller)
    """

    registry: dynamodb.ITable
    state_machine: sfn.IStateMachine

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        endpoint: IBaseComponent,
        manifest: AdapterManifest,
        **options: Unpack[FleetOptions],
    ) -> None:
        super().__init__(scope, id)
        given = with_defaults(FleetOptions, options)
        drift_check, releases, fleet_uid = given["drift_check"], given["releases"], given["fleet_uid"]
        with error_context(self):
            check_same_environment(self, endpoint)
            settings = _settings(endpoint, given)
            if fleet_uid is not None and not holds_token(fleet_uid):
                check_fleet_uid(fleet_uid)
                claim_fleet_uid(self, fleet_uid, endpoint=endpoint)
            self.component_prefix = checked_prefix(endpoint, given["component_prefix"])
            named = settings.base_model is not None
            bar = settings.bar_beside(endpoint.base_component_name) if named else settings.evaluation
            bound = manifest._bind(self, endpoint, self.component_prefix, bar, releases is not None)
        self.endpoint = endpoint
        self.has_routes = releases is not None
        if endpoint.container is not None and releases is None:
            endpoint.container.warn_of_updates_in_place(endpoint)
        self._tags = ComponentTags(self, bound.adapter_tags)
        self.component_names = bound.component_names
        self.stack_arns = [stack_arn(each, each.stack_name) for each in stacks_of(self)]
        self._manifest_object = bound.object
        if bound.object is not None:
            self.manifest_location = bound.object.bucket, bound.object.key
        self._claim_names(bound)

        stack, node = stack_of(self), self.node
        # The end of the stack's ARN differs between two deployments of the same app.
        uid = fleet_uid or Fn.join("-", [node.addr[:8], Fn.select(2, Fn.split("/", stack.stack_id))])
        kept = prefix_of_copies(self, bound, uid)
        name = node.path.removeprefix(stack.node.path).removeprefix("/")
        self._control = ControlPlane(
            self,
            uid=uid,
            name=name,
            endpoint_arn=endpoint.endpoint_arn,
            base_component_name=endpoint.base_component_name,
            timeout_seconds=settings.timeout_seconds,
            registry_removal_policy=given["registry_removal_policy"],
            functions=given["functions"],
            manifest_statements=reads_manifest(self, bound),
            pass_statements=[
                *reads_artifacts(self, bound, endpoint),
                *copies_archives(self, bound, kept),
                *([] if releases is None else releases._statements),
            ],
            watches_object=bound.object is not None,
        )
        self.registry = self._control.registry
        self.state_machine = self._control.state_machine

        base_model, hosting = endpoint.base_model_version_for(self), endpoint.hosting_for(self)
        self._resource = CustomResource(
            self,
            "Resource",
            resource_type="Custom::AdapterFleet",
            service_token=self._control.provider.service_token,
            service_timeout=answer_timeout(Duration.seconds(settings.timeout_seconds)),
            removal_policy=RemovalPolicy.DESTROY,
            properties={
                "FleetUid": uid,
                "FleetName": name,
                "EndpointName": endpoint.endpoint_name,
                "BaseComponentName": endpoint.base_component_name,
                "ComponentPrefix": self.component_prefix,
                # A change of it updates the fleet: a new base model may have lost its adapters.
                **({} if base_model is None else {"BaseModelName": base_model}),
                **({"Hosting": hosting} if hosting else {}),
                # A change of it updates the fleet: code before may have left what new code mends.
                "CodeDigest": self._control.code_digest,
                "Settings": json.dumps(unstructured(settings), sort_keys=True),
                "Tags": Lazy.any(InheritedTags(self._tags)),
                **bound.properties,
                # With the identifier, as two stacks made of the same construct have the same beginning.
                **({} if kept is None else {"KeptArchives": f"s3://{kept}{uid}/"}),
            },
        )
        # Created after everything that it needs, and so deleted before it.
        self._resource.node.add_dependency(*endpoint.adapters_depend_on, *self._control.resources)
        self._start_on_changes(drift_check)
        # The resource's physical id is the identifier, so a policy that names it waits for the fleet.
        self.fleet_uid = self._resource.ref
        node.add_validation(_FleetValidation(self))

    @classmethod
    def from_fleet_attributes(
        cls,
        scope: Construct,
        id: str,
        *,
        fleet_uid: str,
        endpoint: IBaseComponent,
        component_prefix: str | None = None,
        registry: dynamodb.ITable | None = None,
        state_machine: sfn.IStateMachine | None = None,
        stack_name: str | None = None,
        manifest_bucket: s3.IBucket | None = None,
        manifest_key: str | None = None,
        has_routes: bool = False,
    ) -> IAdapterFleet:
        """Return a fleet that another app made in this account and region.

        component_prefix:
            The beginning of the components' names. Default: the endpoint's.
        registry:
            The fleet's table, for `grant_read` and `grant_manage`, and with routes for `grant_invoke`.
        state_machine:
            The fleet's state machine, for `grant_manage`.
        stack_name:
            The fleet's stack, so that the `adapters` command may find the fleet by it.
        manifest_bucket, manifest_key:
            The manifest in S3, so that the `adapters` command may apply one.
        has_routes:
            Whether the fleet has `releases`.
        """
        imported = _ImportedFleet(scope, id)
        with error_context(imported):
            imported.component_prefix = checked_prefix(endpoint, component_prefix)
            if (manifest_bucket is None) != (manifest_key is None):
                given = "manifest_bucket" if manifest_key is None else "manifest_key"
                raise ValueError(
                    f"'manifest_bucket' and 'manifest_key' should be given together, got '{given}' alone"
                )
        if manifest_bucket is not None and manifest_key is not None:
            imported.manifest_location = manifest_bucket, manifest_key
        imported.fleet_uid = fleet_uid
        imported.endpoint = endpoint
        imported.has_routes = has_routes
        imported.registry = registry
        imported.state_machine = state_machine
        imported.stack_arns = [] if stack_name is None else [stack_arn(imported, stack_name)]
        return imported

    @property
    def cdk_tag_manager(self) -> TagManager:
        """The tags that `Tags.of(…).add` gives to every component of the fleet."""
        return self._tags.manager

    @property
    def summary(self) -> str:
        """The result of the last deployment, with the failed adapters and their reasons."""
        return self._resource.get_att_string("Summary")

    @property
    def desired_count(self) -> str:
        """Adapters in the manifest, at the last deployment."""
        return self._resource.get_att_string("Desired")

    @property
    def in_service_count(self) -> str:
        """Adapters in service, at the end of the last deployment."""
        return self._resource.get_att_string("InService")

    @property
    def failed_count(self) -> str:
        """Adapters that had failed, at the end of the last deployment."""
        return self._resource.get_att_string("Failed")

    @property
    def pending_count(self) -> str:
        """Adapters whose change was in progress, at the end of the last deployment."""
        return self._resource.get_att_string("Pending")

    @property
    def orphan_count(self) -> str:
        """Components with the fleet's tag but in no manifest, after the last deployment."""
        return self._resource.get_att_string("Orphans")

    def monitor(
        self,
        topic: sns.ITopic | None = None,
        *,
        max_failed: int = 0,
        max_convergence_age: Duration = DEFAULT_CONVERGENCE_AGE,
        max_server_errors: int = DEFAULT_SERVER_ERRORS,
        max_model_latency: Duration | None = None,
        usage: UsageMetrics | None = DEFAULT_USAGE,
    ) -> AdapterFleetMonitoring:
        """Add a dashboard and alarms, once; docs/guides/monitoring.md has the list.

        topic:
            Where every alarm and its end is sent. Default: nowhere; add actions of your own.
        max_failed:
            How many adapters may have failed.
        max_convergence_age:
            How long the fleet may differ from its manifest. Default: 1 hour.
        max_server_errors:
            How many requests to one adapter fail in 5 minutes until the alarm rings. Default: 10.
        max_model_latency:
            The longest that an adapter may take on average for 15 minutes. Default: no alarm.
        usage:
            What a function counts of the adapters' use: requests, and how many adapters are asked at a time,
            with an alarm before they outgrow `max_loras` or `max_cpu_loras`. None for no function.
            Default: the sums of the fleet.
        """
        with error_context(self):
            if self.node.try_find_child("Monitoring") is not None:
                raise ValueError("'monitor' should be called once, got a second call")
        if usage is not None:
            count_usage(
                self,
                self._control,
                uid=self.fleet_uid,
                every=usage.every,
                settings=usage._counting(self.endpoint.lora),
            )
        monitoring = AdapterFleetMonitoring(
            self,
            "Monitoring",
            fleet=self,
            function_errors=self._control.run_pass.metric_errors(period=PERIOD),
            lost_events=self.metric_lost_events(),
            topic=topic,
            max_failed=max_failed,
            max_convergence_age=max_convergence_age,
            max_server_errors=max_server_errors,
            max_model_latency=max_model_latency,
            usage=usage,
        )
        look_after_errors(self, monitoring.alarms["Errors"], self._control, after=self._resource)
        return monitoring

    def metric_lost_events(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of events that the fleet's functions failed to handle in the last 14 days."""
        options.setdefault("statistic", cloudwatch.Stats.MAXIMUM)
        return self._control.dead_letters.metric_approximate_number_of_messages_visible(**options)

    def apply_removal_policy(self, policy: RemovalPolicy) -> None:
        """Choose what happens to the adapters when the fleet is removed from its stack.

        They can be retained only while the base model that they need is in another stack.
        """
        self._resource.apply_removal_policy(policy)

    def _claim_names(self, bound: BoundManifest) -> None:
        """Raise ValueError if another construct has a component or the manifest of this fleet."""
        if bound.component_names is not None:
            warn_of_adapters_on_disk(self, len(bound.component_names), self.endpoint.lora)
        if TOKEN in self.component_prefix:
            return
        if bound.component_names is not None:
            claim_checked(self, bound.component_names.values(), endpoint=self.endpoint)
        if bound.object is not None:
            claim_manifest(
                self,
                endpoint=self.endpoint,
                prefix=self.component_prefix,
                bucket_name=bound.object.bucket.bucket_name,
                key=bound.object.key,
            )

    def _start_on_changes(self, drift_check: DriftCheck | None) -> None:
        # Before the fleet, so that a first deployment goes on, too.
        self._resource.node.add_dependency(go_on_after_stop(self, self._control))
        manifest, function = self._manifest_object, self._control.manifest_object
        if manifest is not None and function is not None:
            rule = read_new_manifests(self, manifest, function, self._control)
            # Before the fleet, so that a version that arrives during the first deployment is not missed.
            self._resource.node.add_dependency(rule)
            reread_manifest(self, manifest.reread_every, function, after=self._resource)
        self.endpoint._when_scaled(self._ask_new_copies)
        if drift_check is not None:
            check_for_drift(self, drift_check, self._control, after=self._resource)
        look_after_change(self, self.endpoint.endpoint_name, self._control, after=self._resource)

    def _ask_new_copies(self, scaling: CopyScaling) -> None:
        name, alarms = self.endpoint.base_component_name, scaling.wake_alarms
        ask_after_scaling(self, name, alarms, self._control, after=self._resource)


class _ImportedFleet(IAdapterFleet):
    """A fleet of another app."""


@jsii.implements(IValidation)
class _FleetValidation:
    """The rules that need the whole app, aspects included."""

    def __init__(self, fleet: AdapterFleet) -> None:
        self._fleet = fleet

    def validate(self) -> list[str]:
        return [*self._removal_errors(), *self._fleet._tags.errors()]

    def _removal_errors(self) -> list[str]:
        fleet, endpoint = self._fleet, self._fleet.endpoint
        needed = endpoint.needed_by_adapters
        if not needed or not deployed_together(endpoint, fleet):
            return []
        if not _is_retained(fleet._resource) or all(map(_is_retained, needed)):
            return []
        return [
            f"the fleet '{fleet.node.path}' should not be retained while the base model of its adapters is in"
            " the same stack and is not, as that cannot be deleted before them; retain both, as"
            " RemovalPolicies.of(stack).retain() does, move one to another stack, or keep the registry alone"
            " with 'registry_removal_policy'"
        ]


def _settings(endpoint: IBaseComponent, options: FleetOptions) -> FleetSettings:
    failure_policy = options["failure_policy"]
    smoke_test, drift_check = options["smoke_test"], options["drift_check"]
    evaluation, releases = options["evaluation"], options["releases"]
    return FleetSettings(
        failures=None if failure_policy is None else failure_policy._limit,
        deletions=(options["deletion_guard"] or DeletionGuard())._limit,
        request_rate=options["request_rate"],
        timeout_seconds=whole_seconds("timeout", options["timeout"]),
        on_timeout=options["on_timeout"],
        drift=None if drift_check is None else drift_check._action,
        probes_per_drift_run=(
            FleetSettings.probes_per_drift_run if drift_check is None else drift_check.probes
        ),
        allow_base_replacement=options["allow_base_replacement"],
        max_lora_rank=None if endpoint.lora is None else endpoint.lora.max_lora_rank,
        base_model=None if endpoint._base_model_facts is None else endpoint._base_model_facts.name,
        smoke=None if smoke_test is None else smoke_test.request(),
        evaluation=None if evaluation is None else evaluation._bar,
        releases=None if releases is None else releases._settings,
    )


def _is_retained(construct: IConstruct) -> bool:
    """Return whether a resource stays when its stack is deleted."""
    resource = construct.node.default_child or construct
    return isinstance(resource, CfnResource) and resource.cfn_options.deletion_policy in _RETAINING
