"""The policies of a fleet's functions: they suffice, none of their actions is too much, and none reaches
beyond the fleet.

The statements are those that CloudFormation made. The functions' own code runs in this process, as users who
have these statements, or all but one action of them.
"""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from random import Random
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from adapter_fleet.desired import Artifact, DesiredAdapter, DesiredFleet, SmokeRequest
from adapter_fleet.dynamodb_registry import DynamoDbRegistry
from adapter_fleet.fleet_settings import FailureLimit, FleetSettings
from adapter_fleet.handlers import _Rollbacks, _S3Manifests, _Starter
from adapter_fleet.intake import Intake
from adapter_fleet.reconciler import Call, Reconciler, Result
from adapter_fleet.record import (
    AdapterRecord,
    Cause,
    Event,
    FleetRecord,
    Generation,
    Order,
    OrderKind,
    Outcome,
    Request,
    Source,
    Target,
)
from adapter_fleet.sagemaker_service import CLIENT_CONFIG, SageMakerService
from local_sagemaker.server import LocalCloud
from tests.integration.by_hand import client
from tests.integration.fleet_stack import BROKEN, Archives, Fleet, FleetStack, numbered

pytestmark = pytest.mark.integration

LOGS = ("logs:CreateLogStream", "logs:PutLogEvents")
OPENS = tuple(f"dynamodb:{name}" for name in ("BatchWriteItem", "GetItem", "PutItem", "Query", "UpdateItem"))

ACTIONS = {
    "RunPass": (
        *LOGS,
        *OPENS,
        "dynamodb:ConditionCheckItem",
        "dynamodb:DeleteItem",
        "s3:GetObject",
        "s3:ListBucket",
        "sagemaker:AddTags",  # to what has no fleet
        "sagemaker:AddTags",  # to what is the fleet's
        "sagemaker:CreateInferenceComponent",
        "sagemaker:DeleteInferenceComponent",
        "sagemaker:DeleteTags",
        "sagemaker:DescribeInferenceComponent",
        "sagemaker:InvokeEndpoint",  # on the components
        "sagemaker:InvokeEndpoint",  # on the endpoint
        "sagemaker:ListInferenceComponents",
        "sagemaker:ListTags",
        "sagemaker:UpdateInferenceComponent",
        "states:StartExecution",
    ),
    "OnEvent": (
        "cloudformation:DescribeStacks",
        *LOGS,
        *OPENS,
        "s3:GetObject",
        "s3:ListBucket",
        "states:StartExecution",
    ),
    "ManifestObject": (*LOGS, *OPENS, "s3:GetObject", "s3:ListBucket", "states:StartExecution"),
    "IsComplete": (*LOGS, "dynamodb:GetItem", "states:StartExecution"),
}
"""All that each function may do, an action once for each statement that it is in."""

SINGLE = [
    pytest.param(role, action, which, id=f"{role}-{action}" + (f"-{which}" if which else ""))
    for role, actions in ACTIONS.items()
    for action, count in Counter(actions).items()
    for which in range(count)
]

Statement = dict[str, Any]


class Skipping:
    """A clock that does not wait: it goes on by what it was asked to."""

    def __init__(self) -> None:
        self._skipped = 0.0

    def now(self) -> float:
        return time.time() + self._skipped

    def sleep(self, seconds: float) -> None:
        slept = min(seconds, 0.02)
        time.sleep(slept)
        self._skipped += seconds - slept


class Silent:
    """Telemetry of no one."""

    def changed(self, event: Event) -> None:
        pass

    def measured(
        self, generation: Generation, fleet: FleetRecord, *, age: float, throttles: int, drifted: int
    ) -> None:
        pass

    def trouble(self, text: str) -> None:
        pass


class User:
    """Someone with these statements, and what they were denied."""

    def __init__(self, cloud: LocalCloud, statements: Sequence[Statement]) -> None:
        self._cloud = cloud
        iam, name = client(cloud, "iam"), f"user-{uuid.uuid4().hex}"
        iam.create_user(UserName=name)
        iam.put_user_policy(
            UserName=name,
            PolicyName="own",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": list(statements)}),
        )
        key = iam.create_access_key(UserName=name)["AccessKey"]
        self._keys = (key["AccessKeyId"], key["SecretAccessKey"])
        self._clients: dict[str, Any] = {}
        self.denied: set[str] = set()

    def client(self, service: str) -> Any:
        if service in self._clients:
            return self._clients[service]
        made = boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self._cloud.url,
            region_name=self._cloud.environment["AWS_DEFAULT_REGION"],
            verify=self._cloud.environment["AWS_CA_BUNDLE"],
            aws_access_key_id=self._keys[0],
            aws_secret_access_key=self._keys[1],
            config=CLIENT_CONFIG,
        )
        made.meta.events.register("after-call", self._note)
        self._clients[service] = made
        return made

    def _note(self, http_response: Any, parsed: Mapping[str, Any], model: Any, **_: Any) -> None:
        if http_response.status_code in (400, 403) and "not authorized" in str(parsed):
            self.denied.add(parsed["Error"]["Message"].partition("perform: ")[2].partition(" ")[0])
        elif http_response.status_code == 403:
            self.denied.add(model.name)  # HeadObject: such an answer has no text


@dataclass(frozen=True, eq=False)
class Deployed:
    """A fleet that CloudFormation made, whose policies are tried."""

    cloud: LocalCloud
    stack: FleetStack
    stack_id: str
    endpoint: str
    base: str
    uid: str
    table: str
    machine: str
    role: str
    """The ARN of a role for state machines."""
    logs: str
    manifest: tuple[str, str]
    statements: Mapping[str, Sequence[Statement]]
    """All that were given to the role of each function."""
    outputs: Mapping[str, str]

    def client(self, service: str) -> Any:
        """Return a client that may do everything."""
        return _client(self.cloud, service)


@cache
def _client(cloud: LocalCloud, service: str) -> Any:
    return client(cloud, service)


def statements_of(cloud: LocalCloud, resources: Mapping[str, str], function: str) -> Sequence[Statement]:
    """Return all statements of a function's role; resources are a stack's, by logical id."""
    iam = client(cloud, "iam")
    (role,) = [name for key, name in resources.items() if key.startswith(f"Stored{function}Role")]
    assert iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []
    documents = [
        iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]
    ]
    return [statement for document in documents for statement in document["Statement"]]


@pytest.fixture(scope="module")
def deployed(guarded: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    stack = FleetStack(guarded, tmp_path_factory.mktemp("least-privilege"))
    bucket, key = Archives.bucket, f"manifests/{stack.name}.json"
    stack.archives.uri("triage")  # makes the bucket
    made = stack.create({"Stored": Fleet(stored=(bucket, key))})
    assert made.status == "CREATE_COMPLETE", made.reason
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "states.amazonaws.com"}}
    role = client(guarded, "iam").create_role(
        RoleName=f"idle-{stack.name}",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )["Role"]["Arn"]
    described = client(guarded, "cloudformation").describe_stack_resources(StackName=stack.name)
    resources = {
        resource["LogicalResourceId"]: resource["PhysicalResourceId"]
        for resource in described["StackResources"]
    }
    before = guarded.admin.settings()
    guarded.admin.change_settings(
        component_create_seconds=0, component_update_seconds=0, component_delete_seconds=0
    )
    yield Deployed(
        cloud=guarded,
        stack=stack,
        stack_id=described["StackResources"][0]["StackId"],
        endpoint=made.outputs["EndpointName"],
        base=made.outputs["BaseComponentName"],
        uid=made.outputs["StoredUid"],
        table=made.outputs["StoredTable"],
        machine=made.outputs["StoredMachine"],
        role=role,
        logs=next(name for key, name in resources.items() if key.startswith("StoredLogs")),
        manifest=(bucket, key),
        statements={function: statements_of(guarded, resources, function) for function in ACTIONS},
        outputs=made.outputs,
    )
    guarded.admin.change_settings(**before)
    assert stack.delete().status == "DELETE_COMPLETE"


class Exercise:
    """A fleet of its own on the deployed endpoint, kept by the functions' code as a user.

    statements:
        Those of the deployed fleet's role; here they are about this one's table, tag and state machine.
    """

    def __init__(self, deployed: Deployed, statements: Sequence[Statement]) -> None:
        self.place = deployed
        self.id = f"x{uuid.uuid4().hex[:10]}"
        self.uid, self.table = f"fleet-{self.id}", f"table-{self.id}"
        # It does nothing.
        self.machine = deployed.client("stepfunctions").create_state_machine(
            name=self.id,
            definition=json.dumps({"StartAt": "Idle", "States": {"Idle": {"Type": "Succeed"}}}),
            roleArn=deployed.role,
        )["stateMachineArn"]
        text = json.dumps(list(statements))
        for theirs, mine in (
            (deployed.uid, self.uid),
            (deployed.table, self.table),
            (deployed.machine, self.machine),
            # The embedded cloud's name of a log group does not end so.
            (f"{deployed.logs}:*", deployed.logs),
        ):
            text = text.replace(theirs, mine)
        self.statements: list[Statement] = json.loads(text)
        self.user = User(deployed.cloud, self.statements)
        self.clock = Skipping()
        self.sagemaker = deployed.client("sagemaker")
        own = deployed.client("dynamodb")
        own.create_table(
            TableName=self.table,
            KeySchema=[
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "S"},
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        self.registry = DynamoDbRegistry(self.table, own)
        """As it is, whoever asks."""
        self.target = Target(
            endpoint=deployed.endpoint,
            base=deployed.base,
            prefix=self.id,
            settings=FleetSettings(request_rate=100, failures=FailureLimit(count=0)),
        )

    def close(self) -> None:
        deadline = time.monotonic() + 20
        while names := self.components():
            assert time.monotonic() < deadline, f"left: {names}"
            for name in names:
                # What is under way ends first.
                with contextlib.suppress(self.sagemaker.exceptions.ClientError):
                    self.sagemaker.delete_inference_component(InferenceComponentName=name)
            time.sleep(0.05)
        self.place.client("dynamodb").delete_table(TableName=self.table)
        self.place.client("stepfunctions").delete_state_machine(stateMachineArn=self.machine)

    @cached_property
    def theirs(self) -> DynamoDbRegistry:
        """The registry as the function sees it."""
        return DynamoDbRegistry(self.table, self.user.client("dynamodb"), sleep=self.clock.sleep)

    def write_logs(self) -> None:
        """What the Lambda service does as the function's role."""
        logs, group = self.user.client("logs"), self.place.logs
        logs.create_log_stream(logGroupName=group, logStreamName=self.id)
        logs.put_log_events(
            logGroupName=group,
            logStreamName=self.id,
            logEvents=[{"timestamp": int(time.time() * 1000), "message": "START"}],
        )

    def starter(self) -> _Starter:
        return _Starter(self.user.client("stepfunctions"), self.machine)

    def executions(self) -> int:
        states = self.place.client("stepfunctions")
        return len(states.list_executions(stateMachineArn=self.machine)["executions"])

    # --- what there is

    def components(self) -> list[str]:
        listed = self.sagemaker.list_inference_components(NameContains=self.id)["InferenceComponents"]
        return sorted(item["InferenceComponentName"] for item in listed)

    def make(self, name: str, label: str) -> float:
        """Make a component by hand; return its creation time."""
        component = f"{self.id}-{name}"
        self.sagemaker.create_inference_component(
            InferenceComponentName=component,
            EndpointName=self.place.endpoint,
            Specification={
                "BaseInferenceComponentName": self.place.base,
                "Container": {"ArtifactUrl": self.place.stack.archives.uri(label)},
            },
        )
        deadline = time.monotonic() + 10
        while (there := self._describe(component))["InferenceComponentStatus"] != "InService":
            assert time.monotonic() < deadline, there
            time.sleep(0.02)
        return float(there["CreationTime"].timestamp())

    def _describe(self, component: str) -> dict[str, Any]:
        return dict(self.sagemaker.describe_inference_component(InferenceComponentName=component))

    def serves(self, name: str) -> str:
        """Return the artifact of a component that is in service."""
        there = self._describe(f"{self.id}-{name}")
        assert there["InferenceComponentStatus"] == "InService", there
        return str(there["Specification"]["Container"]["ArtifactUrl"])

    def arn(self, name: str) -> str:
        return str(self._describe(f"{self.id}-{name}")["InferenceComponentArn"])

    def tags(self, name: str) -> dict[str, str]:
        tags = self.sagemaker.list_tags(ResourceArn=self.arn(name))["Tags"]
        return {tag["Key"]: tag["Value"] for tag in tags}

    def record(self, name: str) -> AdapterRecord:
        return self.registry.records()[f"{self.id}-{name}"]

    def newest(self) -> Generation:
        fleet = self.registry.fleet()
        assert fleet is not None
        generation = self.registry.generation(fleet.generation)
        assert generation is not None
        return generation

    # --- what is asked for

    def adapter(self, name: str, artifact: str, **fields: Any) -> DesiredAdapter:
        uri = artifact if artifact.startswith("s3:") else self.place.stack.archives.uri(artifact)
        return DesiredAdapter(name=name, component=f"{self.id}-{name}", artifact=Artifact(uri=uri), **fields)

    def want(self, *adapters: DesiredAdapter, source: Source = Source.DEPLOYMENT) -> None:
        self.registry.register(FleetRecord(uid=self.uid, name="fleet", machine=self.machine))
        request = Request(delivery=uuid.uuid4().hex, source=source, target=self.target, at=self.clock.now())
        self.registry.open_generation(request, DesiredFleet(adapters=adapters))

    def run(self) -> Generation:
        """Make passes, as the machine does, until nothing is pending; a few at most."""
        for attempt in range(6):
            time.sleep(0.05 * attempt)
            result = self._run_pass()
            if result.done or not self.newest().pending:
                break
        return self.newest()

    def _run_pass(self) -> Result:
        name = f"execution-{uuid.uuid4().hex}"
        with ThreadPoolExecutor(4) as executor:
            reconciler = Reconciler(
                uid=self.uid,
                registry=self.theirs,
                service=SageMakerService(
                    sagemaker=self.user.client("sagemaker"),
                    runtime=self.user.client("sagemaker-runtime"),
                    s3=self.user.client("s3"),
                ),
                clock=self.clock,
                executor=executor,
                telemetry=Silent(),
                start_machine=self.starter(),
                random=Random(1),
                workers=4,
            )
            now = self.clock.now()
            call = Call(execution=name, started_at=now, owner=name, trigger="deployment", deadline=now + 20)
            return reconciler.run(call)

    def intake(self) -> Intake:
        return Intake(
            uid=self.uid,
            name="fleet",
            machine=self.machine,
            registry=self.theirs,
            manifests=_S3Manifests(self.user.client("s3")),
            clock=self.clock,
            start_machine=self.starter(),
            rolling_back=_Rollbacks(self.user.client("cloudformation")),
        )

    def event(self, kind: str) -> dict[str, Any]:
        """Return what the provider framework hands on of an event of CloudFormation."""
        bucket, key = self.place.manifest
        properties = {
            "ServiceToken": "token",
            "FleetUid": self.uid,
            "FleetName": "fleet",
            "EndpointName": self.place.endpoint,
            "BaseComponentName": self.place.base,
            "ComponentPrefix": self.id,
            "ManifestObject": {"Bucket": bucket, "Key": key},
            "Settings": "{}",
        }
        return {
            "RequestType": kind,
            "StackId": self.place.stack_id,
            "RequestId": uuid.uuid4().hex,
            "ResourceProperties": properties,
            **({} if kind == "Create" else {"PhysicalResourceId": self.uid}),
            **({"OldResourceProperties": properties} if kind == "Update" else {}),
        }

    def put_manifest(self, *names: str) -> None:
        bucket, key = self.place.manifest
        text = self.place.stack.archives.manifest(dict.fromkeys(names, "triage"))
        self.place.client("s3").put_object(Bucket=bucket, Key=key, Body=text.encode())

    def take_manifest_away(self) -> None:
        bucket, key = self.place.manifest
        self.place.client("s3").delete_object(Bucket=bucket, Key=key)

    def converge(self) -> None:
        """Note that the newest generation is in force, as a pass does."""
        fleet, newest = self.registry.fleet(), self.newest()
        assert fleet is not None
        lease = self.registry.acquire("test", self.clock.now(), 60)
        assert lease is not None
        self.registry.save_generation(replace(newest, outcome=Outcome.CONVERGED), lease)
        self.registry.save_fleet(replace(fleet, converged=newest.number), lease)
        self.registry.release(lease)


def run_pass(exercise: Exercise) -> None:
    smoke = SmokeRequest(body={"inputs": "Hello", "parameters": {"max_new_tokens": 1}})
    exercise.write_logs()
    exercise.make("stranger", "shout")
    taken = exercise.make("taken", "summary")
    order = Order(kind=OrderKind.CLAIM, component=f"{exercise.id}-taken", at=0, created=taken)
    exercise.registry.order([order])

    # Creation, a smoke request, a component taken over, an archive that is not there.
    missing = f"s3://{Archives.bucket}/adapters/missing.tar.gz"
    first = exercise.adapter("kept", "triage", smoke=smoke)
    exercise.want(
        first, exercise.adapter("taken", "summary", tags={"tier": "gold"}), exercise.adapter("late", missing)
    )
    exercise.run()
    assert exercise.serves("kept") == first.artifact.uri
    assert exercise.record("kept").passed == first.artifact
    assert exercise.tags("taken") == {"fleet-uid": exercise.uid, "tier": "gold"}
    failure = exercise.record("late").failure
    assert failure is not None
    assert failure.reason == f"NoSuchKey: {missing} does not exist"
    assert f"{exercise.id}-late" not in exercise.components()

    # An update, tags that change, an adapter that is given up.
    second = exercise.adapter("kept", "shout", smoke=smoke)
    retagged = exercise.adapter("taken", "summary", tags={"team": "blue"})
    exercise.want(second, retagged)
    assert exercise.run().outcome is Outcome.CONVERGED
    assert exercise.serves("kept") == second.artifact.uri
    assert exercise.tags("taken") == {"fleet-uid": exercise.uid, "team": "blue"}
    assert f"{exercise.id}-late" not in exercise.registry.records()

    # The name of someone else's component.
    exercise.want(second, retagged, exercise.adapter("stranger", "shout"))
    exercise.run()
    foreign = exercise.record("stranger").failure
    assert foreign is not None
    assert foreign.cause is Cause.FOREIGN

    # A manifest in S3 that fails and is taken back, for which the machine is started.
    exercise.want(exercise.adapter("kept", BROKEN, smoke=smoke), retagged, source=Source.OBJECT)
    exercise.run()
    assert exercise.executions() == 1
    assert exercise.run().outcome is Outcome.CONVERGED
    assert exercise.serves("kept") == second.artifact.uri
    assert len(exercise.registry.history(f"{exercise.id}-kept", 3)) == 3

    # The end.
    exercise.want(source=Source.DELETION)
    assert exercise.run().outcome is Outcome.CONVERGED
    assert exercise.components() == [f"{exercise.id}-stranger"]
    assert exercise.tags("stranger") == {}
    assert exercise.registry.records() == {}


def on_event(exercise: Exercise) -> None:
    exercise.write_logs()
    exercise.take_manifest_away()
    intake = exercise.intake()
    intake.on_event(exercise.event("Create"))
    assert exercise.registry.desired(1).adapters == ()
    exercise.put_manifest("a", "b")
    intake.on_event(exercise.event("Update"))
    assert len(exercise.registry.desired(2).adapters) == 2
    exercise.converge()
    # The same properties again are what a rollback would send, too.
    intake.on_event(exercise.event("Update"))
    assert not exercise.newest().undo
    exercise.converge()
    exercise.take_manifest_away()
    # With another memory than that which wrote it.
    del exercise.theirs
    exercise.intake().on_event(exercise.event("Update"))
    assert len(exercise.registry.desired(4).adapters) == 2
    intake.on_event(exercise.event("Delete"))
    assert exercise.newest().request.source is Source.DELETION
    assert exercise.executions() == 5


def manifest_object(exercise: Exercise) -> None:
    exercise.write_logs()
    exercise.want()
    exercise.target = replace(exercise.target, manifest="s3://{}/{}".format(*exercise.place.manifest))
    exercise.want()
    exercise.converge()
    exercise.take_manifest_away()
    assert exercise.intake().manifest_changed("1") is None
    exercise.put_manifest("a")
    assert exercise.intake().manifest_changed("2") is not None
    assert [adapter.name for adapter in exercise.registry.desired(3).adapters] == ["a"]
    assert exercise.executions() == 1


def is_complete(exercise: Exercise) -> None:
    exercise.write_logs()
    exercise.want()
    event = {**exercise.event("Create"), "Generation": 1}
    assert exercise.intake().is_complete(event) == {"IsComplete": False}
    # Nothing has run for long: it starts the machine again.
    exercise.clock.sleep(600)
    assert exercise.intake().is_complete(event) == {"IsComplete": False}
    assert exercise.executions() == 1
    exercise.converge()
    assert exercise.intake().is_complete(event)["IsComplete"]


EXERCISES: dict[str, Callable[[Exercise], None]] = {
    "RunPass": run_pass,
    "OnEvent": on_event,
    "ManifestObject": manifest_object,
    "IsComplete": is_complete,
}


def actions_of(statement: Statement) -> list[str]:
    action = statement["Action"]
    return [action] if isinstance(action, str) else list(action)


def without(statements: Sequence[Statement], action: str, which: int) -> list[Statement]:
    """Return the statements without an action in the one of those that allow it."""
    left, seen = [], 0
    for statement in statements:
        actions = actions_of(statement)
        if action in actions:
            if seen == which:
                actions.remove(action)
            seen += 1
        if actions:
            left.append({**statement, "Action": actions})
    assert seen > which, f"{action} is not in the policy"
    return left


@pytest.mark.parametrize("role", ACTIONS)
def test_policy_has_no_other_actions_than_those_that_are_tried(deployed: Deployed, role: str) -> None:
    found = [action for statement in deployed.statements[role] for action in actions_of(statement)]
    assert sorted(found) == sorted(ACTIONS[role])


@pytest.mark.parametrize("role", EXERCISES)
def test_policy_suffices(deployed: Deployed, role: str) -> None:
    exercise = Exercise(deployed, deployed.statements[role])
    try:
        EXERCISES[role](exercise)
        assert exercise.user.denied == set()
    finally:
        exercise.close()


@pytest.mark.parametrize(("role", "action", "which"), SINGLE)
def test_no_action_can_be_done_without(deployed: Deployed, role: str, action: str, which: int) -> None:
    exercise = Exercise(deployed, without(deployed.statements[role], action, which))
    try:
        with pytest.raises((AssertionError, ClientError)) as ended:
            EXERCISES[role](exercise)
        # And for that reason.
        assert exercise.user.denied <= {action, "HeadObject"}
        assert exercise.user.denied != set(), ended.value
    finally:
        exercise.close()


def test_fleet_is_created_changed_and_deleted_with_enforcement_on(deployed: Deployed, tmp_path: Path) -> None:
    endpoint = deployed.stack.attributes(deployed.outputs)
    stack = FleetStack(deployed.cloud, tmp_path, endpoint=endpoint)
    adapters = numbered(4)
    try:
        created = stack.create({"Tenants": Fleet(adapters=adapters)})
        assert created.status == "CREATE_COMPLETE", created.reason
        assert stack.wrong("Tenants", endpoint.name, adapters) == {}
        changed = {**numbered(2, shift=1), "new": "summary-v2"}
        updated = stack.update({"Tenants": Fleet(adapters=changed)})
        assert updated.status == "UPDATE_COMPLETE", updated.reason
        assert stack.wrong("Tenants", endpoint.name, changed) == {}
    finally:
        deleted = stack.delete()
    assert deleted.status == "DELETE_COMPLETE", deleted.reason
    assert stack.live("Tenants", endpoint.name) == {}


@pytest.mark.parametrize("of", ["another fleet", "nobody"])
def test_pass_cannot_touch_what_is_not_its_fleets(deployed: Deployed, of: str) -> None:
    exercise = Exercise(deployed, deployed.statements["RunPass"])
    try:
        exercise.make("theirs", "summary")
        name = f"{exercise.id}-theirs"
        arn = exercise.arn("theirs")
        tags = [{"Key": "fleet-uid", "Value": "fleet-of-others"}] if of == "another fleet" else []
        exercise.sagemaker.add_tags(ResourceArn=arn, Tags=[*tags, {"Key": "team", "Value": "blue"}])
        before = exercise.tags("theirs")
        role = exercise.user.client("sagemaker")
        specification = {"Container": {"ArtifactUrl": deployed.stack.archives.uri("shout")}}
        calls: list[Callable[[], Any]] = [
            lambda: role.update_inference_component(InferenceComponentName=name, Specification=specification),
            lambda: role.delete_inference_component(InferenceComponentName=name),
            lambda: role.delete_tags(ResourceArn=arn, TagKeys=["team"]),
            lambda: role.delete_tags(ResourceArn=arn, TagKeys=["fleet-uid"]),
            lambda: role.add_tags(ResourceArn=arn, Tags=[{"Key": "team", "Value": "red"}]),
        ]
        if of == "another fleet":
            own = [{"Key": "fleet-uid", "Value": exercise.uid}]
            calls.append(lambda: role.add_tags(ResourceArn=arn, Tags=own))
        for call in calls:
            with pytest.raises(ClientError, match="AccessDenied"):
                call()
        assert exercise.tags("theirs") == before
        assert exercise.serves("theirs") == deployed.stack.archives.uri("summary")
    finally:
        exercise.close()


def test_pass_can_claim_again_what_it_has_claimed(deployed: Deployed) -> None:
    exercise = Exercise(deployed, deployed.statements["RunPass"])
    try:
        exercise.make("taken", "summary")
        arn = exercise.arn("taken")
        tag = [{"Key": "fleet-uid", "Value": exercise.uid}, {"Key": "team", "Value": "blue"}]
        for _ in range(2):
            exercise.user.client("sagemaker").add_tags(ResourceArn=arn, Tags=tag)
        assert exercise.tags("taken") == {"fleet-uid": exercise.uid, "team": "blue"}
    finally:
        exercise.close()


def test_pass_cannot_make_a_component_without_its_fleets_tag(deployed: Deployed) -> None:
    exercise = Exercise(deployed, deployed.statements["RunPass"])
    try:
        with pytest.raises(ClientError, match="AccessDenied"):
            exercise.user.client("sagemaker").create_inference_component(
                InferenceComponentName=f"{exercise.id}-untagged",
                EndpointName=deployed.endpoint,
                Specification={
                    "BaseInferenceComponentName": deployed.base,
                    "Container": {"ArtifactUrl": deployed.stack.archives.uri("shout")},
                },
            )
        assert exercise.components() == []
    finally:
        exercise.close()
