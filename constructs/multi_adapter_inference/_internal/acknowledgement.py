"""Reasons for the findings of cdk-nag's AwsSolutions pack, for users who run it over their app."""

from __future__ import annotations

import re
from typing import Any

from aws_cdk import Acknowledgment, Stack, Validations
from constructs import Construct

_NOTIFICATIONS_HANDLER = "BucketNotificationsHandler050a0587b7544547bf325f094a3db834"


def acknowledge(scope: Construct, rule: str, reason: str) -> None:
    """Acknowledge a rule that `scope` and its children break, with the reason."""
    Validations.of(scope).acknowledge(Acknowledgment(id=f"AwsSolutions-{rule}", reason=reason))


def acknowledge_wildcard(scope: Construct, arn: str, reason: str) -> None:
    """Acknowledge a wildcard in the resources of the policies of `scope` and its children."""
    acknowledge(scope, f"IAM5[Resource::{_as_cdk_nag_writes(Stack.of(scope).resolve(arn))}]", reason)


def acknowledge_notifications_handler(scope: Construct) -> None:
    """Acknowledge the policy of the CDK's own function that configures the events of buckets."""
    handler = Stack.of(scope).node.try_find_child(_NOTIFICATIONS_HANDLER)
    if isinstance(handler, Construct):
        policy = "arn:<AWS::Partition>:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
        acknowledge(handler, f"IAM4[Policy::{policy}]", "the CDK gives this role its policy, and no choice")
        acknowledge(handler, "IAM5[Resource::*]", "the CDK gives this role its policy, and no choice")


def _as_cdk_nag_writes(resolved: Any) -> str:
    """Return an ARN of a template as cdk-nag writes it in the ids of its findings."""
    match resolved:
        case {"Fn::Join": [separator, parts]}:
            return str(separator).join(map(_as_cdk_nag_writes, parts))
        case {"Fn::Sub": str(text)}:
            return re.sub(r"\$\{(.*?)\}", r"<\1>", text)
        case {"Ref": name}:
            return f"<{name}>"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"<{name}.{attribute}>"
        case _:
            return str(resolved)
