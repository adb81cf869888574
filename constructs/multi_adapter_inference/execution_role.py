"""The role that SageMaker assumes to run the containers: what they need, and no more."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import ArnFormat, FileAssetLocation, Names, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from multi_adapter_inference._internal.acknowledgement import acknowledge_wildcard
from multi_adapter_inference._internal.asset_folder import AssetFolder
from multi_adapter_inference.container import ContainerImage
from multi_adapter_inference.metrics import CONTAINER_NAMESPACES

_LONGEST_POLICY_NAME = 128
_LOG_GROUPS = ("/aws/sagemaker/Endpoints/*", "/aws/sagemaker/InferenceComponents/*")


class ExecutionRole:
    """An IAM role, and what the library lets it do.

    That is a policy of its own, for two reasons: what runs has to wait for it, as a first deployment may
    otherwise reach the containers before the rights do; and the role's default policy is where others put
    theirs, such as the right to call the very endpoint that would wait for it.

    Reading rights are by prefix, so that a policy stays as it is when an adapter's version changes: a
    rollback can then read the version before.
    """

    def __init__(self, scope: Construct, role: iam.IRole) -> None:
        self.role = role
        self.scope = scope
        # The CDK's own name may be the same in two stacks. On a role of both, one policy would overwrite
        # the other.
        name = Names.unique_resource_name(scope, max_length=_LONGEST_POLICY_NAME, separator="-")
        self.policy = iam.Policy(scope, "Policy", policy_name=name)
        # By the role, not by the policy: a role that may not be changed then leaves it out of the template.
        role.attach_inline_policy(self.policy)
        self._readable: set[str] = set()
        self._acknowledge_wildcard(
            "*",
            "ecr:GetAuthorizationToken, cloudwatch:PutMetricData and the network interfaces of a VPC have no"
            " resource that a policy could name",
        )

    @classmethod
    def create(cls, scope: Construct, id: str) -> ExecutionRole:
        """Make a role that SageMaker may assume."""
        return cls(scope, iam.Role(scope, id, assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com")))

    def read_prefix(self, bucket: s3.IBucket, prefix: str) -> None:
        """Let it read the objects of `bucket` whose keys begin with `prefix`."""
        objects = bucket.arn_for_objects(f"{prefix}*")
        self._allow(["s3:GetObject"], objects)
        self._allow(["s3:ListBucket"], bucket.bucket_arn, {"StringLike": {"s3:prefix": f"{prefix}*"}})
        if bucket.encryption_key is not None:
            bucket.encryption_key.grant_decrypt(self.policy)
        self._acknowledge_wildcard(
            objects, "a model is many objects, and adapters come and go, under this prefix"
        )

    def read_archives(self, folder: AssetFolder, location: FileAssetLocation) -> None:
        """Let it read the archives in that folder of the assets bucket."""
        objects = folder.objects_arn(self.scope, location)
        # Resolved, as the text of a token is another for every asset. Stacks may have different buckets.
        known = str(Stack.of(self.scope).resolve(objects))
        if known in self._readable:
            return
        self._readable.add(known)
        self._allow(["s3:GetObject"], objects)
        if location.kms_key_arn is not None:
            self._allow(["kms:Decrypt"], location.kms_key_arn)
        self._acknowledge_wildcard(
            objects, "a rollback reads the archive of the version before, whose key is not in the template"
        )

    def pull(self, image: ContainerImage) -> None:
        """Let it pull the container's image."""
        self._allow(
            ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            image.repository_arn,
        )
        self._allow(["ecr:GetAuthorizationToken"], "*")

    def write_logs_and_metrics(self) -> None:
        """Let it write what the containers print, and their metrics."""
        for group in _LOG_GROUPS:
            arn = Stack.of(self.scope).format_arn(
                service="logs",
                resource="log-group",
                resource_name=group,
                arn_format=ArnFormat.COLON_RESOURCE_NAME,
            )
            self._allow(
                [
                    "logs:CreateLogGroup",
                    "logs:CreateLogStream",
                    "logs:DescribeLogStreams",
                    "logs:PutLogEvents",
                ],
                arn,
            )
            self._acknowledge_wildcard(
                arn, "SageMaker makes a log group for each endpoint and component, by its name"
            )
        self._allow(
            ["cloudwatch:PutMetricData"],
            "*",
            {"StringEquals": {"cloudwatch:namespace": list(CONTAINER_NAMESPACES)}},
        )

    def attach_network_interfaces(self) -> None:
        """Let it put the containers' network interfaces into a VPC (SageMaker's guide, "Execution roles")."""
        self._allow(
            [
                "ec2:CreateNetworkInterface",
                "ec2:CreateNetworkInterfacePermission",
                "ec2:DeleteNetworkInterface",
                "ec2:DeleteNetworkInterfacePermission",
                "ec2:DescribeDhcpOptions",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcs",
            ],
            "*",
        )

    def use_volume_key(self, key: kms.IKey) -> None:
        """Let it encrypt the instances' storage volumes with `key`."""
        key.grant(
            self.policy,
            "kms:Decrypt",
            "kms:DescribeKey",
            "kms:Encrypt",
            "kms:GenerateDataKey",
            "kms:GenerateDataKeyWithoutPlaintext",
            "kms:ReEncryptFrom",
            "kms:ReEncryptTo",
        )
        self._allow(["kms:CreateGrant"], key.key_arn, {"Bool": {"kms:GrantIsForAWSResource": "true"}})

    def _allow(
        self,
        actions: Sequence[str],
        resource: str,
        conditions: dict[str, dict[str, str | list[str]]] | None = None,
    ) -> None:
        self.policy.add_statements(
            iam.PolicyStatement(actions=actions, resources=[resource], conditions=conditions)
        )

    def _acknowledge_wildcard(self, arn: str, reason: str) -> None:
        acknowledge_wildcard(self.policy, arn, reason)
