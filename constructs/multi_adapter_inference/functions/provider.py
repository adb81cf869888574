"""The CDK's framework of custom resources, with expiring logs and acknowledged findings."""

import math
from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import custom_resources as cr
from constructs import Construct

from multi_adapter_inference.functions.functions import FunctionParts
from multi_adapter_inference.template.acknowledgement import acknowledge, wildcards

_ANSWER_SECONDS = 120
"""Time for the answer to arrive after the timeout. CloudFormation gives a custom resource an hour."""

_REASON_FOR_VERSIONS = "the CDK's framework lets its functions call every version of those it was given"
_REASON_FOR_RUNTIME = "the CDK's framework chooses the runtime of its own functions"


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
    logs_arn = framework_logs.log_group_arn
    roles = [
        parts.role(role_id, policy="Logs", log_group_arn=logs_arn)
        for role_id in ("ProviderEventRole", "ProviderCompleteRole")
    ]
    # The framework wants a timeout that is a whole number of intervals.
    interval = query_interval.to_seconds()
    intervals = math.ceil((timeout.to_seconds() + _ANSWER_SECONDS) / interval)
    provider = cr.Provider(
        scope,
        "Provider",
        on_event_handler=on_event,
        is_complete_handler=is_complete,
        query_interval=query_interval,
        total_timeout=Duration.seconds(intervals * interval),
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
    framework = _framework_functions(provider, parts)
    _acknowledge_framework(provider, framework, roles, [on_event, is_complete])
    return provider


def prompt_provider(scope: Construct, *, on_event: lambda_.Function, parts: FunctionParts) -> cr.Provider:
    """Create the framework around a handler that answers at once.

    The framework's function shares the key, the network and the queue of the handler.
    """
    framework_logs = parts.log_group("ProviderLogs")
    role = parts.role("ProviderEventRole", policy="Logs", log_group_arn=framework_logs.log_group_arn)
    provider = cr.Provider(
        scope,
        "Provider",
        on_event_handler=on_event,
        log_group=framework_logs,
        framework_on_event_role=role,
        provider_function_env_encryption=parts.encryption_key,
        **parts.network,
    )
    _framework_functions(provider, parts)
    _acknowledge_versions(provider, [role], [on_event])
    acknowledge(provider, {"L1": _REASON_FOR_RUNTIME})
    return provider


def _framework_functions(provider: cr.Provider, parts: FunctionParts) -> list[lambda_.Function]:
    """Return the framework's functions, with the queue, and without stack traces in their reasons.

    The framework gives CloudFormation the stack of its own JavaScript, which hides the failure.
    """
    framework = [child for child in provider.node.find_all() if isinstance(child, lambda_.Function)]
    for function in framework:
        parts.keep_dead_letters(function)
        function.add_environment("NODE_OPTIONS", "--stack-trace-limit=0")
    return framework


def answer_timeout(timeout: Duration) -> Duration:
    """Return how long CloudFormation should wait for a resource that has this timeout."""
    return Duration.seconds(timeout.to_seconds() + 2 * _ANSWER_SECONDS)


def _acknowledge_framework(
    provider: cr.Provider,
    framework: Sequence[lambda_.Function],
    roles: Sequence[iam.Role],
    handlers: Sequence[lambda_.Function],
) -> None:
    """Acknowledge what the CDK's framework does and offers no setting for."""
    _acknowledge_versions(provider, roles, handlers)
    acknowledge(
        provider,
        {
            **_versions(provider, framework),
            "IAM5[Resource::*]": "the delivery of logs has no resource that a policy could name",
            "SF2": "the CDK's framework makes this state machine, and traces none",
            "L1": _REASON_FOR_RUNTIME,
        },
    )


def _acknowledge_versions(
    provider: cr.Provider, roles: Sequence[iam.Role], handlers: Sequence[lambda_.Function]
) -> None:
    of_handlers = _versions(provider, handlers)
    for role in roles:
        acknowledge(role, of_handlers)


def _versions(provider: cr.Provider, functions: Sequence[lambda_.Function]) -> dict[str, str]:
    return wildcards(provider, [f"{each.function_arn}:*" for each in functions], _REASON_FOR_VERSIONS)
