"""A fleet of adapters, kept equal to a manifest."""

from __future__ import annotations

import difflib
import json
from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypedDict, Unpack

import jsii
from aws_cdk import (
    Aspects,
    CfnDeletionPolicy,
    CfnResource,
    CustomResource,
    Duration,
    Fn,
    IStableAnyProducer,
    ITaggableV2,
    Lazy,
    RemovalPolicy,
    RemoveTag,
    Stack,
    TagManager,
    TagType,
)
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct, IConstruct, IValidation

from adapter_fleet.common.naming import (
    FLEET_TAG,
    check_component_name,
    check_component_prefix,
    check_fleet_uid,
    component_name,
)
from adapter_fleet.common.serialization import unstructured
from adapter_fleet.common.validators import TOKEN, check_names, holds_token
from adapter_fleet.fleet.reconcile.completion import STANDSTILL_PASSES
from adapter_fleet.fleet.state.settings import FleetSettings, OnTimeout, UpdateMode
from adapter_fleet.manifest.rules import problem_of_tag, problem_of_tag_count
from multi_adapter_inference.acknowledgement import acknowledge_notifications_handler
from multi_adapter_inference.arguments import checked
from multi_adapter_inference.artifact import ADAPTER_ARCHIVES
from multi_adapter_inference.capacity import warn_of_adapters_on_disk
from multi_adapter_inference.component_names import claim_checked, claim_fleet_uid, claim_manifest
from multi_adapter_inference.control_plane import (
    METRICS_NAMESPACE,
    ControlPlane,
    component_arn,
)
from multi_adapter_inference.durations import whole_seconds
from multi_adapter_inference.endpoint import MultiAdapterEndpoint, MultiAdapterEndpointBase
from multi_adapter_inference.errors import told_of
from multi_adapter_inference.fleet_policies import DeletionGuard, DriftCheck, FailurePolicy
from multi_adapter_inference.functions import LOGS_KEPT, FunctionSettings
from multi_adapter_inference.grants import INVOKE_ACTIONS, OperatedFleet, grant_invoke
from multi_adapter_inference.manifest import (
    MANIFESTS,
    AdapterManifest,
    BoundManifest,
    ManifestObject,
    SmokeTest,
)
from multi_adapter_inference.metrics import ComponentMetrics
from multi_adapter_inference.places import check_same_environment, deployed_together
from multi_adapter_inference.provider import answer_timeout

if TYPE_CHECKING:
    from multi_adapter_inference.metrics import MetricOptions

MOST_NAMED_GRANTS = 50
"""A thousand names fill 26 managed policies, and a role may have ten."""

_DEFAULT_TIMEOUT = Duration.minutes(50)
_KEPT = (CfnDeletionPolicy.RETAIN, CfnDeletionPolicy.RETAIN_EXCEPT_ON_CREATE)
_EVENT_RETRIES = 24
_EVENT_AGE = Duration.hours(2)


@checked
class AdapterFleetBase(Construct, metaclass=jsii.JSIIAbstractClass):
    """A fleet that callers and operators can be granted: an `AdapterFleet`, or one of another app."""

    fleet_uid: str
    """Identifies the fleet: value of the tag `fleet-uid` on its components."""
    endpoint: MultiAdapterEndpointBase
    component_prefix: str
    registry: dynamodb.ITable | None
    """The table that holds the fleet's state."""
    state_machine: sfn.IStateMachine | None
    """The state machine that brings the fleet to what its manifest says."""
    _manifest_object: ManifestObject | None = None

    def component_name(self, adapter: str) -> str:
        """Return the name of an adapter's component, which callers put into their requests.

        Raises ValueError for an adapter that is known not to be in the fleet. Where the manifest is not known
        at synth, as it is in S3 or the fleet another app's, that is `<prefix>-<adapter>`: for an adapter
        to which such a manifest gives a `component`, that is its name.
        """
        with told_of(self):
            names = self._component_names
            if names is not None:
                if adapter not in names:
                    raise _unknown("adapter", adapter, names)
                return names[adapter]
            if TOKEN in self.component_prefix or TOKEN in adapter:
                return f"{self.component_prefix}-{adapter}"
            return component_name(self.component_prefix, adapter)

    def adapter(self, name: str, *, component_name: str | None = None) -> FleetMember:
        """Return an adapter of the fleet, to grant its use and for the metrics of its component.

        component_name:
            That of its component, where it is not the one that `component_name()` tells.
        """
        if component_name is None:
            return FleetMember(fleet=self, component_name=self.component_name(name))
        self._check_component("component_name", component_name)
        if self._component_names is not None and (told := self.component_name(name)) != component_name:
            raise ValueError(
                f"'{self.node.path}': 'component_name' should be {told!r}, which the manifest gives {name!r},"
                f" got {component_name!r}"
            )
        return FleetMember(fleet=self, component_name=component_name)

    def grant_invoke(
        self,
        grantee: iam.IGrantable,
        *,
        adapters: Sequence[str] | None = None,
        components: Sequence[str] | None = None,
    ) -> iam.Grant:
        """Let `grantee` send requests to all adapters of the fleet, or to those that are named.

        All of them are told by the fleet's tag, whatever the manifest will hold. Not an isolation of tenants:
        the container lets a request to one adapter name another in its body.

        adapters:
            By their names; see `component_name` for those of a manifest that is not known at synth.
        components:
            By the names of their components.
        """
        if adapters is None and components is None:
            endpoint = grant_invoke(grantee, self.endpoint.endpoint_arn)
            return endpoint.combine(
                iam.Grant.add_to_principal(
                    grantee=grantee,
                    actions=list(INVOKE_ACTIONS),
                    resource_arns=[component_arn(self, "*")],
                    conditions={"StringEquals": {f"aws:ResourceTag/{FLEET_TAG}": self.fleet_uid}},
                )
            )
        with told_of(self):
            for setting, named in {"adapters": adapters, "components": components}.items():
                if named is not None:
                    check_names(setting, named)
        names = [self.component_name(adapter) for adapter in adapters or ()]
        for component in components or ():
            self._check_component("components", component)
            names.append(component)
        if len(names) > MOST_NAMED_GRANTS:
            raise ValueError(
                f"'{self.node.path}': 'adapters' and 'components' should name at most {MOST_NAMED_GRANTS}, as"
                f" a role's policies hold no more, got {len(names)}: leave them out for the whole fleet,"
                f" whose components have the tag {FLEET_TAG!r}, or grant by a tag of your own"
            )
        arns = dict.fromkeys(arn for name in names for arn in self._spellings(name))
        return grant_invoke(grantee, self.endpoint.endpoint_arn, *arns)

    def grant_read(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let `grantee` see how the fleet is: `adapters status`, `history` and `plan`.

        `plan` looks for archives under the endpoint's `artifact_sources`.
        """
        return self._operated("read").grant_read(grantee)

    def grant_manage(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let `grantee` use the `adapters` command: see the fleet's state, give orders, apply a manifest.

        It may change no component, no generation and no history itself. `adapters plan` and `import`
        read archives under the endpoint's `artifact_sources`.
        """
        operated = self._operated("managed")
        if self.state_machine is None:
            raise ValueError(
                f"fleet '{self.node.path}' should be imported with 'state_machine' to be managed, got None"
            )
        return operated.grant_manage(grantee, self.state_machine)

    def metric(self, metric_name: str, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the fleet's metric of that name; the statistic is the average by default."""
        return cloudwatch.Metric(
            namespace=METRICS_NAMESPACE,
            metric_name=metric_name,
            dimensions_map={"Fleet": self.fleet_uid},
            **options,
        )

    def metric_desired(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of adapters in the manifest."""
        options.setdefault("statistic", cloudwatch.Stats.MAXIMUM)
        return self.metric("Desired", **options)

    def metric_in_service(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of adapters that serve the version of the manifest."""
        options.setdefault("statistic", cloudwatch.Stats.MINIMUM)
        return self.metric("InService", **options)

    def metric_failed(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of adapters whose version of the manifest does not serve, and why is known."""
        options.setdefault("statistic", cloudwatch.Stats.MAXIMUM)
        return self.metric("Failed", **options)

    def metric_pending(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of adapters that are on their way."""
        options.setdefault("statistic", cloudwatch.Stats.MAXIMUM)
        return self.metric("Pending", **options)

    def metric_convergence_age(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return for how many seconds the fleet has not been what its manifest says; 0 when it is."""
        options.setdefault("statistic", cloudwatch.Stats.MAXIMUM)
        return self.metric("ConvergenceAge", **options)

    def metric_throttles(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return how many calls SageMaker throttled."""
        options.setdefault("statistic", cloudwatch.Stats.SUM)
        return self.metric("Throttles", **options)

    def metric_rejected(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of manifests that were refused, or taken back as too many adapters failed."""
        options.setdefault("statistic", cloudwatch.Stats.SUM)
        return self.metric("Rejected", **options)

    def metric_drifted(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of adapters that someone changed by hand, as the last drift check found."""
        options.setdefault("statistic", cloudwatch.Stats.MAXIMUM)
        return self.metric("Drifted", **options)

    def metric_orphans(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of components with the fleet's tag that no manifest wants."""
        options.setdefault("statistic", cloudwatch.Stats.MAXIMUM)
        return self.metric("Orphans", **options)

    def metric_failed_passes(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return how many passes in a row ended in trouble: the fleet stands still while they do."""
        options.setdefault("statistic", cloudwatch.Stats.MAXIMUM)
        return self.metric("FailedPasses", **options)

    @property
    @abstractmethod
    def _component_names(self) -> Mapping[str, str] | None:
        """The names of components by adapter; None where the manifest is not known at synth."""

    def _check_component(self, setting: str, component: str) -> None:
        """Raise ValueError unless it may be the name of a component of this fleet."""
        with told_of(self):
            names = self._component_names
            if names is not None and component not in names.values():
                raise _unknown(setting, component, names.values())
            if TOKEN not in component:
                check_component_name(component, what=setting)

    def _operated(self, doing: str) -> OperatedFleet:
        if self.registry is None:
            raise ValueError(
                f"fleet '{self.node.path}' should be imported with 'registry' to be {doing}, got None"
            )
        manifest = self._manifest_object
        return OperatedFleet(
            registry=self.registry,
            stacks=self._stacks,
            components=component_arn(self, "*"),
            manifest=None if manifest is None else (manifest.bucket, manifest.key),
            archives=self.endpoint.artifact_sources or (),
        )

    @property
    def _stacks(self) -> Sequence[str]:
        """The ARNs of the stacks by whose names the fleet is found."""
        return []

    def _spellings(self, name: str) -> Sequence[str]:
        """Return the ARN of a component in every spelling that IAM may compare with.

        SageMaker has names in lower case there, as far as is known.
        """
        if TOKEN in name:
            return [component_arn(self, name)]
        return [component_arn(self, spelling) for spelling in dict.fromkeys((name.lower(), name))]


@checked
@dataclass(frozen=True, kw_only=True)
class FleetMember(ComponentMetrics):
    """One adapter of a fleet. Made by `AdapterFleetBase.adapter`."""

    fleet: AdapterFleetBase
    component_name: str
    """What callers put into their requests."""

    def grant_invoke(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let `grantee` send requests to this adapter, and to no other component of the endpoint.

        Not an isolation of tenants: the container lets a request to one adapter name another in its body.
        """
        return self.fleet.grant_invoke(grantee, components=[self.component_name])


class FleetOptions(TypedDict, total=False):
    """What a fleet may be given beside its endpoint and its manifest; see `AdapterFleet`."""

    failure_policy: FailurePolicy | None
    deletion_guard: DeletionGuard | None
    update_mode: UpdateMode
    request_rate: float
    timeout: Duration
    on_timeout: OnTimeout
    smoke_test: SmokeTest | None
    drift_check: DriftCheck | None
    allow_base_replacement: bool
    component_prefix: str | None
    registry_removal_policy: RemovalPolicy
    encryption_key: kms.IKey | None
    log_retention: logs.RetentionDays
    vpc: ec2.IVpc | None
    vpc_subnets: ec2.SubnetSelection | None
    security_groups: Sequence[ec2.ISecurityGroup]
    fleet_uid: str | None


@checked
@jsii.implements(ITaggableV2)
class AdapterFleet(AdapterFleetBase):
    """A fleet of adapters on an endpoint: one resource of the stack, whatever their number.

    A deployment brings the endpoint's adapters to what the manifest says: those that are new are created,
    those with another artifact updated, those that are gone deleted; the rest is not touched. One that fails
    leaves the others alone.

    endpoint, manifest:
        Where the adapters run, and which there are.
    failure_policy:
        How many of the changed adapters may fail before the deployment does; by default 5 %, rounded down.
    deletion_guard:
        How much of the fleet a deployment may delete; by default 20 % of more than 10, and never all.
    update_mode:
        What to do where the container refuses to update an adapter in place.
    request_rate:
        Writes a second to SageMaker at most. It is lowered for a while where SageMaker throttles.
    timeout, on_timeout:
        How long a deployment waits for its adapters, at most 55 minutes, and how it ends then.
    smoke_test:
        A request for the adapters that have none in the manifest. In service is believed after it.
    drift_check:
        How often to look for changes made by hand; never by default.
    allow_base_replacement:
        Whether the fleet may follow to another endpoint or base model: every adapter is then created again.
    component_prefix:
        Begins the names of the components, `<prefix>-<adapter>`; that of the endpoint by default. Fleets
        of one endpoint need different ones where their adapters have the same names. Another prefix gives
        every adapter a new component, which answers before the fleet deletes the old one.
    registry_removal_policy:
        What becomes of the fleet's table, with the histories in it, when the fleet is deleted.
    encryption_key:
        Encrypts the table, the logs, the functions' environment variables and the queue of events that they
        failed to handle; keys of AWS by default.
    log_retention:
        For how long the logs of the functions and of the state machines are kept.
    vpc, vpc_subnets, security_groups:
        The network of the functions; AWS's own by default. docs/guides/security.md lists the services that
        they have to reach from there.
    fleet_uid:
        The identifier that the fleet had, for one whose construct was moved or renamed while the logical ids
        of its resources were kept; see docs/guides/fleets.md. By default it is made of the construct's path
        and the stack, so each deployment of an app has others.
    """

    registry: dynamodb.ITable
    state_machine: sfn.IStateMachine

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        endpoint: MultiAdapterEndpointBase,
        manifest: AdapterManifest,
        failure_policy: FailurePolicy | None = None,
        deletion_guard: DeletionGuard | None = None,
        update_mode: UpdateMode = UpdateMode.IN_PLACE,
        request_rate: float = 5.0,
        timeout: Duration = _DEFAULT_TIMEOUT,
        on_timeout: OnTimeout = OnTimeout.SUCCEED,
        smoke_test: SmokeTest | None = None,
        drift_check: DriftCheck | None = None,
        allow_base_replacement: bool = False,
        component_prefix: str | None = None,
        registry_removal_policy: RemovalPolicy = RemovalPolicy.DESTROY,
        encryption_key: kms.IKey | None = None,
        log_retention: logs.RetentionDays = LOGS_KEPT,
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
        security_groups: Sequence[ec2.ISecurityGroup] = (),
        fleet_uid: str | None = None,
    ) -> None:
        super().__init__(scope, id)
        with told_of(self):
            check_same_environment(self, endpoint)
            timeout_seconds = whole_seconds("timeout", timeout)
            settings = FleetSettings(
                failures=(failure_policy or FailurePolicy()).limit,
                deletions=(deletion_guard or DeletionGuard()).limit,
                update_mode=update_mode,
                request_rate=request_rate,
                timeout_seconds=timeout_seconds,
                on_timeout=on_timeout,
                drift=None if drift_check is None else drift_check.action,
                allow_base_replacement=allow_base_replacement,
                max_lora_rank=None if endpoint.lora is None else endpoint.lora.max_lora_rank,
                base_model=None if endpoint.base_model_facts is None else endpoint.base_model_facts.name,
                smoke=None if smoke_test is None else smoke_test.request(),
            )
            functions = FunctionSettings(
                encryption_key=encryption_key,
                log_retention=log_retention,
                vpc=vpc,
                vpc_subnets=vpc_subnets,
                security_groups=security_groups,
            )
            if fleet_uid is not None and not holds_token(fleet_uid):
                check_fleet_uid(fleet_uid)
                claim_fleet_uid(self, fleet_uid, endpoint=endpoint)
            self.component_prefix = _prefix_of(endpoint, component_prefix)
            bound = manifest.bind(self, endpoint, self.component_prefix)
        self.endpoint = endpoint
        self._tags = TagManager(TagType.MAP, "Custom::AdapterFleet")
        self._names = bound.component_names
        self._adapter_tags = bound.adapter_tags
        self._manifest_object = bound.object
        if bound.component_names is not None:
            warn_of_adapters_on_disk(self, len(bound.component_names), endpoint.lora)
        if TOKEN not in self.component_prefix:
            if bound.component_names is not None:
                claim_checked(self, bound.component_names.values(), endpoint=endpoint)
            if bound.object is not None:
                claim_manifest(
                    self,
                    endpoint=endpoint,
                    prefix=self.component_prefix,
                    bucket_name=bound.object.bucket.bucket_name,
                    key=bound.object.key,
                )

        stack = Stack.of(self)
        # The end of the stack's ARN makes it another one for every deployment of the same app.
        uid = fleet_uid or Fn.join("-", [self.node.addr[:8], Fn.select(2, Fn.split("/", stack.stack_id))])
        kept = _kept(self, bound, uid)
        name = self.node.path.removeprefix(stack.node.path).removeprefix("/")
        self._control = ControlPlane(
            self,
            uid=uid,
            name=name,
            endpoint_arn=endpoint.endpoint_arn,
            timeout_seconds=timeout_seconds,
            registry_removal_policy=registry_removal_policy,
            functions=functions,
            reads_manifest=_reads_manifest(self, bound),
            reads_artifacts=[
                *_reads_artifacts(self, bound, endpoint),
                *_keeps_archives(self, bound, kept),
            ],
            watches_object=bound.object is not None,
        )
        self.registry = self._control.registry
        self.state_machine = self._control.state_machine
        self._decrypt(bound, endpoint)

        base_model, hosting = endpoint.base_model_for(self), endpoint.hosting_for(self)
        self._resource = CustomResource(
            self,
            "Resource",
            resource_type="Custom::AdapterFleet",
            service_token=self._control.provider.service_token,
            service_timeout=answer_timeout(Duration.seconds(timeout_seconds)),
            removal_policy=RemovalPolicy.DESTROY,
            properties={
                "FleetUid": uid,
                "FleetName": name,
                "EndpointName": endpoint.endpoint_name,
                "BaseComponentName": endpoint.base_component_name,
                "ComponentPrefix": self.component_prefix,
                # So that the fleet is told of another base model, which may have lost its adapters.
                **({} if base_model is None else {"BaseModelName": base_model}),
                **({"Hosting": hosting} if hosting else {}),
                "Settings": json.dumps(unstructured(settings), sort_keys=True),
                # At the end of synth, as aspects add tags.
                "Tags": Lazy.any(_TagsOf(self)),
                "StackTagsLeftOut": Lazy.any(_TagsLeftOut(self)),
                **bound.properties,
                # Apart, as stacks that are made of the same construct have the same beginning.
                **({} if kept is None else {"KeptArchives": f"s3://{kept}{uid}/"}),
            },
        )
        # Created after all that it needs, and so deleted before.
        self._resource.node.add_dependency(*endpoint.adapters_depend_on, *self._control.parts)
        if bound.object is not None:
            self._watch(bound.object)
        if drift_check is not None:
            self._check_for_drift(drift_check)
        # The physical id of the resource is the identifier: who is granted waits until the fleet is there.
        self.fleet_uid = self._resource.ref
        self.node.add_validation(_FleetValidation(self))

    @classmethod
    def from_fleet_attributes(
        cls,
        scope: Construct,
        id: str,
        *,
        fleet_uid: str,
        endpoint: MultiAdapterEndpointBase,
        component_prefix: str | None = None,
        registry: dynamodb.ITable | None = None,
        state_machine: sfn.IStateMachine | None = None,
        stack_name: str | None = None,
        manifest_bucket: s3.IBucket | None = None,
        manifest_key: str | None = None,
    ) -> AdapterFleetBase:
        """Return a fleet of this account and region that another app made.

        To grant what the `adapters` command needs, `registry` has to be given, for `grant_manage` also
        `state_machine`; `stack_name` lets it find the fleet by the stack, and `manifest_bucket` and
        `manifest_key` let it apply a manifest in S3.
        """
        return _ImportedFleet(
            scope,
            id,
            fleet_uid=fleet_uid,
            endpoint=endpoint,
            component_prefix=component_prefix,
            registry=registry,
            state_machine=state_machine,
            stack_name=stack_name,
            manifest_bucket=manifest_bucket,
            manifest_key=manifest_key,
        )

    @property
    def cdk_tag_manager(self) -> TagManager:
        """What `Tags.of(…).add` gives to every component of the fleet."""
        return self._tags

    @property
    def component_tags(self) -> dict[str, str]:
        """The tags that components get from the app: those of the stack and of `Tags.of(…).add`.

        Those of `cdk deploy --tags` come with a deployment.
        """
        inherited: dict[str, str] = {}
        stack: Stack | None = Stack.of(self)
        while stack is not None:
            inherited = {**stack.tags.tag_values(), **inherited}
            stack = stack.nested_stack_parent
        removed = self._removed_tags
        kept = {key: value for key, value in inherited.items() if key not in removed}
        return {**kept, **self._tags.tag_values()}

    @property
    def _removed_tags(self) -> set[str]:
        """The keys that `Tags.of(…).remove` took off the fleet, which no tag manager tells."""
        return {
            aspect.key
            for scope in self.node.scopes
            for aspect in Aspects.of(scope).all
            if isinstance(aspect, RemoveTag)
        }

    @property
    def summary(self) -> str:
        """What became of the last deployment, in a text that names failed adapters and why they failed."""
        return self._resource.get_att_string("Summary")

    @property
    def desired_count(self) -> str:
        """The number of adapters in the manifest, as the last deployment found it."""
        return self._resource.get_att_string("Desired")

    @property
    def in_service_count(self) -> str:
        """The number of adapters in service at the end of the last deployment."""
        return self._resource.get_att_string("InService")

    @property
    def failed_count(self) -> str:
        """The number of adapters that had failed at the end of the last deployment."""
        return self._resource.get_att_string("Failed")

    @property
    def pending_count(self) -> str:
        """The number of adapters that were on their way at the end of the last deployment."""
        return self._resource.get_att_string("Pending")

    @property
    def orphan_count(self) -> str:
        """The number of components with the fleet's tag that no manifest wants, after the last deployment."""
        return self._resource.get_att_string("Orphans")

    @cached_property
    def standstill_alarm(self) -> cloudwatch.Alarm:
        """An alarm for a fleet that stands still, as its passes keep failing; part of the stack once used.

        It counts passes that ended in trouble, and those that ended their function. Give it an action with
        `add_alarm_action`.
        """
        period = Duration.minutes(5)
        passes = self.metric_failed_passes(period=period)
        errors = self._control.run_pass.metric_errors(period=period)
        failing = cloudwatch.MathExpression(
            expression="MAX([FILL(passes, 0), FILL(errors, 0)])",
            using_metrics={"passes": passes, "errors": errors},
            label="failed passes",
            period=period,
        )
        return failing.create_alarm(
            self,
            "Standstill",
            alarm_description=f"Passes of the fleet {self.node.path} keep failing",
            threshold=STANDSTILL_PASSES,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.IGNORE,
        )

    def apply_removal_policy(self, policy: RemovalPolicy) -> None:
        """Decide what becomes of the adapters when the fleet is removed from its stack.

        They can be kept only while the base model that they need is in another stack.
        """
        self._resource.apply_removal_policy(policy)

    def metric_lost_events(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of events that the fleet's functions failed to handle, for 14 days."""
        options.setdefault("statistic", cloudwatch.Stats.MAXIMUM)
        return self._control.dead_letters.metric_approximate_number_of_messages_visible(**options)

    @cached_property
    def lost_events_alarm(self) -> cloudwatch.Alarm:
        """An alarm for events that the fleet's functions failed to handle; part of the stack once used.

        The events are in the fleet's dead-letter queue. Give it an action with `add_alarm_action`.
        """
        return self.metric_lost_events().create_alarm(
            self,
            "LostEvents",
            alarm_description=f"Events that the fleet {self.node.path} failed to handle",
            threshold=1,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )

    @property
    def _component_names(self) -> Mapping[str, str] | None:
        return self._names

    @property
    def _stacks(self) -> Sequence[str]:
        stack: Stack | None = Stack.of(self)
        arns = []
        while stack is not None:
            arns.append(_stack_arn(stack, stack.stack_name))
            stack = stack.nested_stack_parent
        return arns

    def _decrypt(self, bound: BoundManifest, endpoint: MultiAdapterEndpointBase) -> None:
        """Let the functions use the keys of the buckets that they read."""
        if bound.object is not None and bound.object.bucket.encryption_key is not None:
            for role in self._control.roles_that_read_manifests:
                bound.object.bucket.encryption_key.grant_decrypt(role)
        for source in endpoint.artifact_sources or ():
            if source.bucket.encryption_key is not None:
                source.bucket.encryption_key.grant_decrypt(self._control.run_pass)

    def _watch(self, manifest: ManifestObject) -> None:
        """Take every new version of the manifest in S3."""
        if manifest.enable_events:
            manifest.bucket.enable_event_bridge_notification()
            acknowledge_notifications_handler(self)
        assert self._control.manifest_object is not None  # made for this
        rule = events.Rule(
            self,
            "ManifestChanged",
            description=f"A new manifest for the fleet {self.node.path}",
            event_pattern=events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={
                    "bucket": {"name": [manifest.bucket.bucket_name]},
                    "object": {"key": [manifest.key]},
                },
            ),
            targets=[
                targets.LambdaFunction(
                    self._control.manifest_object,
                    retry_attempts=_EVENT_RETRIES,
                    max_event_age=_EVENT_AGE,
                    # For events that never reach the function; it has the queue itself for those that fail.
                    dead_letter_queue=self._control.dead_letters,
                )
            ],
        )
        # Before the fleet: a version that arrives while the first deployment still goes on is not missed.
        self._resource.node.add_dependency(rule)
        if manifest.reread_every is not None:
            events.Rule(
                self,
                "ManifestReread",
                description=f"Looks for a manifest whose event was lost, for the fleet {self.node.path}",
                schedule=events.Schedule.rate(manifest.reread_every),
                targets=[
                    targets.LambdaFunction(
                        self._control.manifest_object,
                        event=events.RuleTargetInput.from_object({"trigger": "schedule"}),
                        # The next one comes anyway.
                        retry_attempts=0,
                    )
                ],
            ).node.add_dependency(self._resource)

    def _check_for_drift(self, check: DriftCheck) -> None:
        rule = events.Rule(
            self,
            "DriftCheck",
            description=f"Looks for changes made by hand to the fleet {self.node.path}",
            schedule=events.Schedule.rate(check.every),
            targets=[
                targets.SfnStateMachine(
                    self._control.state_machine,
                    input=events.RuleTargetInput.from_object(
                        {"trigger": "drift", "requested_at": events.EventField.time}
                    ),
                    retry_attempts=_EVENT_RETRIES,
                    max_event_age=_EVENT_AGE,
                )
            ],
        )
        rule.node.add_dependency(self._resource)


@jsii.implements(IStableAnyProducer)
class _TagsOf:
    """The tags of a fleet's components: those of its stack, as a native resource has them, and its own.

    The function reads those of the stack as well, as `cdk deploy --tags` gives them no synth. That those
    known here are a property makes a change of them an update of the fleet.
    """

    def __init__(self, fleet: AdapterFleet) -> None:
        self._fleet = fleet

    def produce(self) -> dict[str, str] | None:
        return self._fleet.component_tags or None


@jsii.implements(IStableAnyProducer)
class _TagsLeftOut:
    """The keys of tags of the stack that components do not get."""

    def __init__(self, fleet: AdapterFleet) -> None:
        self._fleet = fleet

    def produce(self) -> list[str] | None:
        return sorted(self._fleet._removed_tags) or None


@jsii.implements(IValidation)
class _FleetValidation:
    """What is known only when the whole app is there, aspects included."""

    def __init__(self, fleet: AdapterFleet) -> None:
        self._fleet = fleet

    def validate(self) -> list[str]:
        return [*self._of_removal(), *self._of_tags()]

    def _of_removal(self) -> list[str]:
        fleet, endpoint = self._fleet, self._fleet.endpoint
        if not (isinstance(endpoint, MultiAdapterEndpoint) and deployed_together(endpoint, fleet)):
            return []
        if not _is_kept(fleet._resource) or all(map(_is_kept, endpoint.needed_by_adapters)):
            return []
        return [
            f"the fleet '{fleet.node.path}' should not be retained while the base model of its adapters is in"
            " the same stack and is not, as that cannot be deleted before them; retain both, as"
            " RemovalPolicies.of(stack).retain() does, move one to another stack, or keep the registry alone"
            " with 'registry_removal_policy'"
        ]

    def _of_tags(self) -> list[str]:
        fleet = self._fleet
        tags = fleet.component_tags
        if wrong := [
            f"the tag {key!r:.80} of the fleet '{fleet.node.path}': {problem}"
            for key, value in tags.items()
            # A value that the deployment will know may be right; its key can be checked all the same.
            if not holds_token(key) and (problem := problem_of_tag(key, "" if holds_token(value) else value))
        ]:
            return wrong
        if problem := problem_of_tag_count({}, tags):
            return [f"the tags of the components of '{fleet.node.path}' {problem}"]
        return [
            f"the tags of adapter {name!r} of the fleet '{fleet.node.path}' {problem}"
            for name, own in fleet._adapter_tags.items()
            if (problem := problem_of_tag_count(own, tags))
        ]


def _is_kept(construct: IConstruct) -> bool:
    """Tell whether a resource stays when its stack is deleted."""
    resource = construct.node.default_child or construct
    return isinstance(resource, CfnResource) and resource.cfn_options.deletion_policy in _KEPT


class _ImportedFleet(AdapterFleetBase):
    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        fleet_uid: str,
        endpoint: MultiAdapterEndpointBase,
        component_prefix: str | None,
        registry: dynamodb.ITable | None,
        state_machine: sfn.IStateMachine | None,
        stack_name: str | None,
        manifest_bucket: s3.IBucket | None,
        manifest_key: str | None,
    ) -> None:
        super().__init__(scope, id)
        with told_of(self):
            self.component_prefix = _prefix_of(endpoint, component_prefix)
            if (manifest_bucket is None) != (manifest_key is None):
                given = "manifest_bucket" if manifest_key is None else "manifest_key"
                raise ValueError(
                    f"'manifest_bucket' and 'manifest_key' should be given together, got '{given}' alone"
                )
            if manifest_bucket is not None and manifest_key is not None:
                self._manifest_object = ManifestObject(
                    bucket=manifest_bucket, key=manifest_key, enable_events=False
                )
        self.fleet_uid = fleet_uid
        self.endpoint = endpoint
        self.registry = registry
        self.state_machine = state_machine
        self._stack_name = stack_name

    @property
    def _component_names(self) -> None:
        return None

    @property
    def _stacks(self) -> Sequence[str]:
        return [] if self._stack_name is None else [_stack_arn(self, self._stack_name)]


def _prefix_of(endpoint: MultiAdapterEndpointBase, given: str | None) -> str:
    """Return what the names of a fleet's components begin with; ValueError where that cannot be."""
    prefix = endpoint.component_prefix if given is None else given
    if TOKEN not in prefix:
        check_component_prefix(prefix)
    return prefix


def _unknown(setting: str, name: object, known: Collection[str]) -> ValueError:
    close = difflib.get_close_matches(str(name), known, n=1)
    others = f"{len(known)} other{'' if len(known) == 1 else 's'}" if known else "none"
    hint = f"did you mean {close[0]!r}?" if close else f"it has {others}"
    return ValueError(f"'{setting}' should be in the fleet's manifest ({hint}), got {name!r}")


def _stack_arn(scope: Construct, name: str) -> str:
    stack = Stack.of(scope)
    return stack.format_arn(service="cloudformation", resource="stack", resource_name=f"{name}/*")


def _reads_manifest(scope: Construct, bound: BoundManifest) -> list[iam.PolicyStatement]:
    if bound.object is not None:
        bucket, key = bound.object.bucket, bound.object.key
        return [
            _allow(["s3:GetObject"], bucket.arn_for_objects(key)),
            # Without it, an object that is not there yet looks like one that may not be read.
            _allow(["s3:ListBucket"], bucket.bucket_arn),
        ]
    assert bound.asset is not None  # one of the two
    # All of them: a rollback reads the one before.
    statements = [_allow(["s3:GetObject"], MANIFESTS.objects_arn(scope, bound.asset))]
    if bound.asset.kms_key_arn is not None:
        statements.append(_allow(["kms:Decrypt"], bound.asset.kms_key_arn))
    return statements


def _reads_artifacts(
    scope: Construct, bound: BoundManifest, endpoint: MultiAdapterEndpointBase
) -> list[iam.PolicyStatement]:
    objects = [
        *([] if bound.asset is None else [ADAPTER_ARCHIVES.objects_arn(scope, bound.asset)]),
        *(
            [source.bucket.arn_for_objects(f"{source.prefix}*") for source in endpoint.artifact_sources]
            if endpoint.artifact_sources is not None
            else [f"arn:{Stack.of(scope).partition}:s3:::{name}/*" for name in bound.bucket_names]
        ),
    ]
    # Without the second, an archive that is not there looks like one that may not be read.
    buckets = (
        [source.bucket.bucket_arn for source in endpoint.artifact_sources]
        if endpoint.artifact_sources is not None
        else [f"arn:{Stack.of(scope).partition}:s3:::{name}" for name in bound.bucket_names]
    )
    return [
        *([_allow(["s3:GetObject"], *objects)] if objects else []),
        *([_allow(["s3:ListBucket"], *dict.fromkeys(buckets))] if buckets else []),
    ]


def _kept(scope: Construct, bound: BoundManifest, uid: str) -> str | None:
    """Return the beginning of the fleet's own copies of its archives, `<bucket>/<key>`.

    None for a manifest in S3, whose archives are in buckets of the user.
    """
    if bound.asset is None:
        return None
    # As the beginning of a minted identifier, which a fleet that is moved gets as `fleet_uid`.
    name = scope.node.addr[:8] if holds_token(uid) else uid[:8]
    return ADAPTER_ARCHIVES.kept(bound.asset, f"fleet-{name}")


def _keeps_archives(scope: Construct, bound: BoundManifest, kept: str | None) -> list[iam.PolicyStatement]:
    if kept is None or bound.asset is None:
        return []
    arn = f"arn:{Stack.of(scope).partition}:s3:::"
    statements = [
        _allow(["s3:PutObject"], f"{arn}{kept}*"),
        # Without it, a copy that is still to be made looks like one that may not be read.
        _allow(["s3:ListBucket"], f"{arn}{bound.asset.bucket_name}"),
    ]
    if bound.asset.kms_key_arn is not None:
        statements.append(_allow(["kms:Decrypt", "kms:GenerateDataKey"], bound.asset.kms_key_arn))
    return statements


def _allow(actions: Sequence[str], *resources: str) -> iam.PolicyStatement:
    return iam.PolicyStatement(actions=actions, resources=list(resources))
