"""`adapters check` on the S3 of the embedded cloud."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from adapter_fleet.artifacts.packing import pack
from local_sagemaker.server import LocalCloud
from tests.adapter_fleet.synthetic import SyntheticAdapter
from tests.integration.by_hand import client

pytestmark = pytest.mark.integration


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
