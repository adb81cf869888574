"""A fleet whose manifest lives in S3: what is written there takes effect with no deployment."""

import json
import time
from collections.abc import Mapping
from typing import Any

import pytest
from aws_cdk import Duration

from adapter_fleet.fleet.state.generations import Generation, Outcome, Source
from adapter_fleet.fleet.state.records import FleetRecord
from adapter_fleet.fleet.state.registry import Registry
from multi_adapter_inference import DriftCheck
from tests.integration.by_hand import (
    client,
    tags_of,
    until,
    wait_for_service,
    wait_for_the_listing,
    write,
)
from tests.integration.fleet_stack import (
    Deployment,
    Endpoint,
    Fleet,
    FleetStack,
    check_for_drift,
    components,
    metric,
    numbered,
)

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("short_waits")]

SIZE = 6
KEY = "fleets/tenants.json"
REPORTS: dict[str, Any] = {"drift_check": DriftCheck.report(every=Duration.hours(1))}


class Deployed:
    """A fleet whose manifest is in a bucket, and the means to change it there."""

    def __init__(self, stack: FleetStack, endpoint: Endpoint, bucket: str) -> None:
        self.stack, self.endpoint, self.bucket = stack, endpoint, bucket
        self.cloud = stack.cloud
        self.s3 = client(self.cloud, "s3")
        self.outputs: Mapping[str, str] = {}
        self.expected: dict[str, str] = {}

    def deploy(self, *, create: bool = False, **settings: Any) -> Deployment:
        """Deploy the stack; the manifest is read, and not written."""
        fleets = {"Tenants": Fleet(stored=(self.bucket, KEY), settings=settings)}
        deployment = self.stack.create(fleets) if create else self.stack.update(fleets)
        self.outputs = deployment.outputs
        return deployment

    @property
    def registry(self) -> Registry:
        return Registry(self.outputs["TenantsTable"], client(self.cloud, "dynamodb"))

    @property
    def fleet(self) -> FleetRecord:
        fleet = self.registry.fleet()
        assert fleet is not None
        return fleet

    def store(self, text: str) -> None:
        """Write the manifest, as anything may that is allowed to."""
        self.s3.put_object(Bucket=self.bucket, Key=KEY, Body=text.encode())

    def ended(self, number: int) -> Generation:
        """Wait for a generation to come, and to end."""
        until(lambda: self._outcome(number) is not Outcome.OPEN, f"generation {number} has ended")
        generation = self.registry.generations.find(number)
        assert generation is not None
        if generation.outcome is Outcome.CONVERGED:
            # A pass notes it of the generation first, and of the fleet then.
            until(lambda: self.fleet.converged == number, f"generation {number} is in force")
        return generation

    def _outcome(self, number: int) -> Outcome:
        generation = self.registry.generations.find(number)
        return Outcome.OPEN if generation is None else generation.outcome

    def wrong(self) -> dict[str, str]:
        """Invoke all; return what is not as it was last wanted."""
        return self.stack.wrong("Tenants", self.endpoint.name, self.expected)

    def check_for_drift(self) -> None:
        assert check_for_drift(self.cloud, self.outputs["TenantsMachine"]) == "SUCCEEDED"

    def edit_by_hand(self, adapter: str, label: str) -> None:
        """Give an adapter another artifact, behind the fleet's back."""
        component = self.stack.component("Tenants", adapter)
        write(
            client(self.cloud, "sagemaker").update_inference_component,
            InferenceComponentName=component,
            Specification={"Container": {"ArtifactUrl": self.stack.archives.uri(label)}},
        )
        wait_for_service(self.cloud, component)
        wait_for_the_listing(self.cloud)


@pytest.fixture(scope="module")
def deployed(stack: FleetStack, shared_endpoint: Endpoint) -> Deployed:
    bucket = f"manifests-{stack.name}"
    client(stack.cloud, "s3").create_bucket(Bucket=bucket)
    made = Deployed(stack, shared_endpoint, bucket)
    created = made.deploy(create=True, **REPORTS).succeeded()
    assert created.outputs["TenantsSummary"] == "0 of 0 adapters in service"
    made.expected = numbered(SIZE)
    made.store(stack.archives.manifest(made.expected))
    made.ended(2)
    return made


def test_each_version_of_the_object_takes_effect(deployed: Deployed) -> None:
    assert deployed.wrong() == {}
    before = deployed.fleet.generation
    changed = deployed.expected | {"a001": "summary-v2", "a006": "shout"}
    del changed["a000"]
    document = json.loads(deployed.stack.archives.manifest(changed))
    for number, tags in enumerate(({"tier": "gold"}, {"team": "blue"}), start=1):
        for entry in document["adapters"]:
            entry["tags"] = tags
        deployed.store(json.dumps(document))
        generation = deployed.ended(before + number)
        assert (generation.request.source, generation.outcome) == (Source.OBJECT, Outcome.CONVERGED)
        tags_now = tags_of(deployed.cloud, deployed.stack.component("Tenants", "a001"))
        assert tags_now == {"fleet-uid": deployed.outputs["TenantsUid"], **tags}
    deployed.expected = changed
    assert deployed.wrong() == {}


def test_manifest_whose_event_was_lost_is_taken_by_the_next_look_of_the_schedule(deployed: Deployed) -> None:
    before, events = deployed.fleet.generation, client(deployed.cloud, "events")
    rule, function = (
        deployed.stack.resource(name) for name in ("TenantsManifestChanged", "TenantsManifestObject")
    )
    (target,) = events.list_targets_by_rule(Rule=deployed.stack.resource("TenantsManifestReread"))["Targets"]
    assert function in target["Arn"]

    def look() -> None:
        client(deployed.cloud, "lambda").invoke(FunctionName=function, Payload=target["Input"].encode())

    events.disable_rule(Name=rule)
    deployed.s3.delete_object(Bucket=deployed.bucket, Key=KEY)
    look()
    changed = deployed.expected | {"a005": "summary-v2"}
    deployed.store(deployed.stack.archives.manifest(changed))
    time.sleep(0.5)
    assert deployed.fleet.generation == before
    events.enable_rule(Name=rule)
    look()
    generation = deployed.ended(before + 1)
    assert (generation.request.source, generation.outcome) == (Source.OBJECT, Outcome.CONVERGED)
    deployed.expected = changed
    assert deployed.wrong() == {}


def test_archive_that_is_another_one_than_its_key_and_metadata_say_is_never_loaded_and_fails_alone(
    deployed: Deployed,
) -> None:
    before = deployed.fleet.generation
    archives = deployed.stack.archives
    right, wrong = (archives.uri(label).removeprefix("s3://").partition("/") for label in ("triage", "shout"))
    digest = right[2].removesuffix(".tar.gz")[-64:]
    key = f"adapters/liar/sha256-{digest}.tar.gz"
    body = deployed.s3.get_object(Bucket=wrong[0], Key=wrong[2])["Body"].read()
    deployed.s3.put_object(Bucket=right[0], Key=key, Body=body, Metadata={"adapter-digest": digest})
    liar = {"name": "liar", "artifact": f"s3://{right[0]}/{key}"}
    for number, label in ((1, "triage"), (2, "summary-v2")):
        # What others change with it, and after it, takes effect.
        deployed.expected |= {"a003": label}
        document = json.loads(archives.manifest(deployed.expected))
        deployed.store(json.dumps({"adapters": [*document["adapters"], liar]}))
        generation = deployed.ended(before + number)
        assert (generation.outcome, generation.failed) == (Outcome.CONVERGED, 1)
        assert f"should be the adapter with digest sha256:{digest}" in (generation.reason or "")
        assert deployed.wrong() == {}
    deployed.deploy(**REPORTS, timeout=Duration.minutes(40)).succeeded()
    there = components(deployed.cloud, deployed.endpoint.name)
    assert deployed.stack.component("Tenants", "liar") not in there
    deployed.store(archives.manifest(deployed.expected))
    assert deployed.ended(before + 4).failed == 0


def test_scheduled_check_reports_or_repairs_what_was_changed_by_hand(deployed: Deployed) -> None:
    wanted = deployed.expected["a002"]
    deployed.edit_by_hand("a002", "triage" if wanted == "shout" else "shout")
    deployed.cloud.admin.reset_calls()
    deployed.check_for_drift()
    assert deployed.cloud.admin.writes() == {}
    record = deployed.registry.records.all()[deployed.stack.component("Tenants", "a002")]
    assert record.drifted is not None
    assert deployed.wrong().keys() == {deployed.stack.component("Tenants", "a002")}
    assert metric(deployed.cloud, deployed.outputs["TenantsUid"], "Drifted")[0] == 1

    deployed.deploy(drift_check=DriftCheck.repair(every=Duration.hours(1))).succeeded()
    deployed.edit_by_hand("a002", "triage" if wanted == "shout" else "shout")
    deployed.check_for_drift()
    assert deployed.wrong() == {}
