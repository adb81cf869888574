"""Reasons for the findings of cdk-nag's AwsSolutions pack, for users who run it over their app."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from aws_cdk import Acknowledgment, Validations
from constructs import Construct

from adapter_fleet.common.validators import TOKEN
from multi_adapter_inference.template.stack_location import stack_of

ACKNOWLEDGED_OF_MACHINES = {
    "IAM5[Resource::*]": "the delivery of logs and of traces has no resource that a policy could name"
}
"""The rule that the role of every state machine with logs and traces breaks, and the reason."""

_NOTIFICATIONS_HANDLER = "BucketNotificationsHandler050a0587b7544547bf325f094a3db834"


def acknowledge(scope: Construct, reasons: Mapping[str, str]) -> None:
    """Acknowledge rules that `scope` and its children break. `reasons` has the reason for each rule."""
    if reasons:
        Validations.of(scope).acknowledge(
            *(Acknowledgment(id=f"AwsSolutions-{rule}", reason=reason) for rule, reason in reasons.items())
        )


def wildcards(scope: Construct, arns: Iterable[str], reason: str) -> dict[str, str]:
    """Return the rules on wildcards in the resources of policies, with the reason, for `acknowledge`."""
    resources = list(dict.fromkeys(arns))
    # One question for all of them, and none if there is no token: each question takes the CDK a while.
    if any(TOKEN in arn for arn in resources):
        resources = stack_of(scope).resolve(resources)
    return {f"IAM5[Resource::{_as_cdk_nag_writes(arn)}]": reason for arn in resources}


def acknowledge_notifications_handler(scope: Construct) -> None:
    """Acknowledge the policy of the CDK's own function that configures the events of buckets."""
    handler = stack_of(scope).node.try_find_child(_NOTIFICATIONS_HANDLER)
    if isinstance(handler, Construct):
        policy = "arn:<AWS::Partition>:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
        rules = (f"IAM4[Policy::{policy}]", "IAM5[Resource::*]")
        acknowledge(handler, dict.fromkeys(rules, "the CDK gives this role its policy, and no choice"))


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
