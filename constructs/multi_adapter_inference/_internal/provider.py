"""The CDK's framework of custom resources, with expiring logs and acknowledged findings."""

from __future__ import annotations

import math
from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import custom_resources as cr
from constructs import Construct

from multi_adapter_inference._internal.acknowledgement import acknowledge, acknowledge_wildcard
from multi_adapter_inference._internal.functions import FunctionParts

_ANSWER_SECONDS = 120
"""Time for the answer to arrive after the timeout. CloudFormation gives a custom resource an hour."""

_REASON_FOR_VERSIONS = "the CDK's framework lets its functions call every version of those it was given"


def waiting_provider(
    scope: Construct,
    *,
    on_event: lambda_.Function,
    is_complete: lambda_.Function,
    timeout: Duration,
    query_interval: Duration,
    parts: FunctionParts,
) -> cr.Provider:
    """Create the framework around two handlers, for a resource with a timeout of its own.

    The framework's functions share the key, the network and the queue of the handlers.
    """
    framework_logs = parts.log_group("ProviderLogs")
    roles = [
        parts.role(role_id, policy="Logs", log_group=framework_logs)
        for role_id in ("ProviderEventRole", "ProviderCompleteRole")
    ]
    # The framework wants a timeout that is a whole number of intervals.
    intervals = math.ceil((timeout.to_seconds() + _ANSWER_SECONDS) / query_interval.to_seconds())
    provider = cr.Provider(
        scope,
        "Provider",
        on_event_handler=on_event,
        is_complete_handler=is_complete,
        query_interval=query_interval,
        total_timeout=Duration.seconds(intervals * query_interval.to_seconds()),
        log_group=framework_logs,
        framework_on_event_role=roles[0],
        framework_complete_and_timeout_role=roles[1],
        provider_function_env_encryption=parts.encryption_key,
        waiter_state_machine_log_options=cr.LogOptions(
            destination=parts.log_group("WaiterLogs"), level=sfn.LogLevel.ALL
        ),
        disable_waiter_state_machine_logging=False,
        **parts.network,
    )
    for child in provider.node.find_all():
        if isinstance(child, lambda_.Function):
            parts.keep_dead_letters(child)
    _acknowledge_framework(provider, roles, [on_event, is_complete])
    return provider


def answer_timeout(timeout: Duration) -> Duration:
    """Return how long CloudFormation should wait for a resource that has this timeout."""
    return Duration.seconds(timeout.to_seconds() + 2 * _ANSWER_SECONDS)


def _acknowledge_framework(
    provider: cr.Provider, roles: Sequence[iam.Role], handlers: Sequence[lambda_.Function]
) -> None:
    """Acknowledge what the CDK's framework does and offers no setting for."""
    for role in roles:
        for handler in handlers:
            acknowledge_wildcard(role, f"{handler.function_arn}:*", _REASON_FOR_VERSIONS)
    for child in provider.node.find_all():
        if isinstance(child, lambda_.Function):
            acknowledge_wildcard(provider, f"{child.function_arn}:*", _REASON_FOR_VERSIONS)
    acknowledge_wildcard(provider, "*", "the delivery of logs has no resource that a policy could name")
    acknowledge(provider, "SF2", "the CDK's framework makes this state machine, and traces none")
    acknowledge(provider, "L1", "the CDK's framework chooses the runtime of its own functions")
