"""The policies of a fleet's roles: they suffice, nothing in them is too much, and none reaches beyond the
fleet.

The statements are those that CloudFormation made. The functions' own code runs in this process, as users who
have these statements, or all but a piece of them. Not in here:

- The use of the table's own key (`kms:…`), which is given by the CDK's grants: the embedded cloud's DynamoDB
  does not ask KMS whether its caller may.
- The roles of the CDK's framework, which are tried in `test_provider_least_privilege`.
- The role of the CDK's handler of bucket notifications, which is the CDK's own, as is the handler.
"""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aws_cdk import Duration
from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError

from adapter_fleet.aws.s3_manifests import S3Manifests
from adapter_fleet.aws.sagemaker_service import SageMakerService
from adapter_fleet.aws.stacks import Stacks
from adapter_fleet.aws.state_machine import StateMachine
from adapter_fleet.common.clock import Clock
from adapter_fleet.evaluation.evaluation_bar import EvaluationBar
from adapter_fleet.fleet.reconcile.reconciler import Reconciler
from adapter_fleet.fleet.reconcile.session import PassInput, PassResult
from adapter_fleet.fleet.requests.handler import RequestHandler
from adapter_fleet.fleet.requests.is_complete import Completion
from adapter_fleet.fleet.state.failures import Cause
from adapter_fleet.fleet.state.fleet_settings import FailureLimit, FleetSettings
from adapter_fleet.fleet.state.generations import Generation, Outcome, Request, Source, Target
from adapter_fleet.fleet.state.orders import Order, OrderKind
from adapter_fleet.fleet.state.records import AdapterRecord, Event, FleetRecord
from adapter_fleet.fleet.state.registry import Registry
from adapter_fleet.fleet.state.telemetry import FleetTelemetry
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter, DesiredFleet, SmokeRequest
from local_sagemaker.server import LocalCloud
from multi_adapter_inference import DriftCheck
from tests.integration.by_hand import client, prompts
from tests.integration.fleet_stack import BROKEN, Archives, Fleet, FleetStack, numbered
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
from tests.nightly import long

pytestmark = pytest.mark.integration

NOT_MISSED = {"Machine": LOGS_AND_TRACES}
"""What the CDK puts into a role, and nothing here needs."""


class Skipping(Clock):
    """A clock that does not wait: it goes on by what it was asked to."""

    def __init__(self) -> None:
        self._skipped = 0.0

    def now(self) -> float:
        return time.time() + self._skipped

    def sleep(self, seconds: float) -> None:
        slept = min(seconds, 0.02)
        time.sleep(slept)
        self._skipped += seconds - slept


class Silent(FleetTelemetry):
    """Telemetry of no one."""

    def __init__(self) -> None:
        pass

    def changed(self, event: Event) -> None:
        pass

    def measured(
        self,
        generation: Generation,
        fleet: FleetRecord,
        *,
        age: float,
        throttles: int,
        drifted: int,
        asleep: int,
        misidentified: int,
    ) -> None:
        pass

    def trouble(self, text: str) -> None:
        pass

    def unexpected(self, component: str, error: Exception) -> None:
        pass

    def failed_pass(self, error: Exception, *, in_a_row: int) -> None:
        pass


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
    dead_letters: str
    rule: str
    """The one that looks for drift by a schedule."""
    manifest: tuple[str, str]
    statements: Mapping[str, Sequence[Statement]]
    """All that were given to each role."""
    outputs: Mapping[str, str]

    def client(self, service: str) -> Any:
        """Return a client that may do everything."""
        return _client(self.cloud, service)


@cache
def _client(cloud: LocalCloud, service: str) -> Any:
    return client(cloud, service)


def short(role: str) -> str:
    """Return the id that a role has in the construct, without its end."""
    return role.removeprefix("Stored")[:-8].removesuffix("Role")


@pytest.fixture(scope="module")
def deployed(guarded: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    stack = FleetStack(guarded, tmp_path_factory.mktemp("least-privilege"))
    bucket, key = Archives.bucket, f"manifests/{stack.name}.json"
    stack.archives.uri("triage")  # makes the bucket
    settings = {"drift_check": DriftCheck.report(every=Duration.hours(1))}
    made = stack.create({"Stored": Fleet(stored=(bucket, key), settings=settings)})
    assert made.status == "CREATE_COMPLETE", made.reason
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "states.amazonaws.com"}}
    role = client(guarded, "iam").create_role(
        RoleName=f"idle-{stack.name}",
        AssumeRolePolicyDocument=document([trust]),
    )["Role"]["Arn"]
    described = client(guarded, "cloudformation").describe_stack_resources(StackName=stack.name)
    resources = {
        resource["LogicalResourceId"]: resource["PhysicalResourceId"]
        for resource in described["StackResources"]
    }
    before = guarded.admin.settings()
    guarded.admin.change_settings(
        component_create_seconds=0,
        component_update_seconds=0,
        component_delete_seconds=0,
        # The code of the functions runs here, and is as fast as no function is.
        listing_lag_seconds=0,
        read_rate=0,
        write_rate=0,
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
        dead_letters=next(
            name
            for key, name in resources.items()
            if key.startswith("StoredDeadLetters") and "Policy" not in key
        ),
        manifest=(bucket, key),
        rule=next(name for key, name in resources.items() if key.startswith("StoredDriftCheck")),
        statements={
            short(role): statements_of(guarded, name)
            for role, name in roles_of(guarded, stack.name).items()
            if role.startswith("Stored")
        },
        outputs=made.outputs,
    )
    guarded.admin.change_settings(**before)
    assert stack.delete().status == "DELETE_COMPLETE"


class Exercise:
    """A fleet of its own on the deployed endpoint, kept by the functions' code as a user.

    statements:
        Those of the deployed fleet's role; here they are about this one's table, tag and state machine.
    """

    def __init__(self, deployed: Deployed, role: str, statements: Sequence[Statement]) -> None:
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
            # In the embedded cloud, nothing follows the name of a log group.
            (f"{deployed.logs}:*", f"{deployed.logs}*"),
        ):
            text = text.replace(theirs, mine)
        self.statements: list[Statement] = json.loads(text)
        self.user = User(deployed.cloud, self.statements, role=f"fleet.{role}")
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
        self.registry = Registry(self.table, own)
        """As it is, whoever asks."""
        self.target = Target(
            endpoint=deployed.endpoint,
            base=deployed.base,
            prefix=self.id,
            settings=FleetSettings(request_rate=100, failures=FailureLimit(count=0)),
            manifest="s3://{}/{}".format(*deployed.manifest),
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
    def theirs(self) -> Registry:
        """The registry as the function sees it."""
        return Registry(self.table, self.user.client("dynamodb"), sleep=self.clock.sleep)

    def state_machine(self) -> StateMachine:
        return StateMachine(self.user.client("stepfunctions"), self.machine)

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

    def _run_pass(self) -> PassResult:
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
                start_machine=self.state_machine().start,
                random=Random(1),
                workers=4,
            )
            now = self.clock.now()
            call = PassInput(
                execution=name, started_at=now, owner=name, trigger="deployment", deadline=now + 20
            )
            return reconciler.run(call)

    def handler(self) -> RequestHandler:
        return RequestHandler(
            uid=self.uid,
            name="fleet",
            machine=self.machine,
            registry=self.theirs,
            manifests=S3Manifests(self.user.client("s3")),
            clock=self.clock,
            start_machine=self.state_machine().start,
            describe_stack=Stacks(
                self.user.client("cloudformation"), Logger(service="adapter-fleet")
            ).describe,
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
    smoke = SmokeRequest.from_prompt(prompts()[0]["prompt"], max_tokens=4)
    exercise.user.runs_as_function(logs=exercise.place.logs, dead_letters=exercise.place.dead_letters)
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
    # The base model was asked the same.
    compared = exercise.record("kept").probed
    assert compared is not None
    assert compared.like_base is False
    assert exercise.tags("taken") == {"fleet-uid": exercise.uid, "tier": "gold"}
    failure = exercise.record("late").failure
    assert failure is not None
    assert failure.reason == f"NoSuchKey: {missing} does not exist"
    assert f"{exercise.id}-late" not in exercise.components()

    # A manifest in S3 whose event was lost; what it wants is not waited for.
    exercise.take_manifest_away()
    assert exercise.handler().reread() is None
    exercise.put_manifest("a")
    assert exercise.handler().reread() is not None

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
    executions = exercise.executions()
    exercise.want(exercise.adapter("kept", BROKEN, smoke=smoke), retagged, source=Source.OBJECT)
    exercise.run()
    assert exercise.executions() == executions + 1
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
    exercise.user.runs_as_function(logs=exercise.place.logs, dead_letters=exercise.place.dead_letters)
    exercise.take_manifest_away()
    handler = exercise.handler()
    handler.on_event(exercise.event("Create"))
    assert exercise.registry.desired(1).adapters == ()
    exercise.put_manifest("a", "b")
    handler.on_event(exercise.event("Update"))
    assert len(exercise.registry.desired(2).adapters) == 2
    exercise.converge()
    # The same properties again are what a rollback would send, too.
    handler.on_event(exercise.event("Update"))
    assert not exercise.newest().undo
    exercise.converge()
    exercise.take_manifest_away()
    # With another memory than that which wrote it.
    del exercise.theirs
    exercise.handler().on_event(exercise.event("Update"))
    assert len(exercise.registry.desired(4).adapters) == 2
    handler.on_event(exercise.event("Delete"))
    assert exercise.newest().request.source is Source.DELETION
    assert exercise.executions() == 5


def manifest_object(exercise: Exercise) -> None:
    exercise.user.runs_as_function(logs=exercise.place.logs, dead_letters=exercise.place.dead_letters)
    exercise.want()
    exercise.target = replace(exercise.target, manifest="s3://{}/{}".format(*exercise.place.manifest))
    exercise.want()
    exercise.converge()
    exercise.take_manifest_away()
    assert exercise.handler().manifest_changed("1") is None
    exercise.put_manifest("a")
    assert exercise.handler().manifest_changed("2") is not None
    assert [adapter.name for adapter in exercise.registry.desired(3).adapters] == ["a"]
    # A bar for evaluations stops no version that was in force before.
    exercise.converge()
    bar = EvaluationBar(requirements=("rouge1.f1 >= 0.5",))
    settings = replace(exercise.target.settings, evaluation=bar)
    exercise.target = replace(exercise.target, settings=settings)
    exercise.want()
    assert exercise.handler().manifest_changed("3") is not None
    assert [adapter.name for adapter in exercise.registry.desired(5).adapters] == ["a"]
    assert exercise.executions() == 2


def is_complete(exercise: Exercise) -> None:
    exercise.user.runs_as_function(logs=exercise.place.logs, dead_letters=exercise.place.dead_letters)
    exercise.want()
    event = {**exercise.event("Create"), "Generation": 1}
    completion = Completion(
        registry=exercise.theirs, clock=exercise.clock, start_machine=exercise.state_machine().start
    )
    assert completion.of(event) == {"IsComplete": False}
    # Nothing has run for long: it starts the machine again.
    exercise.clock.sleep(600)
    assert completion.of(event) == {"IsComplete": False}
    assert exercise.executions() == 1
    exercise.converge()
    assert completion.of(event)["IsComplete"]


def machine(exercise: Exercise) -> None:
    machines = exercise.place.client("stepfunctions")
    deployed = machines.describe_state_machine(stateMachineArn=exercise.place.machine)
    exercise.user.runs(json.loads(deployed["definition"]))


def schedule(exercise: Exercise) -> None:
    """What EventBridge does as the role of a rule's target; the embedded cloud's does it as nobody."""
    (target,) = exercise.place.client("events").list_targets_by_rule(Rule=exercise.place.rule)["Targets"]
    assert target["Arn"] == exercise.place.machine
    exercise.user.client("stepfunctions").start_execution(stateMachineArn=exercise.machine)


EXERCISES: dict[str, Callable[[Exercise], None]] = {
    "RunPass": run_pass,
    "OnEvent": on_event,
    "ManifestObject": manifest_object,
    "IsComplete": is_complete,
    "Machine": machine,
    "MachineEvents": schedule,
}


def exercised(deployed: Deployed, role: str, statements: Sequence[Statement]) -> tuple[User, str]:
    """Do all that a role does; return who did it, and what went wrong."""
    exercise = Exercise(deployed, role, statements)
    try:
        EXERCISES[role](exercise)
    except (AssertionError, ClientError) as error:
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


@long
@pytest.mark.parametrize("role", EXERCISES)
def test_nothing_in_a_policy_can_be_done_without(deployed: Deployed, role: str) -> None:
    found = not_missed(deployed.statements[role], lambda left: exercised(deployed, role, left))
    assert actions_of(found) == NOT_MISSED.get(role, set())


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
    exercise = Exercise(deployed, "RunPass", deployed.statements["RunPass"])
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
    exercise = Exercise(deployed, "RunPass", deployed.statements["RunPass"])
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
    exercise = Exercise(deployed, "RunPass", deployed.statements["RunPass"])
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
