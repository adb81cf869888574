"""`adapters publish` to the S3 of the embedded cloud, beside `tar -czf` and boto3's upload.

One adapter of 168 MB, that of `bench.packing`: the source is not in memory at the start. Then 200 small ones,
twice: PEFT's default (rank 8 on the projections of queries and values) of a model of the size of Llama 3.1 8B
is 6.8 MB in bfloat16. The best of several rounds counts for the large one, as what else runs on a machine
only ever adds; the small ones are published by the command, start of the interpreter included.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
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

from adapter_fleet.packing import AdapterFiles
from adapters_cli.main import app
from bench.harness import Claim, publish
from bench.packing import HIDDEN, KEY_VALUES, LAYERS, make_adapter
from local_sagemaker.server import LocalCloud

BUCKET = "bench-publish"
ROUNDS = 5
TAR_ROUNDS = 2
SMALL = 200
SMALL_RANK = 8


@dataclass
class Seconds:
    """What a run took, and of that: packing (with the identity), the upload (with its calls)."""

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
        patch.object(BaseClient, "_make_api_call", seconds.timing("S3", BaseClient._make_api_call)),
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


def command(folder: Path) -> tuple[float, dict[str, int]]:
    """Publish a folder by the command; return the seconds, and how many adapters became what."""
    words = ["publish", str(folder), f"s3://{BUCKET}/small", "--manifest", str(folder.parent / "fleet.yaml")]
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "adapters_cli", *words], check=True, stdout=subprocess.PIPE, text=True
    )
    seconds = time.perf_counter() - started
    states = [line.split("\t")[1] for line in done.stdout.splitlines()]
    return seconds, {state: states.count(state) for state in set(states)}


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
        first, _ = command(small)
        second, again = command(small)
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
                ours=second,
                other=first,
            ),
            Claim.at_least(
                SMALL,
                f"publish {SMALL} small adapters again: skipped (other: a single one)",
                ours=1,
                other=again.get("skipped", 0),
            ),
        ],
        figures=[
            {
                "way": way,
                **{part: f"{s.parts.get(part, 0.0):.2f}" for part in ("hash", "pack", "S3")},
                "other, s": f"{s.total - sum(s.parts.values()):.2f}",
                "total, s": f"{s.total:.2f}",
                "S3, % of the total": f"{100 * s.parts['S3'] / s.total:.0f}",
            }
            for way, s in (("adapters publish", us), ("tar -czf, upload_file", them))
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
