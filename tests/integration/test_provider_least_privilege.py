"""The policies of the roles around the CDK's framework of custom resources, in fleets and in copied models.

The framework's functions really run, with the roles that `waiting_provider` and the CDK gave them, or with
all but a piece of those. They are called as CloudFormation and the state machine call them.
"""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_lambda as lambda_
from botocore.exceptions import ClientError

from local_sagemaker.server import LocalCloud
from multi_adapter_inference import FunctionHosting
from multi_adapter_inference.functions.functions import FunctionParts
from multi_adapter_inference.functions.provider import waiting_provider
from tests.integration.by_hand import client
from tests.integration.fleet_stack import FleetStack
from tests.integration.policies import (
    FRAMEWORK,
    LOGS_AND_TRACES,
    Piece,
    Statement,
    User,
    actions_of,
    document,
    not_missed,
    pieces_of,
    roles_of,
    statements_of,
)
from tests.nightly import long

pytestmark = pytest.mark.integration

HANDLERS = {
    "OnEvent": "def handler(event, _):\n    return {'PhysicalResourceId': 'one'}",
    "IsComplete": "def handler(event, _):\n    return {'IsComplete': True}",
}

KINDS = {
    "ProviderEvent": "Event",
    "ProviderComplete": "Complete",
    "Providerwaiterstatemachine": "Waiter",
}
"""What the record of calls calls the roles."""

NOT_MISSED: Mapping[str, set[tuple[str, str]]] = {
    # The framework lets each of its functions call both handlers, all versions of them, and ask for their
    # state: one that was idle for long refuses a call, and is called again once it is active. In the embedded
    # cloud none is ever idle, and its SDK for Node.js takes every function for active without a call.
    "ProviderEvent": {
        ("lambda:GetFunction", "IsComplete"),
        ("lambda:GetFunction", "OnEvent"),
        ("lambda:InvokeFunction", "IsComplete"),
        ("lambda:InvokeFunction", "IsComplete:*"),
        ("lambda:InvokeFunction", "OnEvent:*"),
    },
    "ProviderComplete": {
        ("lambda:GetFunction", "IsComplete"),
        ("lambda:GetFunction", "OnEvent"),
        ("lambda:InvokeFunction", "IsComplete:*"),
        ("lambda:InvokeFunction", "OnEvent"),
        ("lambda:InvokeFunction", "OnEvent:*"),
    },
    # The logs are as LOGS_AND_TRACES has it.
    "Providerwaiterstatemachine": {
        ("lambda:InvokeFunction", "ProviderframeworkisComplete:*"),
        ("lambda:InvokeFunction", "ProviderframeworkonTimeout:*"),
        *((action, "*") for action in LOGS_AND_TRACES if action.startswith("logs:")),
        ("logs:CreateLogStream", "*"),
        ("logs:PutLogEvents", "*"),
    },
}
"""What the CDK's framework puts into a role, and nothing here needs."""


class ProviderStack(FleetStack):
    """A stack with the framework, around handlers that do nothing."""

    def _endpoint(self, stack: cdk.Stack) -> Any:
        functions = {
            name: lambda_.Function(
                stack,
                name,
                code=lambda_.Code.from_inline(code),
                handler="index.handler",
                runtime=lambda_.Runtime.PYTHON_3_13,
            )
            for name, code in HANDLERS.items()
        }
        provider = waiting_provider(
            stack,
            on_event=functions["OnEvent"],
            is_complete=functions["IsComplete"],
            timeout=cdk.Duration.minutes(1),
            query_interval=cdk.Duration.seconds(1),
            parts=FunctionParts(stack, FunctionHosting()),
        )
        # The CDK lets the framework log nothing; these tests read what it says of each call.
        for child in provider.node.find_all():
            if isinstance(child, lambda_.CfnFunction):
                child.add_property_override("LoggingConfig.ApplicationLogLevel", "INFO")


@dataclass(frozen=True, eq=False, kw_only=True)
class Deployed:
    """The framework as CloudFormation made it.

    resources, roles:
        Physical ids, by the ids in the construct.
    statements:
        Those of each role.
    """

    cloud: LocalCloud
    resources: Mapping[str, str]
    roles: Mapping[str, str]
    statements: Mapping[str, Sequence[Statement]]

    def label(self, piece: Piece) -> tuple[str, str]:
        """Return the action and the id of the function that a piece is about."""
        name, star, _ = piece.resource.rpartition(":function:")[2].partition(":*")
        labels = {physical: label for label, physical in self.resources.items()}
        return piece.action, labels.get(name, name) + star


@pytest.fixture(scope="module")
def deployed(guarded: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    stack = ProviderStack(guarded, tmp_path_factory.mktemp("provider"))
    made = stack.create()
    assert made.status == "CREATE_COMPLETE", made.reason
    described = client(guarded, "cloudformation").describe_stack_resources(StackName=stack.name)
    roles = {
        short(role): name
        for role, name in roles_of(guarded, stack.name).items()
        if role.startswith("Provider")
    }
    yield Deployed(
        cloud=guarded,
        resources={
            resource["LogicalResourceId"][:-8]: resource["PhysicalResourceId"]
            for resource in described["StackResources"]
        },
        roles=roles,
        statements={role: statements_of(guarded, name) for role, name in roles.items()},
    )
    assert stack.delete().status == "DELETE_COMPLETE"


def short(role: str) -> str:
    """Return the id that a role has in the construct, without its end."""
    return role[:-8].removesuffix("Role")


@dataclass(eq=False)
class Exercise:
    """The framework, one of whose roles has these statements for a while."""

    place: Deployed
    role: str
    statements: Sequence[Statement]

    def __post_init__(self) -> None:
        cloud = self.place.cloud
        self.iam, self.functions = client(cloud, "iam"), client(cloud, "lambda")
        self.machines = client(cloud, "stepfunctions")
        # In the embedded cloud, nothing follows the name of a log group.
        text = json.dumps(self.statements).replace(f"{self.logs}:*", f"{self.logs}*")
        self.user = User(cloud, json.loads(text), role=f"provider.{KINDS[self.role]}")

    @property
    def logs(self) -> str:
        return self.place.resources["ProviderLogs"]

    def __enter__(self) -> Exercise:
        name = self.place.roles[self.role]
        self._policies = {
            policy: self.iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
            for policy in self.iam.list_role_policies(RoleName=name)["PolicyNames"]
        }
        for policy in self._policies:
            self.iam.delete_role_policy(RoleName=name, PolicyName=policy)
        self.iam.put_role_policy(RoleName=name, PolicyName="tried", PolicyDocument=document(self.statements))
        return self

    def __exit__(self, *_: object) -> None:
        name = self.place.roles[self.role]
        self.iam.delete_role_policy(RoleName=name, PolicyName="tried")
        for policy, kept in self._policies.items():
            self.iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(kept))

    def event(self) -> dict[str, Any]:
        """Return an event of CloudFormation, whose answer nobody waits for."""
        return {
            "RequestType": "Create",
            "RequestId": uuid.uuid4().hex,
            "StackId": "arn:aws:cloudformation:us-east-1:000000000000:stack/one/1",
            "LogicalResourceId": "One",
            "ResponseURL": f"{self.place.cloud.url}/_ministack/cfn-response/{uuid.uuid4()}",
            "ResourceProperties": {},
        }

    def call(self, function: str, event: Mapping[str, Any]) -> str:
        """Call a function of the framework; return the end of its log."""
        answer = self.functions.invoke(
            FunctionName=self.place.resources[f"Providerframework{function}"],
            LogType="Tail",
            Payload=json.dumps(event),
        )
        said = base64.b64decode(answer["LogResult"]).decode()
        self.user.denied |= set(re.findall(r"not authorized to perform: (\S+)", said))
        assert "FunctionError" not in answer, said
        return said

    def waited_for(self, event: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return what the waiting state machine was started with for an event; None where it was not."""
        machine = self.place.resources["Providerwaiterstatemachine"]
        for execution in self.machines.list_executions(stateMachineArn=machine)["executions"]:
            described = self.machines.describe_execution(executionArn=execution["executionArn"])
            given: dict[str, Any] = json.loads(described["input"])
            if given["RequestId"] == event["RequestId"]:
                return given
        return None


def on_event(exercise: Exercise) -> None:
    exercise.user.runs_as_function(logs=exercise.logs, dead_letters=exercise.place.resources["DeadLetters"])
    event = exercise.event()
    exercise.call("onEvent", event)
    given = exercise.waited_for(event)
    assert given is not None
    # The handler's: the Node.js of the embedded cloud takes a call that is denied for one that is answered.
    assert given["PhysicalResourceId"] == "one"


def is_complete(exercise: Exercise) -> None:
    exercise.user.runs_as_function(logs=exercise.logs, dead_letters=exercise.place.resources["DeadLetters"])
    event = {**exercise.event(), "PhysicalResourceId": "one"}
    assert '"Status": "SUCCESS"' in exercise.call("isComplete", event)
    cause = json.dumps({"errorMessage": json.dumps(event)})
    assert "Operation timed out" in exercise.call("onTimeout", {"Error": "Retry", "Cause": cause})


def waiter(exercise: Exercise) -> None:
    machine = exercise.place.resources["Providerwaiterstatemachine"]
    deployed = exercise.machines.describe_state_machine(stateMachineArn=machine)
    exercise.user.runs(json.loads(deployed["definition"]))


EXERCISES: dict[str, Callable[[Exercise], None]] = {
    "ProviderEvent": on_event,
    "ProviderComplete": is_complete,
    "Providerwaiterstatemachine": waiter,
}


def exercised(deployed: Deployed, role: str, statements: Sequence[Statement]) -> tuple[User, str]:
    """Do all that a role does; return who did it, and what went wrong."""
    with Exercise(deployed, role, statements) as exercise:
        try:
            EXERCISES[role](exercise)
        except (AssertionError, ClientError) as error:
            return exercise.user, str(error) or repr(error)
    return exercise.user, ""


def test_every_role_is_tried(deployed: Deployed) -> None:
    tried = {role: actions_of(pieces_of(statements)) for role, statements in deployed.statements.items()}
    assert tried == FRAMEWORK


@pytest.mark.parametrize("role", EXERCISES)
def test_policy_suffices(deployed: Deployed, role: str) -> None:
    user, wrong = exercised(deployed, role, deployed.statements[role])
    assert (wrong, user.denied) == ("", set())


@long
@pytest.mark.parametrize("role", EXERCISES)
def test_nothing_in_a_policy_can_be_done_without_but_what_the_framework_adds(
    deployed: Deployed, role: str
) -> None:
    found = not_missed(deployed.statements[role], lambda left: exercised(deployed, role, left))
    assert {deployed.label(piece) for piece in found} == NOT_MISSED[role]
