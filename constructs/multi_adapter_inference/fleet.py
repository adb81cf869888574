"""A fleet of adapters, kept equal to a manifest."""

from __future__ import annotations

import difflib
import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Unpack

import jsii
from aws_cdk import (
    CfnDeletionPolicy,
    CfnResource,
    CustomResource,
    Duration,
    Fn,
    ITaggableV2,
    RemovalPolicy,
    Stack,
    TagManager,
    TagType,
)
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct, IValidation

from adapter_fleet.converter import unstructured
from adapter_fleet.fleet_settings import (
    LONGEST_TIMEOUT_SECONDS,
    FleetSettings,
    OnTimeout,
    UpdateMode,
)
from adapter_fleet.names import FLEET_TAG
from multi_adapter_inference.acknowledgement import acknowledge_notifications_handler
from multi_adapter_inference.artifact import ADAPTER_ARCHIVES
from multi_adapter_inference.component_names import TOKEN, claim_checked
from multi_adapter_inference.control_plane import (
    METRICS_NAMESPACE,
    REGISTRY_ACTIONS,
    ControlPlane,
    component_arn,
)
from multi_adapter_inference.endpoint import MultiAdapterEndpoint, MultiAdapterEndpointBase
from multi_adapter_inference.errors import told_of
from multi_adapter_inference.fleet_policies import DeletionGuard, DriftCheck, FailurePolicy
from multi_adapter_inference.manifest import (
    MANIFESTS,
    AdapterManifest,
    BoundManifest,
    ManifestObject,
    SmokeTest,
)
from multi_adapter_inference.provider import answer_timeout

if TYPE_CHECKING:
    from multi_adapter_inference.metrics import MetricOptions

MOST_NAMED_GRANTS = 50
"""A thousand names fill 26 managed policies, and a role may have ten."""

_INVOKE = ("sagemaker:InvokeEndpoint", "sagemaker:InvokeEndpointWithResponseStream")
_LONGEST_TIMEOUT = Duration.seconds(LONGEST_TIMEOUT_SECONDS)
_DEFAULT_TIMEOUT = Duration.minutes(50)
_KEPT = (CfnDeletionPolicy.RETAIN, CfnDeletionPolicy.RETAIN_EXCEPT_ON_CREATE)
_EVENT_RETRIES = 24
_EVENT_AGE = Duration.hours(2)


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

        Raises ValueError for an adapter that is known not to be in the fleet.
        """
        names = self._component_names
        if names is None:
            return f"{self.component_prefix}-{adapter}"
        if adapter not in names:
            close = difflib.get_close_matches(adapter, names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it has {len(names)} others"
            raise ValueError(
                f"'adapter' should be in the manifest of fleet '{self.node.path}' ({hint}), got {adapter!r}"
            )
        return names[adapter]

    def grant_invoke(self, grantee: iam.IGrantable, *, adapters: Sequence[str] | None = None) -> iam.Grant:
        """Let `grantee` send requests to all adapters of the fleet, or to those of `adapters`.

        All of them are told by the fleet's tag, whatever the manifest will hold. Not an isolation of tenants:
        the container lets a request to one adapter name another in its body.
        """
        if adapters is None:
            endpoint = iam.Grant.add_to_principal(
                grantee=grantee, actions=list(_INVOKE), resource_arns=[self.endpoint.endpoint_arn]
            )
            return endpoint.combine(
                iam.Grant.add_to_principal(
                    grantee=grantee,
                    actions=list(_INVOKE),
                    resource_arns=[component_arn(self, "*")],
                    conditions={"StringEquals": {f"aws:ResourceTag/{FLEET_TAG}": self.fleet_uid}},
                )
            )
        if len(adapters) > MOST_NAMED_GRANTS:
            raise ValueError(
                f"'adapters' should name at most {MOST_NAMED_GRANTS}, as a role's policies hold no more, got"
                f" {len(adapters)}: leave it out for the whole fleet, whose components have the tag"
                f" {FLEET_TAG!r}, or grant by a tag of your own"
            )
        arns = [arn for adapter in adapters for arn in self._spellings(self.component_name(adapter))]
        return iam.Grant.add_to_principal(
            grantee=grantee, actions=list(_INVOKE), resource_arns=[self.endpoint.endpoint_arn, *arns]
        )

    def grant_manage(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let `grantee` use the `adapters` command: see the fleet's state, give orders, apply a manifest."""
        if self.registry is None or self.state_machine is None:
            raise ValueError(
                f"fleet '{self.node.path}' should be imported with 'registry' and 'state_machine' to be"
                " managed, got None"
            )

        def grant(actions: Sequence[str], *arns: str) -> iam.Grant:
            return iam.Grant.add_to_principal(
                grantee=grantee, actions=list(actions), resource_arns=list(arns)
            )

        granted = grant(REGISTRY_ACTIONS, self.registry.table_arn)
        granted = granted.combine(grant(["states:StartExecution"], self.state_machine.state_machine_arn))
        granted = granted.combine(grant(["sagemaker:ListInferenceComponents"], "*"))
        granted = granted.combine(
            grant(["sagemaker:DescribeInferenceComponent", "sagemaker:ListTags"], component_arn(self, "*"))
        )
        for stack in self._stacks:
            granted = granted.combine(grant(["cloudformation:ListStackResources"], stack))
        if self._manifest_object is not None:
            bucket, key = self._manifest_object.bucket, self._manifest_object.key
            granted = granted.combine(grant(["s3:GetObject", "s3:PutObject"], bucket.arn_for_objects(key)))
            granted = granted.combine(grant(["s3:ListBucket"], bucket.bucket_arn))
            if bucket.encryption_key is not None:
                granted = granted.combine(bucket.encryption_key.grant_encrypt_decrypt(grantee))
        return granted

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

    def metric_drifted(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of adapters that someone changed by hand, as the last drift check found."""
        options.setdefault("statistic", cloudwatch.Stats.MAXIMUM)
        return self.metric("Drifted", **options)

    @property
    @abstractmethod
    def _component_names(self) -> Mapping[str, str] | None:
        """The names of components by adapter; None where the manifest is not known at synth."""

    @property
    def _stacks(self) -> Sequence[str]:
        """The ARNs of the stacks by whose names the fleet is found; none for one of another app."""
        return []

    def _spellings(self, name: str) -> Sequence[str]:
        """Return the ARN of a component in every spelling that IAM may compare with.

        SageMaker has names in lower case there, as far as is known.
        """
        if TOKEN in name:
            return [component_arn(self, name)]
        return [component_arn(self, spelling) for spelling in dict.fromkeys((name.lower(), name))]


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
        Whether the fleet may follow to another endpoint or base model: every adapter is then made anew.
    component_prefix:
        Begins the names of the components, `<prefix>-<adapter>`; that of the endpoint by default. Fleets
        of one endpoint need different ones where their adapters have the same names.
    registry_removal_policy:
        What becomes of the fleet's table, with the histories in it, when the fleet is deleted.
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
    ) -> None:
        super().__init__(scope, id)
        self.endpoint = endpoint
        self.component_prefix = component_prefix or endpoint.component_prefix
        self._tags = TagManager(TagType.MAP, "Custom::AdapterFleet")
        with told_of(self):
            if timeout.is_unresolved() or timeout.to_seconds() > LONGEST_TIMEOUT_SECONDS:
                raise ValueError(
                    f"'timeout' should be at most {_LONGEST_TIMEOUT.to_human_string()}, as CloudFormation"
                    " waits an hour for a custom resource, got"
                    f" {'a token' if timeout.is_unresolved() else timeout.to_human_string()}"
                )
            settings = FleetSettings(
                failures=(failure_policy or FailurePolicy.share(0.05)).limit,
                deletions=(deletion_guard or DeletionGuard.share(0.2)).limit,
                update_mode=update_mode,
                request_rate=request_rate,
                timeout_seconds=int(timeout.to_seconds()),
                on_timeout=on_timeout,
                drift=None if drift_check is None else drift_check.action,
                allow_base_replacement=allow_base_replacement,
                max_lora_rank=None if endpoint.lora is None else endpoint.lora.max_lora_rank,
                base_model=None if endpoint.base_model_facts is None else endpoint.base_model_facts.name,
                smoke=None if smoke_test is None else smoke_test.request(),
            )
        bound = manifest.bind(self, endpoint, self.component_prefix)
        self._names = bound.component_names
        self._manifest_object = bound.object
        if bound.component_names is not None and TOKEN not in self.component_prefix:
            claim_checked(self, bound.component_names.values())

        stack = Stack.of(self)
        # The end of the stack's ARN makes it another one for every deployment of the same app.
        uid = Fn.join("-", [self.node.addr[:8], Fn.select(2, Fn.split("/", stack.stack_id))])
        name = self.node.path.removeprefix(stack.node.path).removeprefix("/")
        self._control = ControlPlane(
            self,
            uid=uid,
            name=name,
            endpoint_arn=endpoint.endpoint_arn,
            timeout=timeout,
            registry_removal_policy=registry_removal_policy,
            reads_manifest=_reads_manifest(self, bound),
            reads_artifacts=_reads_artifacts(self, bound, endpoint),
            watches_object=bound.object is not None,
        )
        self.registry = self._control.registry
        self.state_machine = self._control.state_machine
        self._decrypt(bound, endpoint)

        self._resource = CustomResource(
            self,
            "Resource",
            resource_type="Custom::AdapterFleet",
            service_token=self._control.provider.service_token,
            service_timeout=answer_timeout(timeout),
            removal_policy=RemovalPolicy.DESTROY,
            properties={
                "FleetUid": uid,
                "FleetName": name,
                "EndpointName": endpoint.endpoint_name,
                "BaseComponentName": endpoint.base_component_name,
                "ComponentPrefix": self.component_prefix,
                # So that the fleet is told of another base model, which may have lost its adapters.
                **({} if endpoint.base_model_name is None else {"BaseModelName": endpoint.base_model_name}),
                "Settings": json.dumps(unstructured(settings), sort_keys=True),
                "Tags": self._tags.rendered_tags,
                **bound.properties,
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
    ) -> AdapterFleetBase:
        """Return a fleet of this account and region that another app made.

        `registry` and `state_machine` are needed to grant its management only.
        """
        return _ImportedFleet(
            scope,
            id,
            fleet_uid=fleet_uid,
            endpoint=endpoint,
            component_prefix=component_prefix or endpoint.component_prefix,
            registry=registry,
            state_machine=state_machine,
        )

    @property
    def cdk_tag_manager(self) -> TagManager:
        """What `Tags.of(…).add` gives to every component of the fleet."""
        return self._tags

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

    def apply_removal_policy(self, policy: RemovalPolicy) -> None:
        """Decide what becomes of the adapters when the fleet is removed from its stack.

        They can be kept only while the base model that they need is in another stack.
        """
        self._resource.apply_removal_policy(policy)

    @property
    def _component_names(self) -> Mapping[str, str] | None:
        return self._names

    @property
    def _stacks(self) -> Sequence[str]:
        stack: Stack | None = Stack.of(self)
        arns = []
        while stack is not None:
            name = f"{stack.stack_name}/*"
            arns.append(stack.format_arn(service="cloudformation", resource="stack", resource_name=name))
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
                    self._control.manifest_object, retry_attempts=_EVENT_RETRIES, max_event_age=_EVENT_AGE
                )
            ],
        )
        # Before the fleet: a version that arrives while the first deployment still goes on is not missed.
        self._resource.node.add_dependency(rule)

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


@jsii.implements(IValidation)
class _FleetValidation:
    """What is known only when the whole app is there, aspects included."""

    def __init__(self, fleet: AdapterFleet) -> None:
        self._fleet = fleet

    def validate(self) -> list[str]:
        return [*self._of_removal(), *self._of_tags()]

    def _of_removal(self) -> list[str]:
        fleet = self._fleet
        resource = fleet._resource.node.default_child
        kept = isinstance(resource, CfnResource) and resource.cfn_options.deletion_policy in _KEPT
        same_stack = (
            isinstance(fleet.endpoint, MultiAdapterEndpoint)
            and Stack.of(fleet.endpoint).node.addr == Stack.of(fleet).node.addr
        )
        if not (kept and same_stack):
            return []
        return [
            f"the fleet '{fleet.node.path}' should not be retained while the base model of its adapters is in"
            f" the same stack, as that cannot be deleted before them; move one to another stack, or keep"
            " the registry alone with 'registry_removal_policy'"
        ]

    def _of_tags(self) -> list[str]:
        if FLEET_TAG not in self._fleet.cdk_tag_manager.tag_values():
            return []
        return [
            f"the fleet '{self._fleet.node.path}' should not be given the tag {FLEET_TAG!r}, by which its own"
            " components are told"
        ]


class _ImportedFleet(AdapterFleetBase):
    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        fleet_uid: str,
        endpoint: MultiAdapterEndpointBase,
        component_prefix: str,
        registry: dynamodb.ITable | None,
        state_machine: sfn.IStateMachine | None,
    ) -> None:
        super().__init__(scope, id)
        self.fleet_uid = fleet_uid
        self.endpoint = endpoint
        self.component_prefix = component_prefix
        self.registry = registry
        self.state_machine = state_machine

    @property
    def _component_names(self) -> None:
        return None


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


def _allow(actions: Sequence[str], *resources: str) -> iam.PolicyStatement:
    return iam.PolicyStatement(actions=actions, resources=list(resources))
