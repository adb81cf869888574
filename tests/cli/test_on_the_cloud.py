"""Commands as a person runs them, on the CloudFormation, DynamoDB, S3 and SageMaker of the embedded cloud."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapter_fleet.artifacts.packing import identity_of, pack
from adapter_fleet.fleet.state.components import ObservedComponent, Status
from adapter_fleet.fleet.state.fleet_settings import FleetSettings
from adapter_fleet.fleet.state.generations import Outcome, Request, Source, Target
from adapter_fleet.fleet.state.orders import OrderKind
from adapter_fleet.fleet.state.records import AdapterRecord, Event, FleetRecord
from adapter_fleet.fleet.state.registry import Registry
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter, DesiredFleet
from adapter_fleet.manifest.manifest import Manifest
from local_sagemaker.server import LocalCloud
from tests.adapter_fleet.synthetic import SyntheticAdapter
from tests.cli.command_output import shown
from tests.integration.by_hand import V1, ByHand, client

pytestmark = pytest.mark.integration

TABLE = {
    "Type": "AWS::DynamoDB::Table",
    "Properties": {
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        "AttributeDefinitions": [
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
    },
}
ORDERS = {
    "Type": "AWS::DynamoDB::Table",
    "Properties": {
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    },
}
NO_BASE = "the base component 'llm-base' is not there; no adapter answers"
"""There is only the registry, which knows nothing of it."""
ARTIFACT = Artifact(uri="s3://bucket/acme/v1.tar.gz", digest="a" * 64)


class Deployed:
    """A stack with a fleet's registry and a table of something else; its state machine does nothing."""

    def __init__(self, cloud: LocalCloud, target: Target) -> None:
        self.cloud, self.target = cloud, target
        self.stack = f"tenants-{uuid.uuid4().hex[:8]}"
        self.machines = client(cloud, "stepfunctions")
        self.machine: str = self.machines.create_state_machine(
            name=self.stack,
            definition=json.dumps({"StartAt": "End", "States": {"End": {"Type": "Succeed"}}}),
            roleArn="arn:aws:iam::000000000000:role/Machine",
        )["stateMachineArn"]
        stacks = client(cloud, "cloudformation")
        stacks.create_stack(
            StackName=self.stack,
            TemplateBody=json.dumps({"Resources": {"Orders": ORDERS, "Registry": TABLE}}),
        )
        stacks.get_waiter("stack_create_complete").wait(
            StackName=self.stack, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
        )
        resources = stacks.list_stack_resources(StackName=self.stack)["StackResourceSummaries"]
        [table] = [one["PhysicalResourceId"] for one in resources if one["LogicalResourceId"] == "Registry"]
        self.registry = Registry(table, client(cloud, "dynamodb"))
        self.registry.register(FleetRecord(uid="uid", name="Llm/Tenants", machine=self.machine))

    def converge(self, *adapters: DesiredAdapter) -> None:
        """Note that these adapters are wanted and in service, as a pass would."""
        request = Request(
            delivery=uuid.uuid4().hex, source=Source.DEPLOYMENT, target=self.target, at=time.time()
        )
        generation = self.registry.open_generation(request, DesiredFleet(adapters=adapters))
        lease = self.registry.acquire("pass", time.time(), 60)
        assert lease is not None
        live = ObservedComponent(status=Status.IN_SERVICE, created=1.0, modified=2.0, described=True)
        self.registry.put(
            [
                AdapterRecord(
                    name=adapter.name,
                    component=adapter.component,
                    live=live,
                    owned=1.0,
                    serving=adapter.artifact,
                    vouched=2.0,
                    last_good=adapter.artifact,
                    versions=(
                        adapter.artifact,
                        replace(ARTIFACT, uri="s3://bucket/acme/v0.tar.gz", digest="0" * 64),
                    ),
                    changed_at=time.time() - 300,
                )
                for adapter in adapters
            ],
            lease,
        )
        self.registry.save_generation(replace(generation, outcome=Outcome.CONVERGED), lease)
        self.registry.release(lease)

    def run(self, *arguments: str | Path, stack: bool = True) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "adapters_cli", *map(str, arguments)]
        if stack:
            command += ["--stack", self.stack]
        return subprocess.run(
            command, env=self.cloud.environment, capture_output=True, text=True, timeout=120, check=False
        )

    def inputs(self) -> list[dict[str, Any]]:
        executions = self.machines.list_executions(stateMachineArn=self.machine)["executions"]
        arns = [execution["executionArn"] for execution in executions]
        return [json.loads(self.machines.describe_execution(executionArn=arn)["input"]) for arn in arns]


@pytest.fixture
def target() -> Target:
    return Target(endpoint="llm", base="llm-base", prefix="llm", settings=FleetSettings())


@pytest.fixture
def deployed(cloud: LocalCloud, target: Target) -> Deployed:
    return Deployed(cloud, target)


def acme() -> DesiredAdapter:
    return DesiredAdapter(name="acme", component="llm-acme", artifact=ARTIFACT)


def test_registry_is_found_and_read_and_an_order_starts_the_machine(deployed: Deployed) -> None:
    deployed.converge(acme())
    event = Event(
        component="llm-acme", name="acme", at=60.0, what="created", generation=1, after=ARTIFACT.version
    )
    deployed.registry.append([event])
    result = deployed.run("status")
    assert (result.returncode, result.stdout, result.stderr) == (
        1,
        "acme\tin service\taaaaaaaaaaaa\t5m\t-\t\n",
        f"adapters: {NO_BASE}\n",
    )
    page = shown("status", "--stack", deployed.stack, environment=deployed.cloud.environment, code=1)
    *heading, headings, adapter, totals = page.strip().splitlines()
    assert " ".join(heading) == f"Llm/Tenants on llm {NO_BASE}"
    assert headings.split() == ["ADAPTER", "STATE", "VERSION", "AGE", "PROOF", "REASON"]
    assert adapter.split() == ["acme", "in", "service", "aaaaaaaaaaaa", "5m", "-"]
    assert totals.endswith("1 adapter: 1 in service, 0 pending, 0 failed")
    history = deployed.run("history", "acme")
    assert history.stdout == "1970-01-01T00:01:00Z\tcreated\t1\t-\taaaaaaaaaaaa\t-\t\n"
    result = deployed.run("rollback", "acme")
    assert (result.returncode, result.stderr) == (0, "")
    [order] = deployed.registry.orders()
    assert (order.kind, order.component, order.replaces) == (OrderKind.PIN, "llm-acme", ARTIFACT)
    assert [one["trigger"] for one in deployed.inputs()] == ["order"]


def test_manifest_is_written_only_over_the_version_that_was_read(
    deployed: Deployed, cloud: LocalCloud, tmp_path: Path
) -> None:
    s3, bucket = client(cloud, "s3"), f"manifests-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=bucket)
    deployed.target = replace(deployed.target, manifest=f"s3://{bucket}/fleet.yaml")
    deployed.converge()
    path = tmp_path / "fleet.yaml"
    s3.put_object(Bucket=bucket, Key="acme.tar.gz", Body=b"an archive")
    uri = f"s3://{bucket}/acme.tar.gz"
    path.write_text(f"adapters: [{{name: acme, artifact: '{uri}', digest: 'sha256:{'a' * 64}'}}]")
    command = [sys.executable, "-m", "adapters_cli", "apply", str(path), "--stack", deployed.stack]
    process = subprocess.Popen(command, env=cloud.environment, stdout=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while not s3.list_objects_v2(Bucket=bucket, Prefix="fleet").get("Contents"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        # What the fleet's function does, and a pass.
        written = s3.get_object(Bucket=bucket, Key="fleet.yaml")
        request = Request(
            delivery="object",
            source=Source.OBJECT,
            target=deployed.target,
            at=time.time(),
            manifest_version=written["ETag"],
        )
        generation = deployed.registry.open_generation(request, DesiredFleet(adapters=(acme(),)))
        lease = deployed.registry.acquire("pass", time.time(), 60)
        assert lease is not None
        ended = replace(generation, outcome=Outcome.CONVERGED, in_service=1, desired=1)
        deployed.registry.save_generation(ended, lease)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, output) == (0, "generation 2 is in force: 1 of 1 in service\n")
    assert written["Body"].read() == path.read_bytes()


def test_adapters_in_a_bucket_are_checked_by_ranges_and_foreign_ones_in_one_pass(
    cloud: LocalCloud, tmp_path: Path
) -> None:
    s3, bucket = client(cloud, "s3"), f"adapters-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=bucket)
    packed = pack(SyntheticAdapter(layers=500).save(tmp_path / "ectsum"), tmp_path / "ectsum.tar.gz")
    archive = packed.path.read_bytes()
    ours, foreign = f"a/ectsum/sha256-{packed.identity}.tar.gz", "a/foreign.tar.gz"
    for key, content in ((ours, archive), (foreign, archive), ("a/half.tar.gz", archive[:1_000_000])):
        s3.put_object(Bucket=bucket, Key=key, Body=content)
    s3.put_object(Bucket=bucket, Key="a/none.tar.gz", Body=b"")
    config = json.dumps({"_name_or_path": "acme/tiny-base", "model_type": "gpt2"})
    s3.put_object(Bucket=bucket, Key="base/config.json", Body=config.encode())
    command = [sys.executable, "-m", "adapters_cli", "check", f"s3://{bucket}/a/", f"s3://{bucket}/b.tar.gz"]
    command += ["s3://no-such-bucket/", "--base-model", f"s3://{bucket}/base/", "--json"]
    done = subprocess.run(
        command, env=cloud.environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (1, "")
    adapters = {adapter["path"]: adapter for adapter in json.loads(done.stdout)["adapters"]}
    told = {
        path.removeprefix(f"s3://{bucket}/"): [finding["rule"] for finding in adapter["findings"]]
        for path, adapter in adapters.items()
    }
    assert told == {
        ours: ["base-model-compared"],  # its modules are unknown in this base
        foreign: ["base-model-compared"],
        "a/half.tar.gz": ["archive-damaged"],
        "a/none.tar.gz": ["archive-gzip"],
        "b.tar.gz": ["object-readable"],
        "s3://no-such-bucket/": ["object-readable"],
    }
    assert adapters[f"s3://{bucket}/{ours}"]["bytes_read"] < 0.1 * len(archive)
    assert adapters[f"s3://{bucket}/{foreign}"]["bytes_read"] == len(archive)


@pytest.fixture(scope="module")
def endpoint(cloud: LocalCloud) -> Iterator[ByHand]:
    with ByHand(cloud) as by_hand:
        by_hand.adapter("triage")
        by_hand.adapter("shout")
        yield by_hand


class TestLiveEndpoint:
    """An endpoint with two adapters that were made by hand."""

    @pytest.fixture
    def target(self, endpoint: ByHand) -> Target:
        return Target(endpoint=endpoint.endpoint, base=endpoint.base, prefix="llm", settings=FleetSettings())

    def test_adapters_made_by_hand_are_written_to_a_manifest_and_claimed(
        self, deployed: Deployed, endpoint: ByHand
    ) -> None:
        deployed.converge()
        result = deployed.run("import", "--endpoint", endpoint.endpoint, "--take-over", "--yes")
        assert result.returncode == 0, result.stderr
        adapters = Manifest.parse(result.stdout.encode(), where="imported", folder=None).adapters
        assert [adapter.name.split("-")[0] for adapter in adapters] == ["shout", "triage"]
        assert [adapter.digest for adapter in adapters] == [
            identity_of(V1 / "shout"),
            identity_of(V1 / "triage"),
        ]
        sagemaker = client(deployed.cloud, "sagemaker")
        assert {(order.kind, order.component, order.created) for order in deployed.registry.orders()} == {
            (
                OrderKind.CLAIM,
                name,
                sagemaker.describe_inference_component(InferenceComponentName=name)[
                    "CreationTime"
                ].timestamp(),
            )
            for name in endpoint.components()
            if name != endpoint.base
        }
        assert deployed.inputs() == []

    def test_plan_compares_with_what_is_live(
        self, deployed: Deployed, endpoint: ByHand, tmp_path: Path
    ) -> None:
        deployed.converge()
        [triage] = [name for name in endpoint.components() if name.startswith("triage")]
        path = tmp_path / "fleet.yaml"
        path.write_text(
            "adapters:\n"
            f"  - {{name: new, artifact: {V1 / 'summary'}}}\n"
            f"  - {{name: triage, component: {triage}, artifact: {V1 / 'triage'}}}\n"
        )
        result = deployed.run("plan", path)
        assert (result.returncode, result.stderr) == (1, "")
        fields = [line.split("\t")[:4] for line in result.stdout.splitlines()]
        assert fields == [
            ["new", "create", "-", identity_of(V1 / "summary")[:12]],
            ["triage", "foreign", "-", identity_of(V1 / "triage")[:12]],
        ]
