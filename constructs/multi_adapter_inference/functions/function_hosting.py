"""Where the library's functions run, and how what they write is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs

from multi_adapter_inference.arguments.argument_types import checked


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
