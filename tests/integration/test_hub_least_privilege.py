"""The policies of a copied model's roles: they suffice, and nothing in them is too much.

The statements are those that CloudFormation made. The functions' own code runs in this process, as users who
have these statements, or all but a piece of them. Not in here:

- The use of a bucket's own key (`kms:…`), which is given by the CDK's grants: the embedded cloud's S3 does
  not ask KMS whether its caller may.
- The roles of the CDK's framework, which are tried in `test_provider_least_privilege`.
"""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aws_cdk as cdk
import boto3
import pytest
from aws_cdk import aws_iam, aws_logs, aws_secretsmanager, aws_stepfunctions
from aws_cdk.assertions import Template
from botocore.exceptions import ClientError

from adapter_fleet.hub.copy import CopyError
from adapter_fleet.lambdas import hub_copy as hub_handlers
from local_sagemaker.server import LocalCloud
from tests.hub import COMMIT, File, Generated, HubStandIn, Stored
from tests.integration.by_hand import client
from tests.integration.hub_stack import PART, HubStack
from tests.integration.policies import (
    FRAMEWORK,
    LOGS_AND_TRACES,
    Statement,
    User,
    actions_of,
    document,
    not_missed,
    pieces_of,
    roles_of,
    statements_of,
)

pytestmark = pytest.mark.integration

MODEL, WHO = "acme/tiny", "me"
TOKEN = "hf_theSecretThatNobodyMaySee"
SMALL, LARGE = "config.json", "model.safetensors"
OTHER_COMMIT = "0f" * 20

NOT_MISSED: Mapping[str, set[str]] = {
    # Beside GetSecretValue, in the one grant that the CDK has.
    "Plan": {"secretsmanager:DescribeSecret"},
    "Copy": {"secretsmanager:DescribeSecret"},
    "Machine": LOGS_AND_TRACES,
}
"""What the CDK puts into a role, and nothing here needs."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Deployed:
    """A copy that CloudFormation made, whose policies are tried."""

    cloud: LocalCloud
    s3: Any
    machines: Any
    hub: HubStandIn
    bucket: str
    secret: str
    machine: str
    idle_role: str
    """The ARN of a role for state machines."""
    logs: str
    dead_letters: str
    statements: Mapping[str, Sequence[Statement]]
    """All that were given to each role."""


@pytest.fixture(scope="module")
def deployed(guarded: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    s3, secrets, iam = (client(guarded, name) for name in ("s3", "secretsmanager", "iam"))
    bucket = f"hub-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=bucket)
    secret = str(secrets.create_secret(Name=bucket, SecretString=TOKEN)["ARN"])
    files = {
        SMALL: File(Stored(b"{}"), lfs=False),
        LARGE: File(Generated(PART + 1, 1)),
    }
    guarded.admin.scale_waits(0.1)
    with HubStandIn(MODEL, files, token=TOKEN) as hub:
        stack = HubStack(
            guarded, tmp_path_factory.mktemp("least-privilege"), hub, bucket=bucket, secret=secret
        )
        made = stack.create()
        assert made.status == "CREATE_COMPLETE", made.reason
        guarded.admin.scale_waits(1)
        described = client(guarded, "cloudformation").describe_stack_resources(StackName=stack.name)
        logs, dead_letters = (
            next(
                resource["PhysicalResourceId"]
                for resource in described["StackResources"]
                if resource["ResourceType"] == type_ and resource["LogicalResourceId"].startswith(name)
            )
            for type_, name in (("AWS::Logs::LogGroup", "ModelLogs"), ("AWS::SQS::Queue", "ModelDeadLetters"))
        )
        trust = {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"Service": "states.amazonaws.com"},
        }
        idle_role = iam.create_role(
            RoleName=f"idle-{stack.name}", AssumeRolePolicyDocument=document([trust])
        )["Role"]["Arn"]
        roles = roles_of(guarded, stack.name).items()
        yield Deployed(
            cloud=guarded,
            s3=s3,
            machines=client(guarded, "stepfunctions"),
            hub=hub,
            bucket=bucket,
            secret=secret,
            machine=made.outputs["Machine"],
            idle_role=idle_role,
            logs=logs,
            dead_letters=dead_letters,
            statements={short(role): statements_of(guarded, name) for role, name in roles},
        )
        guarded.admin.scale_waits(0.1)
        assert stack.delete().status == "DELETE_COMPLETE"
        guarded.admin.scale_waits(1)
    secrets.delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)


def short(role: str) -> str:
    """Return the id that a role has in the construct, without its end."""
    return role.removeprefix("Model")[:-8].removesuffix("Role")


@dataclass(eq=False)
class Exercise:
    """A copy of its own in the deployed bucket, made by the functions' code as a user.

    statements:
        Those of a role; here they are about this one's prefix and state machine.
    """

    place: Deployed
    role: str
    statements: Sequence[Statement]
    patch: pytest.MonkeyPatch
    id: str = field(default_factory=lambda: f"x{uuid.uuid4().hex[:10]}")

    def __post_init__(self) -> None:
        place, cloud = self.place, self.place.cloud
        self.s3, self.machines = place.s3, place.machines
        self.folder = f"{self.id}/acme--tiny/{COMMIT}"
        # It goes on for as long as nobody stops it, unless it is told what became of a copy.
        told = {"Variable": "$.commit", "IsPresent": True, "Next": "Done"}
        self.machine = self.machines.create_state_machine(
            name=self.id,
            definition=json.dumps(
                {
                    "StartAt": "Told?",
                    "States": {
                        "Told?": {"Type": "Choice", "Choices": [told], "Default": "Wait"},
                        "Wait": {"Type": "Wait", "Seconds": 3600, "Next": "Done"},
                        "Done": {"Type": "Succeed"},
                    },
                }
            ),
            roleArn=place.idle_role,
        )["stateMachineArn"]
        text = json.dumps(list(self.statements))
        for theirs, mine in (
            ("models/acme--tiny/", f"{self.id}/acme--tiny/"),
            (place.machine.rpartition(":")[2], self.id),
            # In the embedded cloud, nothing follows the name of a log group.
            (f"{place.logs}:*", f"{place.logs}*"),
        ):
            text = text.replace(theirs, mine)
        self.user = User(cloud, json.loads(text), role=f"hub.{self.role}")
        # The handlers make their clients themselves.
        self.patch.setattr(boto3, "DEFAULT_SESSION", self.user.session)
        hub_handlers._s3.cache_clear()
        for name, value in {
            "AWS_ENDPOINT_URL": cloud.url,
            "AWS_CA_BUNDLE": cloud.environment["AWS_CA_BUNDLE"],
            "HUB_ENDPOINT": place.hub.url,
            "TOKEN_SECRET": place.secret,
            "STATE_MACHINE_ARN": self.machine,
        }.items():
            self.patch.setenv(name, value)

    def close(self) -> None:
        hub_handlers._s3.cache_clear()
        for execution in self.executions("RUNNING"):
            self.machines.stop_execution(executionArn=execution)
        self.machines.delete_state_machine(stateMachineArn=self.machine)
        for key, upload in self.uploads():
            self.s3.abort_multipart_upload(Bucket=self.place.bucket, Key=key, UploadId=upload)
        for key in self.objects():
            self.s3.delete_object(Bucket=self.place.bucket, Key=key)

    # --- what there is

    def objects(self) -> list[str]:
        listed = self.s3.list_objects_v2(Bucket=self.place.bucket, Prefix=f"{self.id}/")
        return [item["Key"] for item in listed.get("Contents", [])]

    def has(self, kind: str) -> bool:
        """Tell whether there is an object of a kind, by what its key says after the commit."""
        return any(key.startswith(f"{self.folder}{kind}") for key in self.objects())

    def uploads(self) -> list[tuple[str, str]]:
        listed = self.s3.list_multipart_uploads(Bucket=self.place.bucket, Prefix=f"{self.id}/")
        return [(item["Key"], item["UploadId"]) for item in listed.get("Uploads", [])]

    def executions(self, status: str) -> list[str]:
        listed = self.machines.list_executions(stateMachineArn=self.machine, statusFilter=status)
        return [item["executionArn"] for item in listed["executions"]]

    # --- what others do

    def put(self, key: str, body: bytes | str | dict[str, Any]) -> str:
        """Write an object; return its ETag."""
        content = json.dumps(body) if isinstance(body, dict) else body
        return str(self.s3.put_object(Bucket=self.place.bucket, Key=key, Body=content)["ETag"])

    def put_file(self, path: str, *, verified: bool = True) -> None:
        """Copy a file whole."""
        etag = self.put(f"{self.folder}/{path}", self.bytes_of(path))
        if verified:
            self.put(f"{self.folder}.verified/{path}/{etag.strip(chr(34))}", b"")

    def bytes_of(self, path: str) -> bytes:
        content = self.place.hub.files[path].content
        return b"".join(content.read(0, content.size))

    def begin_upload(self) -> str:
        """Begin to upload the large file."""
        return str(
            self.s3.create_multipart_upload(
                Bucket=self.place.bucket, Key=f"{self.folder}/{LARGE}", ChecksumAlgorithm="CRC32"
            )["UploadId"]
        )

    def resolve(self) -> None:
        """Note what the branch is."""
        self.put(f"{self.id}/acme--tiny/revisions/{WHO}/main.json", {"revision": "main", "commit": COMMIT})

    def want(self) -> None:
        """Note which files are wanted, and that they are copied."""
        self.put(f"{self.folder}.plan.json", {"files": [self.file(SMALL), self.file(LARGE)]})
        self.put(f"{self.folder}.copying/{WHO}.json", {})

    def start(self, name: str, **told: Any) -> str:
        """Start an execution, which ends at once where it is told something."""
        return str(
            self.machines.start_execution(stateMachineArn=self.machine, name=name, input=json.dumps(told))[
                "executionArn"
            ]
        )

    # --- what is asked for

    @property
    def request(self) -> dict[str, Any]:
        return {
            "model_id": MODEL,
            "revision": "main",
            "bucket": self.place.bucket,
            "prefix": f"{self.id}/",
            "who": WHO,
            "part_bytes": PART,
        }

    def file(self, path: str) -> dict[str, Any]:
        file = self.place.hub.files[path]
        digest = f"{'sha256' if file.lfs else 'git-blob-sha1'}:{file.digest}"
        return {"path": path, "size": file.content.size, "digest": digest}

    def plan(self, *outcomes: dict[str, Any]) -> Any:
        event = {"request": self.request, "outcomes": outcomes, "round": 0, "attempt": 0}
        return hub_handlers.plan(event, None)  # type: ignore[arg-type]

    def of_file(self, path: str, **further: Any) -> dict[str, Any]:
        event = {"request": self.request, "commit": COMMIT, "file": self.file(path), "attempt": 0}
        return {**event, "outcomes": [], "looks": 0, **further}

    def advance(self, path: str, **further: Any) -> dict[str, Any]:
        return hub_handlers.advance(self.of_file(path, **further), None)  # type: ignore[arg-type]

    def copy(self, path: str, **further: Any) -> dict[str, Any]:
        return hub_handlers.copy_range(self.of_file(path, **further), None)  # type: ignore[arg-type]

    def event(self, kind: str, **further: Any) -> dict[str, Any]:
        """Return what the provider framework hands on of an event of CloudFormation."""
        properties = {
            "ModelId": MODEL,
            "Revision": "main",
            "Bucket": self.place.bucket,
            "Prefix": f"{self.id}/",
            "Who": WHO,
            "PartBytes": str(PART),
            "TimeoutSeconds": "3000",
        }
        return {
            "RequestType": kind,
            "RequestId": uuid.uuid4().hex,
            "ResourceProperties": properties,
            "OldResourceProperties": {**properties, "Revision": OTHER_COMMIT},
            **further,
        }

    def on_event(self, event: Mapping[str, Any]) -> dict[str, Any]:
        return {**event, **hub_handlers.on_event(event, None)}  # type: ignore[arg-type]

    def is_complete(self, event: Mapping[str, Any]) -> Any:
        """Return the answer, or the words of an error."""
        try:
            return hub_handlers.is_complete(event, None)  # type: ignore[arg-type]
        except CopyError as error:
            return str(error)


def plan(exercise: Exercise) -> None:
    # A branch is resolved, and what is wanted noted.
    assert [file["path"] for file in exercise.plan()["files"]] == [SMALL, LARGE]
    assert all(exercise.has(kind) for kind in (".plan.json", ".copying/"))

    # What is known is not asked for again; what cannot be had ends the copy.
    exercise.begin_upload()
    with contextlib.suppress(CopyError):
        exercise.plan({"reason": "it is gone", "final": True})
    assert not exercise.has(".copying/")
    assert exercise.uploads() == []

    # The last execution was stopped before its end.
    exercise.begin_upload()
    for path in (SMALL, LARGE):
        exercise.put_file(path)
    assert exercise.plan()["done"]
    assert exercise.uploads() == []
    assert exercise.has(".complete.json")
    assert not any(exercise.has(kind) for kind in (".plan.json", ".verified/"))


def advance(exercise: Exercise) -> None:
    # A file in one piece, one in ranges, and one that is not what the hub says.
    assert exercise.advance(SMALL).get("parts") == [0]
    look = exercise.advance(LARGE)
    assert look.get("parts") == [1, 2]
    content = exercise.bytes_of(LARGE)
    for number, body in ((1, content[:PART]), (2, content[PART:])):
        exercise.s3.upload_part(
            Bucket=exercise.place.bucket,
            Key=f"{exercise.folder}/{LARGE}",
            UploadId=look["upload"],
            PartNumber=number,
            Body=body,
            ChecksumAlgorithm="CRC32",
        )
    assert exercise.advance(LARGE, looks=1, outcomes=[{}, {}]) == {"done": True}
    assert exercise.has(f".verified/{LARGE}/")
    assert exercise.advance(LARGE) == {"done": True}

    wrong = {**exercise.file(LARGE), "path": "wrong.safetensors"}
    exercise.put(f"{exercise.folder}/wrong.safetensors", b"x" * len(content))
    assert "are not those of its sha256" in exercise.advance(LARGE, file=wrong)["reason"]
    assert not exercise.has("/wrong.safetensors")


def copy_range(exercise: Exercise) -> None:
    assert exercise.copy(LARGE, part=2, upload=exercise.begin_upload()) == {}
    assert exercise.copy(SMALL, part=0, upload="") == {}
    assert exercise.has(f".verified/{SMALL}/")


def on_event(exercise: Exercise) -> None:
    before = exercise.start("before")
    exercise.on_event(exercise.event("Create"))
    assert exercise.executions("ABORTED") == [before]
    assert len(exercise.executions("RUNNING")) == 1


def is_complete(exercise: Exercise) -> None:
    delivery = "0" * 24
    event = exercise.event("Create", Delivery=delivery, StartedAt=time.time())
    waits = {"IsComplete": False}

    # One that a person stops is started again; one that has no time left says how far it is, and is stopped.
    exercise.machines.stop_execution(executionArn=exercise.start(f"{delivery}-1"))
    assert exercise.is_complete(event) == waits
    assert len(exercise.executions("RUNNING")) == 1
    exercise.resolve()
    exercise.want()
    exercise.put_file(SMALL)
    told = exercise.is_complete({**event, "StartedAt": 0})
    assert "is not copied after 50 minutes, the timeout: 1 of 2 files" in told
    assert exercise.executions("RUNNING") == []

    # An update gives up what the version before has begun.
    updated = exercise.event("Update", Delivery="1" * 24, StartedAt=time.time())
    exercise.start(f"{'1' * 24}-1", commit=COMMIT, prefix=f"{exercise.folder}/", files=2, bytes=PART)
    deadline = time.monotonic() + 10
    while exercise.is_complete(updated) == waits:
        assert time.monotonic() < deadline, exercise.user.denied
        assert exercise.user.denied == set()
        time.sleep(0.02)

    # The end.
    exercise.begin_upload()
    exercise.start("other")
    deleted = exercise.event("Delete", Delivery="2" * 24, StartedAt=time.time())
    # One call finds the execution and the upload, another one that there is nothing left.
    for answer in (False, True):
        assert exercise.is_complete(deleted) == {"IsComplete": answer}
    assert exercise.executions("RUNNING") == []
    assert exercise.uploads() == []
    assert not exercise.has(".copying/")
    assert not any("/revisions/" in key for key in exercise.objects())


def machine(exercise: Exercise) -> None:
    deployed = exercise.machines.describe_state_machine(stateMachineArn=exercise.place.machine)
    exercise.user.runs(json.loads(deployed["definition"]), exercise.machine)


EXERCISES: dict[str, Callable[[Exercise], None]] = {
    "Plan": plan,
    "Advance": advance,
    "Copy": copy_range,
    "OnEvent": on_event,
    "IsComplete": is_complete,
    "Machine": machine,
}


def exercised(deployed: Deployed, role: str, statements: Sequence[Statement]) -> tuple[User, str]:
    """Do all that a role does; return who did it, and what went wrong."""
    with pytest.MonkeyPatch.context() as patch:
        exercise = Exercise(deployed, role, statements, patch)
        try:
            if role != "Machine":
                exercise.user.runs_as_function(logs=deployed.logs, dead_letters=deployed.dead_letters)
            EXERCISES[role](exercise)
        except (AssertionError, ClientError, CopyError) as error:
            return exercise.user, str(error) or repr(error)
        finally:
            exercise.close()
    return exercise.user, ""


def test_every_role_is_tried(deployed: Deployed) -> None:
    assert set(deployed.statements) == {*EXERCISES, *FRAMEWORK}
    framework = {role: actions_of(pieces_of(deployed.statements[role])) for role in FRAMEWORK}
    assert framework == FRAMEWORK


@pytest.mark.parametrize("role", EXERCISES)
def test_policy_suffices(deployed: Deployed, role: str) -> None:
    user, wrong = exercised(deployed, role, deployed.statements[role])
    assert (wrong, user.denied) == ("", set())


@pytest.mark.parametrize("role", EXERCISES)
def test_nothing_in_a_policy_can_be_done_without(deployed: Deployed, role: str) -> None:
    found = not_missed(deployed.statements[role], lambda left: exercised(deployed, role, left))
    assert actions_of(found) == NOT_MISSED.get(role, set())


def test_what_is_not_missed_is_put_there_by_the_cdk() -> None:
    stack = cdk.Stack(cdk.App(analytics_reporting=False), "Bare")
    role = aws_iam.Role(stack, "Role", assumed_by=aws_iam.ServicePrincipal("states.amazonaws.com"))
    aws_stepfunctions.StateMachine(
        stack,
        "Machine",
        definition_body=aws_stepfunctions.DefinitionBody.from_string("{}"),
        role=role,
        logs=aws_stepfunctions.LogOptions(destination=aws_logs.LogGroup(stack, "Logs")),
        tracing_enabled=True,
    )
    secret = "arn:aws:secretsmanager:us-east-1:000000000000:secret:hub-AbCdEf"
    aws_secretsmanager.Secret.from_secret_complete_arn(stack, "Secret", secret).grant_read(role)
    policies = Template.from_stack(stack).find_resources("AWS::IAM::Policy").values()
    statements = [
        statement for policy in policies for statement in policy["Properties"]["PolicyDocument"]["Statement"]
    ]
    assert set().union(*NOT_MISSED.values()) <= actions_of(pieces_of(statements))
