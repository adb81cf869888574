"""The Lambda functions of one construct: they share code and log group, and each has a role of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from aws_cdk import Annotations, ArnFormat, Duration, RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from multi_adapter_inference.arguments.argument_types import checked
from multi_adapter_inference.functions.lambda_zip import lambda_zip
from multi_adapter_inference.template.acknowledgement import acknowledge, wildcards
from multi_adapter_inference.template.stack_location import stack_of
from multi_adapter_inference.template.statements import Statement, allow, policy_document

_RUNTIME = lambda_.Runtime.PYTHON_3_13
_SHORT = Duration.minutes(2)

_DEAD_LETTERS_KEPT = Duration.days(14)
"""The longest that SQS keeps a message."""

# The rights of AWSLambdaVPCAccessExecutionRole, without those on logs.
_ATTACHES_INTERFACES = (
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
)
_REASON_FOR_KEY_ACTIONS = "the CDK grants the use of a key so: data keys with and without their plain text"


@checked
@dataclass(frozen=True, kw_only=True)
class FunctionHosting:
    """The network of the functions of a construct, and the key and retention of what they write.

    encryption_key:
        The KMS key for the table, the logs, the functions' environment variables and the dead-letter queue.
        Default: keys of AWS.
    log_retention:
        How long the logs of the functions and the state machines are kept. Default: three months.
    vpc, vpc_subnets, security_groups:
        The network of the functions. docs/guides/security.md lists the services that they must reach.
        Without groups, the functions of a construct get a security group that allows every outgoing call.
        Default: AWS's own network.

    Example::

        from aws_cdk import aws_logs as logs

        hosting = FunctionHosting(log_retention=logs.RetentionDays.ONE_YEAR)
        AdapterFleet(stack, "Fleet", endpoint=endpoint, manifest=manifest, functions=hosting)
    """

    encryption_key: kms.IKey | None = None
    log_retention: logs.RetentionDays = logs.RetentionDays.THREE_MONTHS
    vpc: ec2.IVpc | None = None
    vpc_subnets: ec2.SubnetSelection | None = None
    security_groups: Sequence[ec2.ISecurityGroup] = ()

    def __post_init__(self) -> None:
        if self.vpc is None and (self.vpc_subnets is not None or self.security_groups):
            raise ValueError("'vpc' should be given with 'vpc_subnets' or 'security_groups', got None")


DEFAULT_HOSTING = FunctionHosting()


class _FunctionNetwork(TypedDict, total=False):
    vpc: ec2.IVpc
    vpc_subnets: ec2.SubnetSelection | None
    security_groups: Sequence[ec2.ISecurityGroup]


class FunctionParts:
    """The key, the network and the queue that the functions of one construct share.

    The functions of the CDK's framework share them too.

    dead_letters:
        The queue of the events that the functions failed to handle.
    """

    def __init__(self, scope: Construct, hosting: FunctionHosting) -> None:
        self._scope, self._hosting = scope, hosting
        self.encryption_key = key = hosting.encryption_key
        self.network: _FunctionNetwork = {}
        if hosting.vpc is not None:
            self.network = {
                "vpc": hosting.vpc,
                "vpc_subnets": hosting.vpc_subnets,
                "security_groups": list(hosting.security_groups) or [self._security_group(hosting.vpc)],
            }
        if key is not None:
            _let_services_use(key, scope)
        self.dead_letters = sqs.Queue(
            scope,
            "DeadLetters",
            retention_period=_DEAD_LETTERS_KEPT,
            encryption=sqs.QueueEncryption.SQS_MANAGED if key is None else sqs.QueueEncryption.KMS,
            encryption_master_key=key,
            enforce_ssl=True,
        )
        acknowledge(self.dead_letters, {"SQS3": "this is a dead-letter queue; a person reads it"})
        self._queue_arn = self.dead_letters.queue_arn
        self._lambda = iam.ServicePrincipal("lambda.amazonaws.com")

    def log_group(self, id: str) -> logs.LogGroup:
        """Create a log group that is deleted with its stack."""
        return logs.LogGroup(
            self._scope,
            id,
            retention=self._hosting.log_retention,
            encryption_key=self.encryption_key,
            removal_policy=RemovalPolicy.DESTROY,
        )

    def role(
        self,
        id: str,
        *,
        policy: str,
        log_group_arn: str,
        statements: Sequence[Statement] = (),
        why_wildcards: str = "",
    ) -> iam.Role:
        """Create the role of a function, with the rights that every function needs and the statements.

        why_wildcards:
            The reason for wildcards in the resources of the statements.
        """
        needs = [
            allow(["logs:CreateLogStream", "logs:PutLogEvents"], log_group_arn),
            allow(["sqs:SendMessage"], self._queue_arn),
        ]
        if self.network:
            needs.append(allow(_ATTACHES_INTERFACES, "*"))
        role = iam.Role(
            self._scope,
            id,
            assumed_by=self._lambda,
            inline_policies={policy: policy_document([*needs, *statements])},
        )
        if self.network:
            reason = "network interfaces have no resource that a policy could name"
            acknowledge(role, {"IAM5[Resource::*]": reason})
        resources = [resource for each in statements for resource in each.resources if "*" in resource]
        reasons = wildcards(self._scope, resources, why_wildcards)
        if self.encryption_key is not None:
            self.encryption_key.grant_encrypt_decrypt(role)
            for action in ("GenerateDataKey", "ReEncrypt"):
                reasons[f"IAM5[Action::kms:{action}*]"] = _REASON_FOR_KEY_ACTIONS
        acknowledge(role, reasons)
        return role

    def keep_dead_letters(self, function: lambda_.Function) -> None:
        """Make Lambda send an asynchronous event to the queue when the last retry of `function` failed."""
        resource = function.node.default_child
        assert isinstance(resource, lambda_.CfnFunction)
        # `dead_letter_queue=` would add a policy of its own for each function.
        resource.dead_letter_config = lambda_.CfnFunction.DeadLetterConfigProperty(target_arn=self._queue_arn)

    def _security_group(self, vpc: ec2.IVpc) -> ec2.SecurityGroup:
        return ec2.SecurityGroup(
            self._scope, "SecurityGroup", vpc=vpc, description=f"Functions of {self._scope.node.path}"
        )


def _let_services_use(key: kms.IKey, scope: Construct) -> None:
    """Let CloudWatch Logs and EventBridge use the key, as they have no role of the app.

    CloudWatch Logs encrypts the log groups of this account and region. EventBridge encrypts the events that
    reach no function, which it sends to the queue itself.
    """
    stack = stack_of(scope)
    key.add_to_resource_policy(
        iam.PolicyStatement(
            principals=[iam.ServicePrincipal("events.amazonaws.com")],
            # EventBridge's guide, "Using dead-letter queues", on encrypted queues.
            actions=["kms:Decrypt", "kms:GenerateDataKey*"],
            resources=["*"],
            # The guide's "Authorizing EventBridge to use a customer managed key". A rule's ARN would be a
            # circle: the rule has the queue, and the queue has the key.
            conditions={"StringEquals": {"aws:SourceAccount": stack.account}},
        )
    )
    added = key.add_to_resource_policy(
        iam.PolicyStatement(
            principals=[iam.ServicePrincipal(f"logs.{stack.region}.{stack.url_suffix}")],
            # CloudWatch Logs' guide, "Encrypt log data using AWS KMS".
            actions=[
                "kms:Decrypt*",
                "kms:Describe*",
                "kms:Encrypt*",
                "kms:GenerateDataKey*",
                "kms:ReEncrypt*",
            ],
            resources=["*"],
            conditions={
                "ArnLike": {
                    # The names are not known: a log group is created after its key.
                    "kms:EncryptionContext:aws:logs:arn": stack.format_arn(
                        service="logs",
                        resource="log-group",
                        resource_name="*",
                        arn_format=ArnFormat.COLON_RESOURCE_NAME,
                    )
                }
            },
        )
    )
    if not added.statement_added:
        Annotations.of(scope).add_info(
            "the policy of 'encryption_key', which this app does not own, should let CloudWatch Logs and"
            " EventBridge use it; the guide 'Security' has the statements"
        )


class Functions:
    """Creates functions as children of `scope`.

    module:
        The entry module that has their handlers, `adapter_fleet.lambdas.<name>`.
    policy:
        The name of each role's policy.
    about:
        The end of each description: what the functions work for.
    environment:
        The environment variables of every function.
    why_wildcards:
        The reason for wildcards in the resources of the statements.
    logs_id:
        The id of the log group.
    code_digest:
        The SHA-256 of the functions' code, in hexadecimal.
    """

    def __init__(
        self,
        scope: Construct,
        *,
        module: str,
        policy: str,
        about: str,
        environment: Mapping[str, str],
        parts: FunctionParts,
        why_wildcards: str,
        logs_id: str = "Logs",
    ) -> None:
        self._scope, self._parts = scope, parts
        self._module, self._policy, self._about = module, policy, about
        self._environment, self._why_wildcards = environment, why_wildcards
        self._logs = parts.log_group(logs_id)
        self._logs_arn = self._logs.log_group_arn
        code = lambda_zip(module)
        self._code, self.code_digest = code.code(), code.digest

    def add(
        self,
        id: str,
        handler: str,
        description: str,
        *,
        statements: Sequence[Statement],
        environment: Mapping[str, str] | None = None,
        timeout: Duration = _SHORT,
        memory_mib: int = 256,
    ) -> lambda_.Function:
        """Create a function whose role has the statements."""
        role = self._parts.role(
            f"{id}Role",
            policy=self._policy,
            log_group_arn=self._logs_arn,
            statements=statements,
            why_wildcards=self._why_wildcards,
        )
        function = lambda_.Function(
            self._scope,
            id,
            code=self._code,
            handler=f"{self._module}.{handler}",
            runtime=_RUNTIME,
            description=f"{description} ({self._about})",
            role=role,
            environment={**self._environment, **(environment or {})},
            environment_encryption=self._parts.encryption_key,
            timeout=timeout,
            memory_size=memory_mib,
            log_group=self._logs,
            # An exception is one line then, and no line for each frame of its stack.
            logging_format=lambda_.LoggingFormat.JSON,
            **self._parts.network,
        )
        self._parts.keep_dead_letters(function)
        acknowledge(
            function,
            {"L1": "the code is tested with Python 3.13, which every region with these instances has"},
        )
        return function
