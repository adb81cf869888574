"""With IAM enforcement on: who may read or manage a fleet can use the `adapters` command, and no more."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from typer.testing import Result

from local_sagemaker.server import LocalCloud
from tests.iam.recording import Recording
from tests.integration.by_hand import adapters, client, prompts, wait_for_the_listing, write
from tests.integration.fleet_stack import Archives, Fleet, FleetStack

pytestmark = pytest.mark.integration

OPERATORS = {"Reader": "grant_read", "Manager": "grant_manage"}
USERS = {**OPERATORS, "Invoker": "grant_invoke"}
FIRST = {"acme": "triage", "globex": "summary"}
SECOND = {"acme": "shout", "globex": "summary"}


@dataclass(frozen=True)
class Person:
    """Someone with one of the grants and nothing else."""

    cloud: LocalCloud
    stack: str
    key: str
    secret: str

    def run(self, *arguments: str | Path) -> Result:
        """Run the command with this one's keys."""
        environment = {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "ADAPTERS_STACK": self.stack,
        }
        return adapters(self.cloud, *arguments, **environment)

    def client(self, service: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.cloud.url,
            region_name=self.cloud.environment["AWS_DEFAULT_REGION"],
            verify=self.cloud.environment["AWS_CA_BUNDLE"],
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
        )


@dataclass(frozen=True)
class Deployed:
    """A fleet whose manifest is in S3, and those who may do something with it."""

    stack: FleetStack
    outputs: dict[str, str]
    people: dict[str, Person]

    def write(self, path: Path, adapters: dict[str, str]) -> Path:
        path.write_text(self.stack.archives.manifest(adapters))
        return path


@pytest.fixture(scope="module")
def deployed(guarded: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    stack = FleetStack(guarded, tmp_path_factory.mktemp("operators"))
    bucket, key = Archives.bucket, f"manifests/{stack.name}.json"
    text = stack.archives.manifest(FIRST)  # makes the bucket
    client(guarded, "s3").put_object(Bucket=bucket, Key=key, Body=text.encode())
    before = guarded.admin.settings()
    guarded.admin.change_settings(
        component_create_seconds=0, component_update_seconds=0, component_delete_seconds=0
    )
    guarded.admin.scale_waits(0.1)
    made = stack.create({"Tenants": Fleet(stored=(bucket, key), users=USERS)})
    assert made.status == "CREATE_COMPLETE", made.reason
    iam = client(guarded, "iam")
    keys = {who: iam.create_access_key(UserName=made.outputs[f"{who}User"])["AccessKey"] for who in USERS}
    yield Deployed(
        stack=stack,
        outputs=dict(made.outputs),
        people={
            who: Person(guarded, stack.name, key["AccessKeyId"], key["SecretAccessKey"])
            for who, key in keys.items()
        },
    )
    for who, key in keys.items():
        iam.delete_access_key(UserName=made.outputs[f"{who}User"], AccessKeyId=key["AccessKeyId"])
    assert stack.delete().status == "DELETE_COMPLETE"
    guarded.admin.scale_waits(1)
    guarded.admin.change_settings(**before)


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
    history = person.run("history", "acme", "--json")
    assert json.loads(history.stdout)["events"][-1]["what"] == "created", history.output
    plan = person.run("plan", deployed.write(tmp_path / "a.json", {**FIRST, "new": "shout"}), "--json")
    changes = {change["name"]: change["action"] for change in json.loads(plan.stdout)["changes"]}
    assert changes == {"acme": "keep", "globex": "keep", "new": "create"}, plan.output


def test_who_manages_removes_an_order_that_cannot_be_read(deployed: Deployed, manager: Person) -> None:
    item = {"pk": {"S": "orders"}, "sk": {"S": "mine"}}
    manager.client("dynamodb").put_item(TableName=deployed.outputs["TenantsTable"], Item=item)
    status = json.loads(manager.run("status", "--json").stdout)
    assert list(status["unreadable_orders"]) == ["mine"]
    assert manager.run("prune", "mine").exit_code == 0
    assert json.loads(manager.run("status", "--json").stdout)["unreadable_orders"] == {}


@pytest.mark.parametrize("who", OPERATORS)
def test_who_may_read_is_told_of_an_archive_that_is_missing(
    deployed: Deployed, who: str, tmp_path: Path
) -> None:
    document = json.loads(deployed.stack.archives.manifest(FIRST))
    missing = f"s3://{Archives.bucket}/adapters/missing/sha256-{'0' * 64}.tar.gz"
    document["adapters"].append({"name": "new", "artifact": missing})
    manifest = tmp_path / "a.json"
    manifest.write_text(json.dumps(document))
    plan = deployed.people[who].run("plan", manifest, "--json")
    (change,) = [change for change in json.loads(plan.stdout)["changes"] if change["name"] == "new"]
    assert (change["action"], change["why"]) == ("unusable", f"NoSuchKey: {missing} does not exist")


def test_who_may_invoke_the_fleet_asks_its_adapters_and_gets_streams(deployed: Deployed) -> None:
    runtime = deployed.people["Invoker"].client("sagemaker-runtime")
    request = {
        "EndpointName": deployed.outputs["EndpointName"],
        "InferenceComponentName": deployed.stack.component("Tenants", "globex"),
        "ContentType": "application/json",
        "Body": json.dumps({"inputs": prompts()[0]["prompt"], "parameters": {"max_new_tokens": 4}}),
    }
    whole = runtime.invoke_endpoint(**request)["Body"].read()
    assert json.loads(whole)["generated_text"]
    assert list(runtime.invoke_endpoint_with_response_stream(**request)["Body"])
    with pytest.raises(ClientError, match="AccessDenied"):
        runtime.invoke_endpoint(
            **{**request, "InferenceComponentName": deployed.outputs["BaseComponentName"]}
        )


def test_who_may_read_can_neither_order_nor_apply(deployed: Deployed, reader: Person, tmp_path: Path) -> None:
    order = {"pk": {"S": "orders"}, "sk": {"S": "acme#retry"}}
    with pytest.raises(ClientError, match="AccessDenied"):
        reader.client("dynamodb").put_item(TableName=deployed.outputs["TenantsTable"], Item=order)
    applied = reader.run("apply", deployed.write(tmp_path / "a.json", SECOND))
    assert applied.exit_code == 4, applied.output
    assert "not authorized" in applied.output or "AccessDenied" in applied.output


def test_who_manages_applies_and_rolls_back(deployed: Deployed, manager: Person, tmp_path: Path) -> None:
    applied = manager.run("apply", deployed.write(tmp_path / "a.json", SECOND))
    assert applied.exit_code == 0, applied.output
    assert "is in force: 2 of 2 in service" in applied.stdout
    # Trying again leaves an order as rolling back does, for one that has failed.
    for order in (("rollback", "acme"), ("rollback", "--undo", "acme")):
        done = manager.run(*order)
        assert done.exit_code == 0, done.output
        assert manager.run("status", "--wait").exit_code == 0
    endpoint = deployed.outputs["EndpointName"]
    assert deployed.stack.wrong("Tenants", endpoint, SECOND) == {}


def test_who_manages_imports_what_was_made_by_hand(
    deployed: Deployed, manager: Person, tmp_path: Path
) -> None:
    sagemaker, name = client(manager.cloud, "sagemaker"), f"{deployed.stack.prefix}-by-hand"
    write(
        sagemaker.create_inference_component,
        InferenceComponentName=name,
        EndpointName=deployed.outputs["EndpointName"],
        Specification={
            "BaseInferenceComponentName": deployed.outputs["BaseComponentName"],
            "Container": {"ArtifactUrl": deployed.stack.archives.uri("triage")},
        },
    )
    wait_for_the_listing(manager.cloud)
    try:
        manifest = tmp_path / "imported.yaml"
        imported = manager.run(
            "import", "--endpoint", deployed.outputs["EndpointName"], "--take-over", "--yes"
        )
        assert imported.exit_code == 0, imported.output
        manifest.write_text(imported.stdout)
        assert name in manifest.read_text()
    finally:
        deadline = time.monotonic() + 10
        while sagemaker.list_inference_components(NameContains=name)["InferenceComponents"]:
            assert time.monotonic() < deadline
            try:
                write(sagemaker.delete_inference_component, InferenceComponentName=name)
            except ClientError:  # what is under way ends first
                time.sleep(0.1)


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


COMMANDS = {
    "describe": ["acme"],
    "list": [],
    "usage": [],
    "logs": ["acme"],
    "apply": ["--retry", "acme"],
    "prune": [],
    "invoke": ["acme", "Hello", "--base", "--max-tokens", "2", "--html", "PAGE"],
    "evaluate": ["acme", "--dataset", "DATASET", "--max-tokens", "2", "--output", "REPORTS"],
    "preflight": ["--environment", "dev"],
    "remove": ["acme", "--yes"],
}
"""What no other file runs on a whole fleet. `tests/iam` has what the commands call."""


@pytest.mark.parametrize("command", COMMANDS)
def test_the_calls_of_every_command_are_on_record(
    deployed: Deployed, guarded: LocalCloud, recording: Recording, command: str, tmp_path: Path
) -> None:
    (tmp_path / "items.jsonl").write_text(json.dumps({"prompt": "Hello", "reference": "Hello"}))
    files = {
        "REPORTS": str(tmp_path / "reports"),
        "DATASET": str(tmp_path / "items.jsonl"),
        "PAGE": str(tmp_path / "page.html"),
    }
    keys = (guarded.environment[f"AWS_{name}"] for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))
    root = Person(guarded, deployed.stack.name, *keys)
    result = root.run(command, *(files.get(one, one) for one in COMMANDS[command]))
    assert result.exit_code in (0, 1, 3), result.output
    recording.check()
