"""Checks each adapter of a corpus in a process of its own, and writes what that took, as JSON.

    python -m tests.adapter_rules.measured_checks DIRECTORY

Archives are checked twice: as files, and as `s3://…`, as objects in S3 that look like those of the publisher.
It imports nothing but what a check needs, so that the memory is that of a check.
"""

# ruff: noqa: N803 - the names are those of boto3

import io
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import IO, Any, cast

from adapter_fleet.serving.base_model import BaseModelFacts
from adapter_rules.archives.remote_check import check_object
from adapter_rules.checks.adapter_check import examine
from adapter_rules.engines.container_releases import LmiVersion
from adapter_rules.engines.lora_limits import LoraServing

ENOUGH_SECONDS = 2
"""A check that takes no more is within every limit."""
MOST_SECONDS = 10
LONGEST_SECONDS = 120
MOST_BYTES = 2 * 1024**3
"""Beyond these the process is ended. They are above what is allowed, so that the excess can be told."""


IN_S3 = "s3://"
KEY = f"a/sha256-{'0' * 64}.tar.gz"
GZIP_HEADER = b"\x1f\x8b\x08" + bytes(6) + b"\xff"


class FileInS3:
    """An object whose bytes are a file's, with the publisher's header where it has one of gzip."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = path.stat().st_size

    def get_object(self, *, Range: str, **_others: Any) -> dict[str, Any]:
        first, _, last = Range.removeprefix("bytes=").partition("-")
        begin, end = int(first), min(int(last or self._size) + 1, self._size)
        body: IO[bytes] = self._path.open("rb")
        body.seek(begin)
        if not begin:
            data = body.read(end)
            if data.startswith(GZIP_HEADER[:4]):
                data = GZIP_HEADER + data[len(GZIP_HEADER) :]
            body = io.BytesIO(data)
        return {"ETag": "etag", "ContentRange": f"bytes {begin}-{end - 1}/{self._size}", "Body": body}


def check_in_child(place: str, folder: Path, lora: LoraServing, base: BaseModelFacts, answer: int) -> None:
    # Not RLIMIT_CPU, which counts the system's seconds, too: a file's first pages took nine of them.
    signal.setitimer(signal.ITIMER_VIRTUAL, MOST_SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    signal.alarm(LONGEST_SECONDS)
    path = folder / place.removeprefix(IN_S3)
    if place.startswith(IN_S3):
        s3 = cast(Any, FileInS3(path))
        findings = check_object(s3, "bucket", KEY, lora=lora, base=base, version=LmiVersion.V19).findings
    else:
        findings = examine(path, lora=lora, base=base, version=LmiVersion.V19).findings
    os.write(answer, json.dumps(sorted({finding.rule for finding in findings})).encode())


def measure(name: str, folder: Path, lora: LoraServing, base: BaseModelFacts) -> dict[str, Any]:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            check_in_child(name, folder, lora, base, writing)
        except BaseException as error:  # the missing answer shows it
            sys.stderr.write(f"{name}: {error!r}\n")
            os._exit(1)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        rules = answer.read()
    _, _, usage = os.wait4(child, 0)
    return {
        "name": name,
        "rules": json.loads(rules) if rules else None,
        # The system's seconds are those of the first touch of a file's pages: 0.1 to 4 s for a gigabyte.
        "seconds": usage.ru_utime,
        "megabytes": usage.ru_maxrss / 1000,
    }


def main(folder: Path) -> None:
    lora = LoraServing(max_loras=1, max_cpu_loras=1, max_lora_rank=16)
    base = BaseModelFacts.from_directory(folder / "base")
    names = list(json.loads((folder / "corpus.json").read_text()))
    for name in names + [IN_S3 + name for name in names if name.endswith(".tar.gz")]:
        took = measure(name, folder, lora, base)
        if took["seconds"] > ENOUGH_SECONDS:
            # Another process may have had the processor's caches meanwhile.
            took = min(took, measure(name, folder, lora, base), key=lambda one: float(one["seconds"]))
        print(json.dumps(took), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
