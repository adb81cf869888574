"""`adapters publish` to the S3 of the embedded cloud, beside `tar -czf` and boto3's upload.

One adapter of 168 MB, that of `bench.packing`: the source is not in memory at the start. Then 200 small ones,
twice: PEFT's default (rank 8 on the projections of queries and values) of a model of the size of Llama 3.1 8B
is 6.8 MB in bfloat16. The best of several rounds counts for the large one, as what else runs on a machine
only ever adds. The small ones are published in this process; what a command takes to start is beside it.
"""

import gc
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
import numpy as np
from botocore.client import BaseClient
from safetensors.numpy import save_file
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that the file also runs by its path

from adapter_fleet.artifacts.packing import AdapterFiles
from adapters_cli.main import app
from bench.harness import Claim, publish
from bench.packing import HIDDEN, KEY_VALUES, LAYERS, make_adapter
from local_sagemaker.server import LocalCloud

BUCKET = "bench-publish"
ROUNDS = 5
TAR_ROUNDS = 2
SMALL = 200
SMALL_RANK = 8
PARTS = ("pack", "hash", "S3")


@dataclass
class Seconds:
    """What a run took, and of that: packing (with the identity), the archive's checksum, calls of S3."""

    total: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.parts[part] = self.parts.get(part, 0.0) + time.perf_counter() - started

    def timing(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            with self.of(part):
                return function(*arguments, **named)

        return timed

    def figure(self, way: str, *, uploads: int) -> dict[str, str]:
        """Return a row of what was measured."""
        parts = {f"{part}, s": f"{self.parts[part]:.2f}" if part in self.parts else "" for part in PARTS}
        other = f"{self.total - sum(self.parts.values()):.2f}" if self.parts else ""
        share = f"{100 * self.parts['S3'] / self.total:.0f}" if self.parts else ""
        total = {"total, s": f"{self.total:.2f}", "S3, %": share, "uploads": str(uploads)}
        return {"way": way, **parts, "other, s": other, **total}


def cold(source: Path) -> None:
    """Have nothing of a file in memory."""
    with source.open("rb") as file:
        os.fsync(file.fileno())
        if sys.platform == "linux":
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def ours(directory: Path, prefix: str) -> Seconds:
    """Publish a directory in this process."""
    seconds = Seconds()
    with (
        patch.object(AdapterFiles, "identity", seconds.timing("hash", AdapterFiles.identity)),
        patch.object(AdapterFiles, "write_archive", seconds.timing("pack", AdapterFiles.write_archive)),
        patch.object(hashlib, "file_digest", seconds.timing("hash", hashlib.file_digest)),
        patch.object(BaseClient, "_make_api_call", seconds.timing("S3", vars(BaseClient)["_make_api_call"])),
    ):
        started = time.perf_counter()
        done = CliRunner().invoke(app, ["publish", str(directory), f"s3://{BUCKET}/{prefix}"])
        seconds.total = time.perf_counter() - started
    assert "uploaded" in done.stdout, done.output
    return seconds


def theirs(directory: Path, key: str) -> Seconds:
    """Pack by tar, and upload by boto3."""
    seconds = Seconds()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, "adapter.tar.gz")
        with seconds.of("pack"):
            subprocess.run(["tar", "-czf", archive, "-C", directory, "."], check=True)
        with seconds.of("S3"):
            boto3.client("s3").upload_file(str(archive), BUCKET, key)
    seconds.total = time.perf_counter() - started
    return seconds


def make_small(folder: Path) -> None:
    """Write small adapters, of which each has other weights."""
    random = np.random.default_rng(seed=0)
    shapes = {
        f"base_model.model.model.layers.{layer}.self_attn.{module}.lora_{matrix}.weight": shape
        for layer in range(LAYERS)
        for module, outputs in (("q_proj", HIDDEN), ("v_proj", KEY_VALUES))
        for matrix, shape in (("A", (SMALL_RANK, HIDDEN)), ("B", (outputs, SMALL_RANK)))
    }
    count = sum(rows * columns for rows, columns in shapes.values())
    weights = random.normal(scale=0.02, size=count).astype(np.float32).view(np.uint32) >> 16
    for number in range(SMALL):
        directory = folder / f"tenant-{number:03}"
        directory.mkdir(parents=True)
        rotated, tensors, begin = np.roll(weights.astype(np.uint16), number + 1), {}, 0
        for name, (rows, columns) in shapes.items():
            tensors[name] = rotated[begin : begin + rows * columns].reshape(rows, columns).view(np.float16)
            begin += rows * columns
        save_file(tensors, directory / "adapter_model.safetensors")
        config = {"r": SMALL_RANK, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj"]}
        (directory / "adapter_config.json").write_text(json.dumps(config))


@dataclass(frozen=True, kw_only=True)
class Run:
    """Publishing the small ones once: seconds of the command in this process, and its lines by state."""

    seconds: float
    states: Mapping[str, int]

    def figure(self, way: str) -> dict[str, str]:
        return Seconds(total=self.seconds).figure(way, uploads=self.states["uploaded"])


def publish_small(folder: Path) -> Run:
    words = ["publish", str(folder), f"s3://{BUCKET}/small", "--manifest", str(folder.parent / "fleet.yaml")]
    # A command that starts has nothing yet for the collector to walk through.
    gc.collect()
    gc.freeze()
    started = time.perf_counter()
    done = CliRunner().invoke(app, words)
    seconds = time.perf_counter() - started
    return Run(seconds=seconds, states=Counter(line.split("\t")[1] for line in done.stdout.splitlines()))


def start_seconds() -> float:
    """Return how long the command takes to start, as each of them does once."""
    started = time.perf_counter()
    script = (
        "import adapters_cli.main, adapters_cli.artifacts.publisher, adapters_cli.aws.account as a;"
        " a.Account().s3"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    return time.perf_counter() - started


def main() -> int:
    with LocalCloud() as cloud, tempfile.TemporaryDirectory(prefix="bench-publish-") as scratch:
        os.environ["XDG_CACHE_HOME"] = str(Path(scratch, "cache"))
        os.environ |= {name: value for name, value in cloud.environment.items() if name.startswith("AWS_")}
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        large, small = Path(scratch, "large"), Path(scratch, "small")
        large.mkdir()
        weights = make_adapter(large)
        adapter = f"{weights.stat().st_size / 1e6:.0f} MB"
        by_us, by_them = [], []
        for number in range(ROUNDS):
            cold(weights)
            by_us.append(ours(large, f"ours/{number}"))
            if number < TAR_ROUNDS:
                cold(weights)
                by_them.append(theirs(large, f"theirs/{number}.tar.gz"))
        us, them = (min(rounds, key=lambda seconds: seconds.total) for rounds in (by_us, by_them))
        make_small(small)
        first, second = publish_small(small), publish_small(small)
        start = start_seconds()
    packing = us.parts["hash"] + us.parts["pack"]
    return publish(
        "publish",
        [
            Claim.at_least(
                10,
                f"pack {adapter}, with its identity, s (other: tar -czf)",
                ours=packing,
                other=them.parts["pack"],
            ),
            Claim.at_least(
                2,
                f"publish {adapter}, s (other: tar -czf and boto3's upload_file)",
                ours=us.total,
                other=them.total,
            ),
            Claim.at_least(
                1,
                f"publish {adapter}, s of it packing and hashing (other: uploading)",
                ours=packing,
                other=us.parts["S3"],
            ),
            Claim.at_most(
                0.1,
                f"publish {SMALL} small adapters again, s (other: the first time)",
                ours=second.seconds,
                other=first.seconds,
            ),
            Claim.at_most(
                0,
                f"publish {SMALL} small adapters again: uploads (other: the first time)",
                ours=second.states["uploaded"],
                other=first.states["uploaded"],
            ),
        ],
        figures=[
            us.figure(f"adapters publish, {adapter}", uploads=1),
            them.figure(f"tar -czf and upload_file, {adapter}", uploads=1),
            first.figure(f"adapters publish, {SMALL} small"),
            second.figure(f"adapters publish, {SMALL} small, again"),
            Seconds(total=start).figure("what the command takes to start", uploads=0),
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
