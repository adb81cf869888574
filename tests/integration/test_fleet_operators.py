"""With IAM enforcement on: who may read or manage a fleet can use the `adapters` command, and no more; the
fleet's functions touch what is its own, and no more."""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from typer.testing import Result

from adapter_fleet.aws.adapter_routes import AdapterRoutes
from adapters_cli.fleets.base_component import NO_COPY
from local_sagemaker.server import LocalCloud
from multi_adapter_inference import Releases
from tests.iam.record import Recording
from tests.integration.by_hand import (
    adapters,
    changed_settings,
    client,
    create_adapter,
    delete_component,
    prompts,
    until,
    wait_for_the_listing,
)
from tests.integration.fleet_stack import Archives, Fleet, components
from tests.integration.scaled_stack import ScaledStack

pytestmark = pytest.mark.integration

OPERATORS = {"Reader": "grant_read", "Manager": "grant_manage"}
USERS = {**OPERATORS, "Invoker": "grant_invoke"}
RELEASED = Fleet(
    adapters={"acme": "triage", "globex": "summary"},
    settings={"releases": Releases()},
    users={
        "Releaser": "grant_manage",
        "OfAcme": lambda fleet, user: fleet.grant_invoke(user, adapters=["acme"]),
    },
)
FIRST = {"acme": "triage", "globex": "summary"}
SECOND = {"acme": "shout", "globex": "summary"}


@dataclass(frozen=True)
class Person:
    """Someone with some rights and nothing else."""

    cloud: LocalCloud
    stack: str
    key: str
    secret: str
    fleet: str = "Tenants"

    def run(self, *arguments: str | Path) -> Result:
        """Run the command with this one's keys."""
        environment = {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "ADAPTERS_STACK": self.stack,
        }
        fleet = [] if arguments[0] in ("list", "preflight") else ["--fleet", self.fleet]
        return adapters(self.cloud, *arguments, *fleet, **environment)

    def client(self, service: str) -> Any:
        keys = {"aws_access_key_id": self.key, "aws_secret_access_key": self.secret}
        return client(self.cloud, service, **keys)


@dataclass(frozen=True)
class Deployed:
    """A fleet whose manifest is in S3, and those who may do something with it."""

    stack: ScaledStack
    fleets: Mapping[str, Fleet]
    outputs: Mapping[str, str]
    people: Mapping[str, Person]

    def write(self, path: Path, adapters: dict[str, str]) -> Path:
        path.write_text(self.stack.archives.manifest(adapters))
        return path

    def request(self, component: str) -> dict[str, str]:
        """Return a request for some words of a component."""
        return {
            "EndpointName": self.outputs["EndpointName"],
            "InferenceComponentName": component,
            "ContentType": "application/json",
            "Body": json.dumps({"inputs": prompts()[0]["prompt"], "parameters": {"max_new_tokens": 4}}),
        }

    @contextmanager
    def by_hand(self, name: str) -> Iterator[str]:
        """Have a component that nobody declared, for as long as the context lasts; yield its name."""
        cloud, component = self.stack.cloud, f"{self.stack.prefix}-{name}"
        endpoint, base = self.outputs["EndpointName"], self.outputs["BaseComponentName"]
        uri = self.stack.archives.uri("summary")
        create_adapter(cloud, component, uri, endpoint=endpoint, base=base)
        wait_for_the_listing(cloud)
        try:
            yield component
        finally:
            delete_component(cloud, component)
            until(lambda: component not in components(cloud, endpoint), f"{component} is gone")


@pytest.fixture(scope="module")
def deployed(guarded: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    # With room for an update of two copies.
    stack = ScaledStack(guarded, tmp_path_factory.mktemp("operators"), min=1, max=2, max_instances=3)
    bucket, key = Archives.bucket, f"manifests/{stack.name}.json"
    text = stack.archives.manifest(FIRST)  # makes the bucket
    client(guarded, "s3").put_object(Bucket=bucket, Key=key, Body=text.encode())
    guarded.admin.scale_waits(0.1)
    at_once = {f"component_{change}_seconds": 0 for change in ("create", "update", "delete")}
    with changed_settings(guarded, **at_once):
        fleets = {"Tenants": Fleet(stored=(bucket, key), users=USERS), "Released": RELEASED}
        made = stack.create(fleets).succeeded()
        iam = client(guarded, "iam")
        everyone = [*USERS, *RELEASED.users]
        keys = {
            who: iam.create_access_key(UserName=made.outputs[f"{who}User"])["AccessKey"] for who in everyone
        }
        people = {
            who: Person(
                guarded,
                stack.name,
                key["AccessKeyId"],
                key["SecretAccessKey"],
                fleet="Released" if who in RELEASED.users else "Tenants",
            )
            for who, key in keys.items()
        }
        yield Deployed(stack, fleets, made.outputs, people)
        for who, key in keys.items():
            iam.delete_access_key(UserName=made.outputs[f"{who}User"], AccessKeyId=key["AccessKeyId"])
        stack.delete().succeeded()
    guarded.admin.scale_waits(1)


@pytest.fixture
def reader(deployed: Deployed) -> Person:
    return deployed.people["Reader"]


@pytest.fixture
def manager(deployed: Deployed) -> Person:
    return deployed.people["Manager"]


@pytest.mark.parametrize("who", OPERATORS)
def test_who_may_read_sees_how_the_fleet_is_and_what_a_manifest_would_change(
    deployed: Deployed, who: str, tmp_path: Path
) -> None:
    person = deployed.people[who]
    status = person.run("status", "--wait", "--json")
    assert (status.exit_code, json.loads(status.stdout)["in_service"]) == (0, 2), status.output
    history = person.run("history", "globex", "--json")
    assert json.loads(history.stdout)["events"][-1]["what"] == "created", history.output
    document = json.loads(deployed.stack.archives.manifest({"globex": "summary", "new": "shout"}))
    missing = f"s3://{Archives.bucket}/adapters/missing/sha256-{'0' * 64}.tar.gz"
    document["adapters"].append({"name": "missing", "artifact": missing})
    manifest = tmp_path / "a.json"
    manifest.write_text(json.dumps(document))
    plan = json.loads(person.run("plan", manifest, "--json").stdout)
    changes = {change["name"]: change for change in plan["changes"]}
    actions = {name: change["action"] for name, change in changes.items()}
    assert actions == {"acme": "delete", "globex": "keep", "new": "create", "missing": "unusable"}
    assert changes["missing"]["why"] == f"NoSuchKey: {missing} does not exist"


def test_who_may_invoke_the_fleet_asks_its_adapters_and_gets_streams(deployed: Deployed) -> None:
    runtime = deployed.people["Invoker"].client("sagemaker-runtime")
    request = deployed.request(deployed.stack.component("Tenants", "globex"))
    whole = runtime.invoke_endpoint(**request)["Body"].read()
    assert json.loads(whole)["generated_text"]
    assert list(runtime.invoke_endpoint_with_response_stream(**request)["Body"])
    with pytest.raises(ClientError, match="AccessDenied"):
        runtime.invoke_endpoint(**deployed.request(deployed.outputs["BaseComponentName"]))


def test_who_may_invoke_one_adapter_follows_its_route_and_asks_no_other(deployed: Deployed) -> None:
    caller, table = deployed.people["OfAcme"], deployed.outputs["ReleasedTable"]
    routes = AdapterRoutes(table, caller.client("dynamodb"))
    runtime = caller.client("sagemaker-runtime")
    assert runtime.invoke_endpoint(**deployed.request(routes.component("acme")))["Body"].read()
    with pytest.raises(ClientError, match="AccessDenied"):
        routes.component("globex")
    others = AdapterRoutes(table, client(deployed.stack.cloud, "dynamodb")).component("globex")
    with pytest.raises(ClientError, match="AccessDenied"):
        runtime.invoke_endpoint(**deployed.request(others))


def test_who_manages_a_fleet_with_releases_sends_callers_back(deployed: Deployed) -> None:
    newer = replace(RELEASED, adapters={**RELEASED.adapters, "acme": "shout"})
    deployed.stack.update({**deployed.fleets, "Released": newer}).succeeded()
    back = deployed.people["Releaser"].run("rollback", "acme", "--json")
    assert back.exit_code == 0, back.output
    assert json.loads(back.stdout)["at_once"]


def test_who_may_read_can_neither_order_nor_apply(deployed: Deployed, reader: Person, tmp_path: Path) -> None:
    order = {"pk": {"S": "orders"}, "sk": {"S": "acme#retry"}}
    with pytest.raises(ClientError, match="AccessDenied"):
        reader.client("dynamodb").put_item(TableName=deployed.outputs["TenantsTable"], Item=order)
    more = {**FIRST, "more": "shout"}
    applied = reader.run("apply", deployed.write(tmp_path / "a.json", more))
    assert applied.exit_code == 4, applied.output
    assert "not authorized" in applied.output or "AccessDenied" in applied.output


def test_who_manages_applies_rolls_back_and_removes_an_order_that_cannot_be_read(
    deployed: Deployed, manager: Person, tmp_path: Path
) -> None:
    manager.run("apply", deployed.write(tmp_path / "first.json", FIRST))
    applied = manager.run("apply", deployed.write(tmp_path / "a.json", SECOND))
    assert applied.exit_code == 0, applied.output
    assert "is in force: 2 of 2 in service" in applied.stdout
    # Trying again leaves an order as rolling back does, for one that has failed.
    for order in (("rollback", "acme"), ("rollback", "--undo", "acme")):
        done = manager.run(*order)
        assert done.exit_code == 0, done.output
        assert manager.run("status", "--wait").exit_code == 0
    assert deployed.stack.wrong("Tenants", deployed.outputs["EndpointName"], SECOND) == {}

    item = {"pk": {"S": "orders"}, "sk": {"S": "mine"}}
    manager.client("dynamodb").put_item(TableName=deployed.outputs["TenantsTable"], Item=item)
    status = json.loads(manager.run("status", "--json").stdout)
    assert list(status["unreadable_orders"]) == ["mine"]
    assert manager.run("prune", "mine").exit_code == 0
    assert json.loads(manager.run("status", "--json").stdout)["unreadable_orders"] == {}


def test_who_manages_imports_what_was_made_by_hand(deployed: Deployed, manager: Person) -> None:
    with deployed.by_hand("imported") as name:
        imported = manager.run(
            "import", "--endpoint", deployed.outputs["EndpointName"], "--take-over", "--yes"
        )
        assert imported.exit_code == 0, imported.output
        assert name in imported.stdout


def test_who_manages_can_change_nothing_but_orders_and_the_manifest(
    deployed: Deployed, manager: Person
) -> None:
    table = manager.client("dynamodb")
    item = {"pk": {"S": "records"}, "sk": {"S": "acme"}, "doc": {"S": "{}"}}
    record = {"pk": {"S": "records"}, "sk": {"S": "acme"}}
    name = deployed.outputs["TenantsTable"]
    component = deployed.stack.component("Tenants", "acme")
    calls: list[Callable[[], object]] = [
        lambda: table.put_item(TableName=name, Item=item),
        lambda: table.transact_write_items(TransactItems=[{"Put": {"TableName": name, "Item": item}}]),
        lambda: table.delete_item(TableName=name, Key=record),
        lambda: table.scan(TableName=name),
        lambda: manager.client("s3").put_object(Bucket=Archives.bucket, Key="manifests/other.json", Body=b""),
        lambda: manager.client("sagemaker").delete_inference_component(InferenceComponentName=component),
    ]
    for call in calls:
        with pytest.raises(ClientError, match="AccessDenied"):
            call()


@pytest.fixture(scope="module")
def run_pass(deployed: Deployed, guarded: LocalCloud) -> Person:
    """Someone with the statements of the role of the fleet's passes."""
    iam, name = client(guarded, "iam"), f"pass-{uuid.uuid4().hex[:8]}"
    role = deployed.stack.resource("TenantsRunPassRole")
    iam.create_user(UserName=name)
    for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
        iam.put_user_policy(UserName=name, PolicyName=policy, PolicyDocument=json.dumps(document))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return Person(guarded, deployed.stack.name, key["AccessKeyId"], key["SecretAccessKey"])


@pytest.mark.parametrize("of", ["another fleet", "nobody"])
def test_pass_cannot_touch_what_is_not_its_fleets(deployed: Deployed, run_pass: Person, of: str) -> None:
    role, root = run_pass.client("sagemaker"), client(run_pass.cloud, "sagemaker")
    with deployed.by_hand("theirs") as name:
        before = root.describe_inference_component(InferenceComponentName=name)
        arn = before["InferenceComponentArn"]
        tags = [{"Key": "team", "Value": "blue"}]
        if of == "another fleet":
            tags.append({"Key": "fleet-uid", "Value": "fleet-of-others"})
        root.add_tags(ResourceArn=arn, Tags=tags)
        own = {"Key": "fleet-uid", "Value": deployed.outputs["TenantsUid"]}
        specification = {"Container": {"ArtifactUrl": deployed.stack.archives.uri("shout")}}
        calls: list[Callable[[], Any]] = [
            lambda: role.update_inference_component(InferenceComponentName=name, Specification=specification),
            lambda: role.delete_inference_component(InferenceComponentName=name),
            lambda: role.delete_tags(ResourceArn=arn, TagKeys=["team"]),
            lambda: role.delete_tags(ResourceArn=arn, TagKeys=["fleet-uid"]),
            lambda: role.add_tags(ResourceArn=arn, Tags=[{"Key": "team", "Value": "red"}]),
        ]
        if of == "another fleet":
            calls.append(lambda: role.add_tags(ResourceArn=arn, Tags=[own]))
        for call in calls:
            with pytest.raises(ClientError, match="AccessDenied"):
                call()
        assert sorted(root.list_tags(ResourceArn=arn)["Tags"], key=str) == sorted(tags, key=str)
        after = root.describe_inference_component(InferenceComponentName=name)
        assert after["Specification"] == before["Specification"]
        if of == "nobody":
            # It may claim it, and again what it has claimed.
            for _ in range(2):
                role.add_tags(ResourceArn=arn, Tags=[own, {"Key": "team", "Value": "red"}])


def test_pass_cannot_make_a_component_without_its_fleets_tag(deployed: Deployed, run_pass: Person) -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        run_pass.client("sagemaker").create_inference_component(
            InferenceComponentName=f"{deployed.stack.prefix}-untagged",
            EndpointName=deployed.outputs["EndpointName"],
            Specification={
                "BaseInferenceComponentName": deployed.outputs["BaseComponentName"],
                "Container": {"ArtifactUrl": deployed.stack.archives.uri("shout")},
            },
        )


def test_functions_of_an_endpoint_that_scales_have_the_rights_that_an_update_of_its_base_needs(
    deployed: Deployed, guarded: LocalCloud
) -> None:
    stack, base = deployed.stack, deployed.outputs["BaseComponentName"]
    stack.scale(base, 2)
    stack.change_container("3000")
    with changed_settings(guarded, template_copies="always"):
        stack.update(deployed.fleets).succeeded()
    assert stack.copies_of(base) == (2, 2)


COMMANDS = (
    ["describe", "acme"],
    ["list"],
    ["usage"],
    ["logs", "acme"],
    ["apply", "--retry", "acme"],
    ["prune"],
    ["probe"],
    ["invoke", "acme", "Hello", "--base", "--max-tokens", "2"],
    ["evaluate", "acme", "--dataset", "DATASET", "--max-tokens", "2", "--output", "REPORTS"],
    ["preflight", "--environment", "dev"],
    ["remove", "acme", "--yes"],
    ["apply", "MANIFEST"],
)
"""What no other file runs on a whole fleet. `tests/iam` has what the commands call."""


def test_who_may_read_or_manage_is_told_that_no_copy_is_left(
    deployed: Deployed, reader: Person, manager: Person
) -> None:
    base = deployed.outputs["BaseComponentName"]
    scaling = client(deployed.stack.cloud, "application-autoscaling")
    deployed.stack.scale(base, 0)
    assert NO_COPY in reader.run("status").stderr
    scaling.deregister_scalable_target(
        ServiceNamespace="sagemaker",
        ResourceId=f"inference-component/{base}",
        ScalableDimension="sagemaker:inference-component:DesiredCopyCount",
    )
    said = [
        person.run(*command) for person in (reader, manager) for command in (["status"], ["describe", "acme"])
    ]
    deployed.stack.scale(base, 1)
    assert [(result.exit_code, f"name {base} --desired" in result.stderr) for result in said] == [
        (1, True)
    ] * 4


def test_the_calls_of_every_command_are_on_record(
    deployed: Deployed, guarded: LocalCloud, recording: Recording, tmp_path: Path
) -> None:
    (tmp_path / "items.jsonl").write_text(json.dumps({"prompt": "Hello", "reference": "Hello"}))
    files = {
        "REPORTS": str(tmp_path / "reports"),
        "DATASET": str(tmp_path / "items.jsonl"),
        "MANIFEST": str(deployed.write(tmp_path / "first.json", FIRST)),
    }
    keys = (guarded.environment[f"AWS_{name}"] for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))
    root = Person(guarded, deployed.stack.name, *keys)
    for command in COMMANDS:
        result = root.run(*(files.get(one, one) for one in command))
        assert result.exit_code in (0, 1, 3), result.output
    recording.check()
    said = [json.loads(line) for line in recording.path.read_text().splitlines()]
    assert {f"adapters-{command}" for command, *_ in COMMANDS} <= {line["application"] for line in said}
    # Without a principal, CloudFormation or the test made it as root.
    grants = [
        line["grants"]
        for line in said
        if line["action"] == "sagemaker:CreateInferenceComponent" and "principal" in line
    ]
    assert grants
    assert [
        conditions for [[_, conditions]] in grants if "aws:RequestTag/fleet-uid" not in str(conditions)
    ] == []
