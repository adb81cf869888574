"""What commands publish and check, as a person runs them on the embedded cloud."""

import base64
import hashlib
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest

from adapter_fleet.manifest.manifest import Manifest
from adapter_rules.archives.packing import identity_of
from local_sagemaker.server import LocalCloud
from tests.adapter_fleet.synthetic import SyntheticAdapter
from tests.integration.by_hand import client, start_adapters

pytestmark = pytest.mark.integration

COUNT = 6
MANIFEST = "fleets/tenants.yaml"


class Bucket:
    """A bucket of its own, and commands that publish to it."""

    def __init__(self, cloud: LocalCloud) -> None:
        self.cloud, self.name = cloud, f"published-{uuid.uuid4().hex[:8]}"
        self.s3: Any = client(cloud, "s3")
        self.s3.create_bucket(Bucket=self.name)

    def start(self, *paths: Path) -> subprocess.Popen[str]:
        folder, manifest = f"s3://{self.name}/prod", f"s3://{self.name}/{MANIFEST}"
        return start_adapters(self.cloud, "publish", *paths, folder, "--manifest", manifest)

    def read(self, key: str) -> bytes:
        return bytes(self.s3.get_object(Bucket=self.name, Key=key)["Body"].read())

    def manifest(self) -> Manifest:
        return Manifest.parse(self.read(MANIFEST), where=MANIFEST, folder=None)


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapters")
    for number in range(COUNT):
        SyntheticAdapter(seed=number, layers=64).save(folder / f"tenant-{number:02}")
    return folder


@pytest.fixture
def bucket(cloud: LocalCloud) -> Bucket:
    return Bucket(cloud)


def test_objects_have_the_checksum_of_the_whole(bucket: Bucket, adapters: Path) -> None:
    one = adapters / "tenant-00"
    process = bucket.start(one)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    key = f"prod/tenant-00/sha256-{identity_of(one)}.tar.gz"
    head = bucket.s3.head_object(Bucket=bucket.name, Key=key, ChecksumMode="ENABLED")
    digest = hashlib.sha256(bucket.read(key)).digest()
    assert head["ChecksumSHA256"] == base64.b64encode(digest).decode()
    assert head["ChecksumType"] == "FULL_OBJECT"
    assert output == f"tenant-00\tuploaded\t{identity_of(one)[:12]}\t8\t{head['ContentLength']}\t\n"


def test_two_publishers_at_once_end_in_one_manifest(bucket: Bucket, adapters: Path) -> None:
    first, second = sorted(adapters.iterdir())[:4], sorted(adapters.iterdir())[2:]
    processes = [bucket.start(*paths) for paths in (first, second)]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    named = {adapter.name for adapter in bucket.manifest().adapters}
    assert named == {path.name for path in adapters.iterdir()}
