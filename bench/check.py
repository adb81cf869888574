"""Checking 1,000 published adapters in S3 by their first bytes, and foreign archives in one pass.

The thousand are one object of 10 MB, copied to a thousand keys of the embedded S3 by `CopyObject`, as 10 GB
would not go into its memory; a check does not know. Their bytes are counted by what S3's answers say that
they hold, not by the check. Downloading all of them is what a few take, times their number.

A pass over a foreign archive is timed by the processor's seconds of one thread, in a process of its own, so
that what else runs on the machine counts little. The archive is what `tar -czf` makes of the adapter of
`packing`.
"""

import json
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import numpy as np
from botocore.config import Config

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that the file also runs by its path

from adapter_fleet.artifacts.archive import REQUIRED_FILES
from adapter_fleet.artifacts.checks.adapter_check import check_archive
from adapter_fleet.artifacts.packing import pack
from adapter_fleet.artifacts.remote_check import StoredCheck, check_object
from bench.harness import Claim, publish
from bench.packing import LAYERS, MODULES
from local_sagemaker.server import LocalCloud

ADAPTERS = 1000
DOWNLOADED = 40
AT_ONCE = 8
ROUNDS = 9
BUCKET = "bench-check"
# Llama 3.1 8B with LoRA on two of its linear modules: 10 MB in its archive.
ATTENTION = {name: MODULES[name] for name in ("self_attn.q_proj", "self_attn.v_proj")}
RANK = 14
LARGE_RANK = 32
GOAL_BYTES_A_SECOND = 300e6

_OURS = """
assert not check_archive(path)
"""
_BY_TARFILE = """
with tarfile.open(path, "r|gz") as tar:
    for entry in tar:
        file = tar.extractfile(entry)
        if entry.name.endswith(".json"):
            json.load(file)
        else:
            json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
"""
_BY_ISAL = """
decompressor = isal_zlib.decompressobj(31)
with path.open("rb") as file:
    while data := file.read(2**18):
        while data:
            decompressor.decompress(data, 2**20)
            data = decompressor.unconsumed_tail
assert decompressor.eof
"""
# Linux's own word for the memory: what getrusage says begins with that of this process.
_TIMED = """
import json, re, struct, tarfile, time
from pathlib import Path
from isal import isal_zlib
from adapter_fleet.artifacts.checks.adapter_check import check_archive
path = Path({path!r})
before = time.process_time()
{code}
took = time.process_time() - before
[most] = re.findall(r"VmHWM:\\s*([0-9]+) kB", Path("/proc/self/status").read_text())
print(json.dumps([took, int(most) / 1000]))
"""


def save_adapter(directory: Path, modules: dict[str, tuple[int, int]], rank: int) -> Path:
    """Write an adapter with random weights in bfloat16, to a compressor what trained ones are."""
    random = np.random.default_rng(seed=0)
    header, data = {}, bytearray()
    for layer in range(LAYERS):
        for module, (inputs, outputs) in modules.items():
            for matrix, shape in (("A", (rank, inputs)), ("B", (outputs, rank))):
                numbers = random.normal(scale=0.02, size=shape).astype(np.float32)
                begin = len(data)
                data += (numbers.view(np.uint32) >> 16).astype("<u2").tobytes()
                header[f"base_model.model.model.layers.{layer}.{module}.lora_{matrix}.weight"] = {
                    "dtype": "BF16",  # which NumPy has not, so that safetensors would not write it
                    "shape": shape,
                    "data_offsets": (begin, len(data)),
                }
    text = json.dumps(header).encode()
    directory.mkdir()
    (directory / "adapter_config.json").write_text(
        json.dumps({"r": rank, "lora_alpha": 2 * rank, "target_modules": list(modules)})
    )
    with (directory / "adapter_model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.write(data)
    return directory


class Bucket:
    """A bucket of the embedded cloud; counts what S3's answers to reading hold."""

    def __init__(self, cloud: LocalCloud) -> None:
        make: Any = boto3.client  # its overloads want the service's name at hand
        self.s3 = make(
            "s3",
            endpoint_url=cloud.url,
            region_name=cloud.environment["AWS_REGION"],
            aws_access_key_id=cloud.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=cloud.environment["AWS_SECRET_ACCESS_KEY"],
            config=Config(max_pool_connections=AT_ONCE),
        )
        self.s3.create_bucket(Bucket=BUCKET)
        self.bytes = self.requests = 0
        self.s3.meta.events.register("after-call.s3.GetObject", self._count)

    def _count(self, parsed: dict[str, Any], **_: Any) -> None:
        self.requests += 1
        self.bytes += parsed.get("ContentLength", 0)

    def fill(self, archive: bytes, identity: str) -> list[str]:
        first, *others = [f"tenant-{number:04}/sha256-{identity}.tar.gz" for number in range(ADAPTERS)]
        self.s3.put_object(Bucket=BUCKET, Key=first, Body=archive)
        for key in others:
            self.s3.copy_object(Bucket=BUCKET, Key=key, CopySource={"Bucket": BUCKET, "Key": first})
        return [first, *others]

    def check(self, key: str) -> StoredCheck:
        return check_object(self.s3, BUCKET, key)

    def download(self, key: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "adapter.tar.gz")
            file.write_bytes(self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
            assert not check_archive(file)


def seconds(run: Callable[[str], object], keys: list[str]) -> tuple[float, list[Any]]:
    started = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(run, keys))
    return time.perf_counter() - started, results


def processor(code: str, path: Path) -> tuple[float, float]:
    """Return the least seconds of a processor and the megabytes that a piece of Python takes."""
    command = [sys.executable, "-c", _TIMED.format(path=str(path), code=code)]
    runs = [json.loads(subprocess.check_output(command, text=True)) for _ in range(ROUNDS)]
    return min(took for took, _ in runs), max(megabytes for _, megabytes in runs)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="bench-check-") as scratch:
        folder = Path(scratch)
        packed = pack(save_adapter(folder / "adapter", ATTENTION, RANK), folder / "adapter.tar.gz")
        archive = packed.path.read_bytes()
        with LocalCloud() as cloud:
            bucket = Bucket(cloud)
            keys = bucket.fill(archive, packed.identity)
            by_check, checks = seconds(bucket.check, keys)
            assert not any(check.findings for check in checks)
            assert sum(check.bytes_read for check in checks) == bucket.bytes
            read, requests, stored = bucket.bytes / 1e6, bucket.requests, ADAPTERS * len(archive) / 1e6
            by_download, _ = seconds(bucket.download, keys[:DOWNLOADED])
            by_download *= ADAPTERS / DOWNLOADED

        large = save_adapter(folder / "large", MODULES, LARGE_RANK)
        foreign = folder / "foreign.tar.gz"
        subprocess.run(["tar", "-czf", foreign, "-C", large, *REQUIRED_FILES], check=True)
        size = foreign.stat().st_size
        ours, our_memory = processor(_OURS, foreign)
        decompression, _ = processor(_BY_ISAL, foreign)
        tarfile, their_memory = processor(_BY_TARFILE, foreign)

    thousand = f"{ADAPTERS:,} of {len(archive) / 1e6:.1f} MB in S3"
    one_pass = f"a foreign archive of {size / 1e6:.0f} MB in one pass: s of a core"
    return publish(
        "check",
        [
            Claim.at_most(
                0.01,
                f"{thousand}: MB read (other: all of them)",
                ours=read,
                other=stored,
            ),
            Claim.at_least(
                1,
                f"{thousand}: s (other: downloading and checking {DOWNLOADED}, times"
                f" {ADAPTERS // DOWNLOADED})",
                ours=by_check,
                other=by_download,
            ),
            Claim.at_least(
                1,
                f"{one_pass} (other: 300 MB/s)",
                ours=ours,
                other=size / GOAL_BYTES_A_SECOND,
            ),
            # What the processor gives: no pass can be faster than the decompression alone.
            Claim.at_least(
                0.9,
                f"{one_pass} (other: ISA-L, decompressing it and nothing else)",
                ours=ours,
                other=decompression,
            ),
            Claim.at_least(
                1.5,
                f"{one_pass} (other: gzip and tarfile)",
                ours=ours,
                other=tarfile,
            ),
        ],
        figures=[
            {
                "what": f"{ADAPTERS:,} published adapters",
                "requests": f"{requests:,}",
                "bytes of each": f"{read * 1e6 / ADAPTERS:,.0f}",
                "MB/s of archive a core": "",
                "MB of memory": "",
            },
            {
                "what": "a foreign archive",
                "requests": "",
                "bytes of each": f"{size:,}",
                "MB/s of archive a core": f"{size / ours / 1e6:.0f}",
                "MB of memory": f"{our_memory:.0f}",
            },
            {
                "what": "the same, by gzip and tarfile",
                "requests": "",
                "bytes of each": f"{size:,}",
                "MB/s of archive a core": f"{size / tarfile / 1e6:.0f}",
                "MB of memory": f"{their_memory:.0f}",
            },
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
