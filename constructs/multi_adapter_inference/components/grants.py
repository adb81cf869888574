"""The rights of callers, and of operators who use the `adapters` command."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_stepfunctions as sfn
from constructs import IConstruct

from adapter_fleet.common.naming import ORDERS_PARTITION, ROUTES_PARTITION, route_key
from multi_adapter_inference.models.artifact_source import ArtifactSource
from multi_adapter_inference.template.statements import in_partitions, reads_objects

INVOKE_ACTIONS = ("sagemaker:InvokeEndpoint", "sagemaker:InvokeEndpointWithResponseStream")


def grant_invoke(
    grantee: iam.IGrantable, endpoint_arn: str, *component_arns: str, bearer_token: bool = False
) -> iam.Grant:
    """Let `grantee` invoke components. SageMaker checks the endpoint and the component.

    `component_arns` may have several spellings of one component's ARN. `bearer_token` allows the OpenAI path,
    too.
    """
    granted = _grant(grantee, INVOKE_ACTIONS, endpoint_arn, *component_arns)
    if bearer_token:
        # SageMaker has no resource for it. The token alone reaches nothing: each request needs the other
        # actions as well.
        granted = granted.combine(_grant(grantee, ["sagemaker:CallWithBearerToken"], "*"))
    return granted


@dataclass(frozen=True, kw_only=True)
class OperatedFleet:
    """What the `adapters` command uses of a fleet.

    fleet:
        The fleet itself.
    registry:
        The table that the command reads, and writes orders to.
    stacks:
        The ARNs of the stacks by whose names the command finds the fleet.
    components:
        The ARN pattern of every component of the account and region.
    manifest:
        The bucket and the key of a manifest in S3.
    archives:
        The places in buckets that hold adapters, as far as they are known.
    has_routes:
        True if a rollback writes the route of an adapter.
    """

    fleet: IConstruct
    registry: dynamodb.ITable
    stacks: Sequence[str]
    components: str
    manifest: tuple[s3.IBucket, str] | None
    archives: Sequence[ArtifactSource]
    has_routes: bool

    def grant_read(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let `grantee` see the fleet's state: `status`, `history` and `plan`."""
        granted = _grant(grantee, ["dynamodb:GetItem", "dynamodb:Query"], self.registry.table_arn)
        # `status` asks whether copies come by themselves.
        anywhere = ["sagemaker:ListInferenceComponents", "application-autoscaling:DescribeScalableTargets"]
        granted = granted.combine(_grant(grantee, anywhere, "*"))
        granted = granted.combine(
            _grant(grantee, ["sagemaker:DescribeInferenceComponent", "sagemaker:ListTags"], self.components)
        )
        if self.stacks:
            granted = granted.combine(_grant(grantee, ["cloudformation:ListStackResources"], *self.stacks))
        if self.registry.encryption_key is not None:
            granted = granted.combine(self.registry.encryption_key.grant_decrypt(grantee))
        archives = [(source.bucket, f"{source.prefix}*") for source in self.archives]
        return self._read_objects(granted, grantee, *archives)

    def grant_manage(self, grantee: iam.IGrantable, state_machine: sfn.IStateMachine) -> iam.Grant:
        """Let `grantee` also give orders and remove them, and write the manifest in S3."""
        granted = self.grant_read(grantee)
        # `import` asks whose a component is.
        granted = granted.combine(_grant(grantee, ["cloudformation:DescribeStackResources"], "*"))
        # The fleet's functions write the state of adapters and generations.
        actions, partitions = ["dynamodb:DeleteItem", "dynamodb:PutItem"], [ORDERS_PARTITION]
        if self.has_routes:
            actions.append("dynamodb:UpdateItem")
            partitions += [ROUTES_PARTITION, route_key("*")["pk"]]
        granted = granted.combine(
            _grant(grantee, actions, self.registry.table_arn, conditions=in_partitions(*partitions))
        )
        granted = granted.combine(_grant(grantee, ["states:StartExecution"], state_machine.state_machine_arn))
        if self.registry.encryption_key is not None:
            # grant_read lets the grantee decrypt.
            granted = granted.combine(self.registry.encryption_key.grant_encrypt(grantee))
        if self.manifest is not None:
            bucket, key = self.manifest
            granted = self._read_objects(granted, grantee, self.manifest)
            granted = granted.combine(_grant(grantee, ["s3:PutObject"], bucket.arn_for_objects(key)))
            if bucket.encryption_key is not None:
                granted = granted.combine(bucket.encryption_key.grant_encrypt(grantee))
        return granted

    def _read_objects(
        self, granted: iam.Grant, grantee: iam.IGrantable, *objects: tuple[s3.IBucket, str]
    ) -> iam.Grant:
        for each in reads_objects(self.fleet, *objects, lists_them_alone=True):
            right = _grant(grantee, each.actions, *each.resources, conditions=each.conditions)
            granted = granted.combine(right)
        return granted


def grant_routes(grantee: iam.IGrantable, registry: dynamodb.ITable, adapters: Sequence[str]) -> iam.Grant:
    """Let `grantee` read the routes of adapters, "*" for all."""
    partitions = [route_key(adapter)["pk"] for adapter in adapters]
    granted = _grant(grantee, ["dynamodb:GetItem"], registry.table_arn, conditions=in_partitions(*partitions))
    if registry.encryption_key is not None:
        granted = granted.combine(registry.encryption_key.grant_decrypt(grantee))
    return granted


def _grant(
    grantee: iam.IGrantable,
    actions: Sequence[str],
    *arns: str,
    conditions: Mapping[str, Any] | None = None,
) -> iam.Grant:
    return iam.Grant.add_to_principal(
        grantee=grantee, actions=list(actions), resource_arns=list(arns), conditions=conditions
    )
