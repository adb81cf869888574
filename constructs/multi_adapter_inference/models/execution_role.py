"""The role that SageMaker assumes to run the containers, with the least rights that they need."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Annotations, ArnFormat, FileAssetLocation, Names
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from multi_adapter_inference.models.artifact_source import ArtifactSource
from multi_adapter_inference.models.container import ContainerImage
from multi_adapter_inference.template.acknowledgement import acknowledge, wildcards
from multi_adapter_inference.template.asset_folder import AssetFolder
from multi_adapter_inference.template.metrics import CONTAINER_NAMESPACES
from multi_adapter_inference.template.stack_location import stack_of
from multi_adapter_inference.template.statements import (
    Statement,
    allow,
    decrypts_objects,
    key_arn,
    policy_statement,
)

_LONGEST_POLICY_NAME = 128

# Each takes about 340 characters of the 10,240 that the inline policies of a role have (IAM's quotas), with
# names of buckets of 20 characters; all else takes up to 3,200.
_MOST_SOURCES = 20
_LOG_GROUPS = ("/aws/sagemaker/Endpoints/*", "/aws/sagemaker/InferenceComponents/*")


class ExecutionRole:
    """An IAM role, and the policy with the rights that the library gives it.

    The policy is not the role's default policy, for two reasons. First, the endpoint waits for the policy, as
    a deployment may otherwise start the containers before they have their rights. Second, other constructs
    add rights to the default policy, such as the right to call the very endpoint that would wait for it.

    Rights to read are by prefix, so the policy does not change with an adapter's version. A rollback can then
    read the previous version.
    """

    def __init__(self, scope: Construct, role: iam.IRole) -> None:
        self.role = role
        self.scope = scope
        # The CDK's own name may be the same in two stacks. If both add a policy to one role, one policy would
        # overwrite the other.
        name = Names.unique_resource_name(scope, max_length=_LONGEST_POLICY_NAME, separator="-")
        self.policy = iam.Policy(scope, "Policy", policy_name=name)
        # Attached by the role: a role that cannot be changed leaves the policy out of the template.
        role.attach_inline_policy(self.policy)
        self._readable: set[str] = set()
        self._sources = 0

    @classmethod
    def create(cls, scope: Construct, id: str) -> ExecutionRole:
        """Create a role that SageMaker may assume."""
        return cls(scope, iam.Role(scope, id, assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com")))

    def read_sources(self, scope: Construct, sources: Sequence[ArtifactSource]) -> None:
        """Let the role read adapters of a base model, `scope`. Warn there if IAM may refuse the policy."""
        for source in sources:
            self.read_prefix(source.bucket, source.prefix)
        self._sources += len(sources)
        if sources and self._sources > _MOST_SOURCES:
            Annotations.of(scope).add_warning_v2(
                "multi-adapter-inference:long-policy",
                f"'artifact_sources' are {self._sources}, and IAM may refuse the execution role's policy: the"
                " inline policies of a role have at most 10,240 characters, and each source takes about 340;"
                " give one bucket with a prefix for all adapters",
            )

    def read_prefix(self, bucket: s3.IBucket, prefix: str) -> None:
        """Let the role read the objects of `bucket` whose keys begin with `prefix`."""
        objects = bucket.arn_for_objects(f"{prefix}*")
        self._allow_objects(
            "a model is many objects, and adapters come and go, under this prefix",
            allow(["s3:GetObject"], objects),
            allow(
                ["s3:ListBucket"],
                bucket.bucket_arn,
                conditions={"StringLike": {"s3:prefix": f"{prefix}*"}},
            ),
            *decrypts_objects(self.scope, bucket),
        )

    def read_archives(self, folder: AssetFolder, location: FileAssetLocation) -> None:
        """Let the role read the archives in a folder of the assets bucket."""
        objects = folder.objects_arn(self.scope, location)
        # Resolved, as each asset has a token of its own. Stacks may have different buckets.
        known = str(stack_of(self.scope).resolve(objects))
        if known in self._readable:
            return
        self._readable.add(known)
        key = location.kms_key_arn
        self._allow_objects(
            "a rollback reads the archive of the version before, whose key is not in the template",
            allow(["s3:GetObject"], objects),
            *([] if key is None else [allow(["kms:Decrypt"], key)]),
        )

    def pull(self, image: ContainerImage) -> None:
        """Let the role pull the container's image."""
        self._allow(
            allow(
                ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
                image.repository_arn,
            ),
            allow(["ecr:GetAuthorizationToken"], "*"),
        )

    def write_logs_and_metrics(self) -> None:
        """Let the role write the containers' logs and metrics."""
        groups = [
            stack_of(self.scope).format_arn(
                service="logs",
                resource="log-group",
                resource_name=group,
                arn_format=ArnFormat.COLON_RESOURCE_NAME,
            )
            for group in _LOG_GROUPS
        ]
        actions = [
            "logs:CreateLogGroup",
            "logs:CreateLogStream",
            "logs:DescribeLogStreams",
            "logs:PutLogEvents",
        ]
        self._allow(
            *(allow(actions, group) for group in groups),
            allow(
                ["cloudwatch:PutMetricData"],
                "*",
                conditions={"StringEquals": {"cloudwatch:namespace": list(CONTAINER_NAMESPACES)}},
            ),
        )
        acknowledge(
            self.policy,
            {
                **wildcards(
                    self.scope,
                    groups,
                    "SageMaker makes a log group for each endpoint and component, by its name",
                ),
                "IAM5[Resource::*]": "ecr:GetAuthorizationToken, cloudwatch:PutMetricData and the network"
                " interfaces of a VPC have no resource that a policy could name",
            },
        )

    def attach_network_interfaces(self) -> None:
        """Let the role create network interfaces in a VPC (SageMaker's guide, "Execution roles")."""
        actions = [
            "ec2:CreateNetworkInterface",
            "ec2:CreateNetworkInterfacePermission",
            "ec2:DeleteNetworkInterface",
            "ec2:DeleteNetworkInterfacePermission",
            "ec2:DescribeDhcpOptions",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:DescribeVpcs",
        ]
        self._allow(allow(actions, "*"))

    def use_volume_key(self, key: kms.IKey) -> None:
        """Let the role encrypt the instances' storage volumes with `key`."""
        actions = [
            "kms:Decrypt",
            "kms:DescribeKey",
            "kms:Encrypt",
            "kms:GenerateDataKey",
            "kms:GenerateDataKeyWithoutPlaintext",
            "kms:ReEncryptFrom",
            "kms:ReEncryptTo",
        ]
        condition = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
        self._allow(
            allow(actions, key_arn(key)), allow(["kms:CreateGrant"], key_arn(key), conditions=condition)
        )

    def watch_alarms(self, scope: Construct, id: str, alarms: Sequence[cloudwatch.IAlarm]) -> iam.Policy:
        """Let the role read the state of alarms, and return the policy.

        An update with alarms needs it (developer guide, "Auto-Rollback Configuration"). It is no part of the
        other policy, which the endpoint waits for: an alarm may be on a metric of the endpoint.
        """
        name = Names.unique_resource_name(scope, max_length=_LONGEST_POLICY_NAME - 7, separator="-")
        policy = iam.Policy(scope, id, policy_name=f"{name}-Alarms")
        self.role.attach_inline_policy(policy)
        arns = [alarm.alarm_arn for alarm in alarms]
        policy.add_statements(policy_statement(allow(["cloudwatch:DescribeAlarms"], *arns)))
        return policy

    def _allow(self, *statements: Statement) -> None:
        self.policy.add_statements(*map(policy_statement, statements))

    def _allow_objects(self, why_wildcards: str, *statements: Statement) -> None:
        self._allow(*statements)
        arns = [arn for each in statements for arn in each.resources if "*" in arn]
        acknowledge(self.policy, wildcards(self.scope, arns, why_wildcards))
