"""The Lambda functions of one construct: one code, one log, and for each a role with what that one needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from multi_adapter_inference.acknowledgement import acknowledge, acknowledge_wildcard
from multi_adapter_inference.lambda_asset import lambda_zip
from multi_adapter_inference.provider import writes_logs

_SHORT = Duration.minutes(2)


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
                self._policy: iam.PolicyDocument(statements=[writes_logs(self._logs), *statements])
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
        acknowledge(
            function, "L1", "the code is tested with Python 3.13, which every region with these instances has"
        )
        return function
