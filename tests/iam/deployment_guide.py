"""The policies of a deployment: for CloudFormation's role and for the deployer."""

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from tests.guides import ROOT
from tests.iam import reference
from tests.iam.commands_guide import as_json, statements

DEPLOYER_COMMANDS = ("preflight", "plan", "status", "history")

_SNAPSHOTS = ROOT / "tests/stacks/__snapshots__/test_multi_adapter_inference_stack.ambr"
_HERE = "REGION:ACCOUNT"
_SERVICES: Mapping[str, Sequence[str]] = {
    "application-autoscaling": [f"arn:aws:application-autoscaling:{_HERE}:scalable-target/*"],
    "cloudwatch": [f"arn:aws:cloudwatch:{_HERE}:alarm:STACK*", "arn:aws:cloudwatch::ACCOUNT:dashboard/*"],
    "dynamodb": [f"arn:aws:dynamodb:{_HERE}:table/STACK*"],
    "events": [f"arn:aws:events:{_HERE}:rule/STACK*"],
    "iam": ["arn:aws:iam::ACCOUNT:role/STACK*"],
    "lambda": [f"arn:aws:lambda:{_HERE}:function:STACK*"],
    "logs": [f"arn:aws:logs:{_HERE}:log-group:STACK*"],
    "s3": ["arn:aws:s3:::cdk-hnb659fds-assets-ACCOUNT-REGION/*"],
    "sagemaker": [
        f"arn:aws:sagemaker:{_HERE}:{one}/*"
        for one in ("endpoint", "endpoint-config", "inference-component", "model")
    ],
    "sqs": [f"arn:aws:sqs:{_HERE}:STACK*"],
    "states": [f"arn:aws:states:{_HERE}:stateMachine:*"],
}
"""The resources of a statement, by service. Some types have names that do not begin with the stack's."""
_LISTINGS = {"cloudwatch:DescribeAlarms": f"arn:aws:cloudwatch:{_HERE}:alarm:*"}
"""Actions that look for what is not there yet."""
_NOT_USED = (
    "cloudwatch:GetMetricData",
    "dynamodb:*Item", "dynamodb:*Replica", "dynamodb:*ableKinesis*", "dynamodb:ImportTable", "dynamodb:Query",
    "dynamodb:Scan", "dynamodb:UpdateKinesis*", "dynamodb:PutResourcePolicy", "dynamodb:DeleteResourcePolicy",
    "iam:*PermissionsBoundary", "iam:CreateServiceLinkedRole", "iam:PassRole",
    "lambda:*ProvisionedConcurrencyConfig", "lambda:AssociateRuntimeAlias",
    "lambda:DeleteFunctionCodeSigningConfig", "lambda:DeleteFunctionConcurrency",
    "lambda:PassCapacityProvider", "lambda:PublishVersion", "lambda:PutFunction*",
    "logs:*LogStream*", "logs:CreateLogDelivery", "logs:DeleteIndexPolicy", "logs:DeleteResourcePolicy",
    "logs:PutIndexPolicy", "logs:PutLogEvents", "logs:PutResourcePolicy",
)  # fmt: skip
"""What the types need for properties that no template here has, and what `_BY_HAND` allows on conditions."""
_SCALING = "sagemaker.application-autoscaling.amazonaws.com"
_BY_HAND: Sequence[Mapping[str, Any]] = (
    {
        "Effect": "Allow",
        "Action": ["iam:PassRole"],
        "Resource": "arn:aws:iam::ACCOUNT:role/STACK*",
        "Condition": {
            "StringEquals": {
                "iam:PassedToService": [
                    "events.amazonaws.com",
                    "lambda.amazonaws.com",
                    "sagemaker.amazonaws.com",
                    "states.amazonaws.com",
                ]
            }
        },
    },
    {
        "Effect": "Allow",
        "Action": ["iam:CreateServiceLinkedRole"],
        "Resource": f"arn:aws:iam::ACCOUNT:role/aws-service-role/{_SCALING}/*",
        "Condition": {"StringEquals": {"iam:AWSServiceName": _SCALING}},
    },
    {
        "Effect": "Allow",
        "Action": ["ssm:GetParameters"],
        "Resource": f"arn:aws:ssm:{_HERE}:parameter/cdk-bootstrap/hnb659fds/version",
    },
)
"""What CloudFormation does beside its types: it passes roles, and reads the bootstrap version."""
_ASSUME: Mapping[str, Any] = {
    "Effect": "Allow",
    "Action": ["sts:AssumeRole"],
    "Resource": [
        f"arn:aws:iam::ACCOUNT:role/cdk-hnb659fds-{role}-role-ACCOUNT-REGION"
        for role in ("deploy", "file-publishing", "lookup")
    ],
}


def types() -> Sequence[str]:
    """Return the resource types of the reviewed template of `environments/prod.toml`."""
    prod = re.search(r"\[prod\]\n(.*?)\n# ---", _SNAPSHOTS.read_text(), re.DOTALL)
    assert prod
    return sorted(set(re.findall(r"'Type': '(AWS::\w+::\w+)'", prod[1])))


def execution_statements() -> list[dict[str, Any]]:
    """Return the statements of CloudFormation's role."""
    by_resource: dict[tuple[str, ...], set[str]] = defaultdict(set)
    by_resource[tuple(_SERVICES["lambda"])].add("lambda:InvokeFunction")  # custom resources
    for action in {action for type_ in types() for action in _handled(type_)}:
        service = action.partition(":")[0]
        known = reference.actions(action)
        if not known or service not in _SERVICES or any(fnmatchcase(action, one) for one in _NOT_USED):
            continue
        if action in _LISTINGS:
            by_resource[_LISTINGS[action],].add(action)
        elif not known[0].types:
            by_resource["*",].add(action)
        elif any(known[0].type_of(resource) for resource in _SERVICES[service]):
            by_resource[tuple(_SERVICES[service])].add(action)
    made = [
        {"Effect": "Allow", "Action": sorted(actions), "Resource": on[0] if len(on) == 1 else list(on)}
        for on, actions in sorted(by_resource.items())
    ]
    return [*made, *map(dict, _BY_HAND)]


def deployer_statements() -> list[dict[str, Any]]:
    """Return the statements of the person or the pipeline that deploys."""
    return [dict(_ASSUME), *statements(DEPLOYER_COMMANDS)]


def _handled(type_: str) -> set[str]:
    # Imported here: it takes a second, and only the guide needs it.
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", type_).schema
    return {
        action
        for name, handler in schema["handlers"].items()
        if name != "list"
        for action in handler["permissions"]
    }


def files() -> Mapping[str, str]:
    """Return the texts of the files with policies, by name."""
    return {
        "execution-policy.json": f"{as_json(execution_statements())}\n",
        "deployer.json": f"{as_json(deployer_statements())}\n",
    }


def size(statements: Sequence[Mapping[str, Any]]) -> int:
    """Return the characters that IAM counts of a managed policy."""
    return len(json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":")))
