"""From the directories of a training run to answers: `adapters publish`, and a fleet of what it has named."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_sagemaker.server import LocalCloud
from tests.integration.by_hand import V1, V2, client
from tests.integration.fleet_stack import (
    LABELS,
    Archives,
    Deployment,
    Endpoint,
    Fleet,
    FleetStack,
)

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("short_waits")]

KEY = "fleets/tenants.yaml"


class Published:
    """Directories as a training run leaves them, and commands on them."""

    def __init__(self, cloud: LocalCloud, folder: Path) -> None:
        self.cloud, self.folder = cloud, folder
        self.adapters = folder / "adapters"
        shutil.copytree(V1, self.adapters)
        for name in ("training_args.bin", "tokenizer.json", "optimizer.pt"):
            (self.adapters / "triage" / name).write_bytes(b"left by the run")
        self.bucket = f"manifests-{uuid.uuid4().hex[:8]}"
        client(cloud, "s3").create_bucket(Bucket=self.bucket)
        # Where the endpoint's role may read.
        Archives(cloud).uri("triage")
        self.destination = f"s3://{Archives.bucket}/adapters/published"

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "adapters_cli", *map(str, arguments)],
            env=self.cloud.environment | {"XDG_CACHE_HOME": str(self.folder / "cache")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done

    def publish(self, *arguments: str | Path, manifest: str | Path) -> str:
        return self.run("publish", *arguments, self.destination, "--manifest", manifest).stdout


@pytest.fixture(scope="module")
def published(
    cloud: LocalCloud, shared_endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory
) -> Published:
    return Published(cloud, tmp_path_factory.mktemp("published"))


@pytest.fixture(scope="module")
def stack(
    published: Published,
    shared_endpoint: Endpoint,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[FleetStack]:
    """A stack with a fleet that follows a manifest in S3."""
    stack = FleetStack(published.cloud, tmp_path_factory.mktemp("stack"), endpoint=shared_endpoint)
    published.publish(published.adapters / "triage", manifest=f"s3://{published.bucket}/{KEY}")
    created: Deployment = stack.create({"Tenants": Fleet(stored=(published.bucket, KEY))})
    assert created.status == "CREATE_COMPLETE", created.reason
    yield stack
    assert stack.delete().status == "DELETE_COMPLETE"


def test_first_deployment_serves_what_is_published(stack: FleetStack, shared_endpoint: Endpoint) -> None:
    assert stack.wrong("Tenants", shared_endpoint.name, {"triage": "triage"}) == {}


def test_apply_brings_further_ones_into_force_with_no_deployment(
    stack: FleetStack, shared_endpoint: Endpoint, published: Published
) -> None:
    path = published.folder / "tenants.yaml"
    published.publish(published.adapters, manifest=path)
    applied = published.run("apply", path, "--stack", stack.name)
    assert "3 of 3 in service" in applied.stdout
    assert stack.wrong("Tenants", shared_endpoint.name, {label: label for label in LABELS}) == {}


def test_publishing_to_the_fleets_own_manifest_is_enough(
    stack: FleetStack, shared_endpoint: Endpoint, published: Published
) -> None:
    shutil.rmtree(published.adapters / "summary")
    shutil.copytree(V2 / "summary", published.adapters / "summary")
    output = published.publish(published.adapters, manifest=f"s3://{published.bucket}/{KEY}")
    assert [line.split("\t")[:2] for line in output.splitlines()] == [
        ["shout", "skipped"],
        ["summary", "uploaded"],
        ["triage", "skipped"],
    ]
    expected = {label: label for label in LABELS} | {"summary": "summary-v2"}
    deadline = time.monotonic() + 40
    while stack.wrong("Tenants", shared_endpoint.name, expected):
        assert time.monotonic() < deadline, stack.wrong("Tenants", shared_endpoint.name, expected)
        time.sleep(0.2)
