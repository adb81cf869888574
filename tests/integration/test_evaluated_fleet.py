"""The gate that travels: a version is evaluated before it is named, and a fleet takes no other."""

import json
import shutil
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from adapter_fleet.fleet.state.generations import Generation, Outcome
from adapter_fleet.fleet.state.registry import Registry
from adapter_fleet.manifest.manifest import Manifest
from examples.tickets.dataset import rows
from local_sagemaker.server import LocalCloud
from multi_adapter_inference import RequiredEvaluation
from tests.integration.by_hand import V1, adapters, client, start_adapters, until
from tests.integration.fleet_stack import Archives, Endpoint, Fleet, FleetStack

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("short_waits")]

KEY = "fleets/tenants.yaml"
BAR = "exact_match >= base + 0.5"
ITEMS = 30


class Gated:
    """A fleet that requires evaluations, and commands on it."""

    def __init__(self, cloud: LocalCloud, endpoint: Endpoint, folder: Path) -> None:
        self.cloud, self.endpoint, self.folder = cloud, endpoint, folder
        self.adapter = folder / "triage"
        shutil.copytree(V1 / "triage", self.adapter)
        self.dataset = folder / "tickets.jsonl"
        self.dataset.write_text("".join(json.dumps(row) + "\n" for row in rows(ITEMS)))
        self.bucket = f"manifests-{uuid.uuid4().hex[:8]}"
        self.s3 = client(cloud, "s3")
        self.s3.create_bucket(Bucket=self.bucket)
        # Where the endpoint's role may read.
        Archives(cloud).uri("triage")
        self.destination = f"s3://{Archives.bucket}/adapters/evaluated-{uuid.uuid4().hex[:8]}"
        self.table = ""

    def run(self, *arguments: str | Path) -> Result:
        return adapters(self.cloud, *arguments)

    def publish(self, *options: str | Path) -> Result:
        manifest = f"s3://{self.bucket}/{KEY}"
        return self.run("publish", self.adapter, self.destination, "--manifest", manifest, *options)

    def evaluate(self, *options: str | Path) -> Result:
        """Evaluate the directory's version by the answers of `triage`."""
        where: list[str | Path] = [
            "--on",
            self.endpoint.base,
            "--to",
            self.destination,
            "--output",
            self.folder / "evaluation",
        ]
        metric = ["--metric", "exact_match", "--reference-column", "triage", "--max-tokens", "48"]
        what: list[str | Path] = ["--dataset", self.dataset, *metric, "--require", BAR]
        return self.run("evaluate", self.adapter, *where, *what, *options)

    @property
    def evaluation(self) -> list[str | Path]:
        """The option that records the last evaluation."""
        return ["--evaluation", self.folder / "evaluation" / "result.json"]

    def become(self, label: str) -> None:
        """Let the training write another adapter into the directory."""
        shutil.rmtree(self.adapter)
        shutil.copytree(V1 / label, self.adapter)

    @property
    def manifest(self) -> Manifest:
        text = self.s3.get_object(Bucket=self.bucket, Key=KEY)["Body"].read()
        return Manifest.parse(text, where=KEY, folder=None)

    def previews(self) -> list[str]:
        listed: Any = client(self.cloud, "sagemaker").list_inference_components(
            EndpointNameEquals=self.endpoint.name, NameContains="preview-"
        )
        return [found["InferenceComponentName"] for found in listed["InferenceComponents"]]

    def without_previews(self) -> bool:
        """Wait until no preview is left."""
        until(lambda: not self.previews(), "no preview is left")
        return True

    def refused(self) -> Generation:
        """Wait until the fleet has refused the newest manifest."""
        registry = Registry(self.table, client(self.cloud, "dynamodb"))

        def newest() -> Generation | None:
            fleet = registry.fleet()
            return None if fleet is None else registry.generations.find(fleet.generation)

        def is_refused() -> bool:
            generation = newest()
            return generation is not None and generation.outcome is Outcome.REFUSED

        until(is_refused, "the fleet has refused the manifest")
        generation = newest()
        assert generation is not None
        return generation


@pytest.fixture(scope="module")
def gated(cloud: LocalCloud, shared_endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Gated:
    return Gated(cloud, shared_endpoint, tmp_path_factory.mktemp("gated"))


@pytest.fixture(scope="module")
def stack(gated: Gated, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetStack]:
    """A fleet with a bar, whose first manifest has a version above it."""
    evaluated = gated.evaluate()
    assert evaluated.exit_code == 0, evaluated.stderr
    done = gated.publish(*gated.evaluation)
    assert done.exit_code == 0, done.stderr
    stack = FleetStack(gated.cloud, gated.folder / "stack", endpoint=gated.endpoint)
    required = RequiredEvaluation(requirements=[BAR])
    fleet = Fleet(stored=(gated.bucket, KEY), settings={"evaluation": required})
    created = stack.create({"Tenants": fleet}).succeeded()
    gated.table = created.outputs["TenantsTable"]
    yield stack
    stack.delete().succeeded()


def test_fleet_serves_a_version_above_the_bar_and_takes_none_below_it_or_without_an_evaluation(
    gated: Gated, stack: FleetStack
) -> None:
    assert stack.wrong("Tenants", gated.endpoint.name, {"triage": "triage"}) == {}
    said = gated.run("describe", "triage", "--stack", stack.name).stdout
    assert "evaluation   exact_match 1 (base 0)" in said
    assert f"gate         met: {BAR}" in said
    assert "evaluated: exact_match 1 (base 0)" in gated.run("history", "triage", "--stack", stack.name).stdout
    assert gated.without_previews()

    # A version below the bar is not named.
    before = gated.manifest
    gated.become("shout")
    evaluated = gated.evaluate("--stack", stack.name, "--against", "triage")
    assert evaluated.exit_code == 1
    assert f"over {ITEMS} items, and that of 'triage' is 1; " in evaluated.stderr
    done = gated.publish(*gated.evaluation)
    assert done.exit_code == 1
    assert "is 0 and should be at least 0.5 (base 0 + 0.5)" in done.stderr
    assert gated.manifest == before
    assert gated.without_previews()

    # The fleet refuses a version that comes without an evaluation.
    done = gated.publish()
    assert "so that the manifest drops that of the earlier version: triage" in done.stderr
    generation = gated.refused()
    assert generation.reason is not None
    assert "adapter 'triage': evaluation: should be recorded, as the fleet requires" in generation.reason
    assert stack.wrong("Tenants", gated.endpoint.name, {"triage": "triage"}) == {}


def test_preview_that_is_interrupted_leaves_nothing(gated: Gated) -> None:
    where = ("--on", gated.endpoint.base, "--to", gated.destination)
    process = start_adapters(gated.cloud, "preview", V1 / "triage", *where, *["-p", "Hello"] * 300)
    until(lambda: gated.cloud.admin.requests().keys() & {*gated.previews()}, "a preview is asked")
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM, said
    assert gated.without_previews()
