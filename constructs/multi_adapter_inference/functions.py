"""The Lambda functions of one construct: one code, one log, and for each a role with what that one needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from multi_adapter_inference.acknowledgement import acknowledge, acknowledge_wildcard
from multi_adapter_inference.lambda_asset import lambda_zip

LOGS_KEPT = logs.RetentionDays.THREE_MONTHS
"""How long logs are kept where nobody says otherwise."""

_SHORT = Duration.minutes(2)

_DEAD_LETTERS_KEPT = Duration.days(14)
"""The longest that SQS keeps a message."""


def log_group(scope: Construct, id: str, retention: logs.RetentionDays = LOGS_KEPT) -> logs.LogGroup:
    """Make a log group that goes with its stack."""
    return logs.LogGroup(scope, id, retention=retention, removal_policy=RemovalPolicy.DESTROY)


def writes_logs(group: logs.LogGroup) -> iam.PolicyStatement:
    """Return what a function needs to log."""
    return iam.PolicyStatement(
        actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[group.log_group_arn]
    )


def dead_letter_queue(scope: Construct, id: str) -> sqs.Queue:
    """Create a queue for the events that functions failed to handle; see `keep_dead_letters`."""
    queue = sqs.Queue(
        scope,
        id,
        retention_period=_DEAD_LETTERS_KEPT,
        encryption=sqs.QueueEncryption.SQS_MANAGED,
        enforce_ssl=True,
    )
    acknowledge(queue, "SQS3", "this is a dead-letter queue; a person reads it")
    return queue


def keep_dead_letters(function: lambda_.Function, queue: sqs.IQueue) -> None:
    """Send the events that `function` fails to handle to `queue`.

    Lambda does so when the last retry of an asynchronous event has failed. The function's role needs
    `sends_dead_letters(queue)`.
    """
    resource = function.node.default_child
    assert isinstance(resource, lambda_.CfnFunction)
    # Not by `dead_letter_queue=`, which adds a policy of its own for each function.
    resource.dead_letter_config = lambda_.CfnFunction.DeadLetterConfigProperty(target_arn=queue.queue_arn)


def sends_dead_letters(queue: sqs.IQueue) -> iam.PolicyStatement:
    """Return what a function needs to send events to its dead-letter queue."""
    return iam.PolicyStatement(actions=["sqs:SendMessage"], resources=[queue.queue_arn])


class Functions:
    """Makes functions that are children of `scope`.

    module:
        The one of `adapter_fleet` that has their handlers.
    policy:
        The name of what each role may do.
    about:
        What it is that they work for; ends their descriptions.
    environment:
        What all of them get.
    why_wildcards:
        The reason for those in the resources of their statements.

    The events that they fail to handle are kept in `dead_letters`.
    """

    def __init__(
        self,
        scope: Construct,
        *,
        module: str,
        policy: str,
        about: str,
        environment: Mapping[str, str],
        log_group: logs.LogGroup,
        why_wildcards: str,
    ) -> None:
        self._scope = scope
        self._module, self._policy, self._about = module, policy, about
        self._environment, self._logs, self._why_wildcards = environment, log_group, why_wildcards
        self._code = lambda_zip().code()
        self.dead_letters = dead_letter_queue(scope, "DeadLetters")

    def add(
        self,
        id: str,
        handler: str,
        description: str,
        *,
        statements: Sequence[iam.PolicyStatement],
        environment: Mapping[str, str] | None = None,
        timeout: Duration = _SHORT,
        memory_mib: int = 256,
    ) -> lambda_.Function:
        """Make one, whose role may do what is in the statements and write its log."""
        role = iam.Role(
            self._scope,
            f"{id}Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            inline_policies={
                self._policy: iam.PolicyDocument(
                    statements=[writes_logs(self._logs), sends_dead_letters(self.dead_letters), *statements]
                )
            },
        )
        for statement in statements:
            for resource in statement.resources:
                if "*" in resource:
                    acknowledge_wildcard(role, resource, self._why_wildcards)
        function = lambda_.Function(
            self._scope,
            id,
            code=self._code,
            handler=f"adapter_fleet.{self._module}.{handler}",
            runtime=lambda_.Runtime.PYTHON_3_13,
            description=f"{description} ({self._about})",
            role=role,
            environment={**self._environment, **(environment or {})},
            timeout=timeout,
            memory_size=memory_mib,
            log_group=self._logs,
        )
        keep_dead_letters(function, self.dead_letters)
        acknowledge(
            function, "L1", "the code is tested with Python 3.13, which every region with these instances has"
        )
        return function
