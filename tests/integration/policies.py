"""The policies of roles that CloudFormation made, and users who have them, or all but a piece of them."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import boto3
import botocore.session
from botocore.loaders import create_loader

from adapter_fleet.aws.sagemaker_service import CLIENT_CONFIG
from local_sagemaker.server import LocalCloud
from tests.integration.by_hand import client

Statement = dict[str, Any]

_LOADER = create_loader()
"""What it has read of a service once, all users know."""

LOGS_AND_TRACES = {
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}
"""What the CDK gives to the role of a state machine that has logs and traces. The embedded cloud has neither:
no deliveries of logs and no X-Ray, so that there are no calls that could be denied."""

FRAMEWORK = {
    "ProviderEvent": {
        "lambda:GetFunction",
        "lambda:InvokeFunction",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "sqs:SendMessage",
        "states:StartExecution",
    },
    "ProviderComplete": {
        "lambda:GetFunction",
        "lambda:InvokeFunction",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "sqs:SendMessage",
    },
    "Providerwaiterstatemachine": {
        "lambda:InvokeFunction",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        *(action for action in LOGS_AND_TRACES if action.startswith("logs:")),
    },
}
"""What the roles around the CDK's framework of custom resources may do, in whatever stack; they are tried in
`test_provider_least_privilege`."""


class User:
    """Someone with these statements, and what they were denied.

    role:
        The kind of role that has these statements, as the record of calls has it.
    """

    def __init__(self, cloud: LocalCloud, statements: Sequence[Statement], *, role: str) -> None:
        self._cloud = cloud
        iam, name = client(cloud, "iam"), f"{role}-{uuid.uuid4().hex}"
        iam.create_user(UserName=name)
        if statements:
            iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document(statements))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        own = botocore.session.Session()
        own.register_component("data_loader", _LOADER)
        own.set_credentials(key["AccessKeyId"], key["SecretAccessKey"])
        own.set_config_variable("region", cloud.environment["AWS_DEFAULT_REGION"])
        self.session = boto3.Session(botocore_session=own)
        self.session.events.register("after-call", self._note)
        self._clients: dict[str, Any] = {}
        self.denied: set[str] = set()

    def client(self, service: str) -> Any:
        if service not in self._clients:
            make: Any = self.session.client  # whose stubs want each service by its name
            self._clients[service] = make(
                service,
                endpoint_url=self._cloud.url,
                verify=self._cloud.environment["AWS_CA_BUNDLE"],
                config=CLIENT_CONFIG,
            )
        return self._clients[service]

    def _note(self, http_response: Any, parsed: Mapping[str, Any], model: Any, **_: Any) -> None:
        if http_response.status_code in (400, 403) and "not authorized" in str(parsed):
            self.denied.add(parsed["Error"]["Message"].partition("perform: ")[2].partition(" ")[0])
        elif http_response.status_code == 403:
            self.denied.add(model.name)  # HeadObject: such an answer has no text

    def runs_as_function(self, *, logs: str, dead_letters: str) -> None:
        """What the Lambda service does as a function's role: write its log, keep what it fails to handle.

        logs, dead_letters:
            The name of the log group, and the URL of the queue.
        """
        self._writes_logs(logs)
        self.client("sqs").send_message(QueueUrl=dead_letters, MessageBody="{}")

    def _writes_logs(self, group: str) -> None:
        logs, stream = self.client("logs"), uuid.uuid4().hex
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
        event = {"timestamp": int(time.time() * 1000), "message": "START"}
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])

    def runs(self, definition: Mapping[str, Any]) -> None:
        """What Step Functions does as the role of a state machine: all calls that its states can make.

        The embedded cloud's state machines act as nobody: they call functions without asking IAM. So these
        calls are made here, of the definition that was deployed; the functions do not really run.
        """
        for state in definition["States"].values():
            if state["Type"] == "Task":
                function = state["Parameters"]["FunctionName"] if "Parameters" in state else state["Resource"]
                self.client("lambda").invoke(FunctionName=function, InvocationType="DryRun")


def document(statements: Sequence[Statement]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def roles_of(cloud: LocalCloud, stack: str) -> dict[str, str]:
    """Return the names of all roles of a stack, by their logical ids."""
    described = client(cloud, "cloudformation").describe_stack_resources(StackName=stack)["StackResources"]
    return {
        resource["LogicalResourceId"]: resource["PhysicalResourceId"]
        for resource in described
        if resource["ResourceType"] == "AWS::IAM::Role"
    }


def statements_of(cloud: LocalCloud, role: str) -> list[Statement]:
    """Return all statements of a role, which has no managed policies."""
    iam = client(cloud, "iam")
    assert iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []
    documents = [
        iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]
    ]
    return [statement for document in documents for statement in document["Statement"]]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One action on one of the resources of a statement, which has a place among others."""

    at: int
    action: str
    resource: str

    def __str__(self) -> str:
        return f"{self.action} on {self.resource}"


def pieces_of(statements: Sequence[Statement]) -> Iterator[Piece]:
    """Yield all that statements allow, each of it by itself."""
    for at, statement in enumerate(statements):
        for action in _all(statement["Action"]):
            for resource in _all(statement["Resource"]):
                yield Piece(at=at, action=action, resource=resource)


def without(statements: Sequence[Statement], piece: Piece) -> list[Statement]:
    """Return the statements without a piece of them."""
    split = statements[piece.at]
    others = {
        "Action": [action for action in _all(split["Action"]) if action != piece.action],
        "Resource": split["Resource"],
    }
    rest = {
        "Action": piece.action,
        "Resource": [resource for resource in _all(split["Resource"]) if resource != piece.resource],
    }
    left = [{**split, **part} for part in (others, rest) if part["Action"] and part["Resource"]]
    return [*statements[: piece.at], *left, *statements[piece.at + 1 :]]


def not_missed(
    statements: Sequence[Statement], exercised: Callable[[Sequence[Statement]], tuple[User, str]]
) -> set[Piece]:
    """Take each piece away by itself; return those without which everything works.

    exercised:
        Does everything with the statements that are left; returns who did it, and what went wrong.
    """
    found = set()
    for piece in pieces_of(statements):
        user, wrong = exercised(without(statements, piece))
        if not wrong:
            found.add(piece)
            continue
        # And for that reason.
        assert user.denied, f"without {piece}: {wrong}"
        assert user.denied <= {piece.action, "HeadObject"}, f"without {piece}: {wrong}"
    return found


def actions_of(pieces: Iterable[Piece]) -> set[str]:
    return {piece.action for piece in pieces}


def _all(value: str | Sequence[str]) -> Sequence[str]:
    return [value] if isinstance(value, str) else value
