"""Checks each adapter of a corpus in a process of its own, and writes what that took, as JSON.

    python -m tests.adapter_fleet.measured_checks DIRECTORY

It imports nothing but what a check needs, so that the memory is that of a check.
"""

import json
import os
import resource
import signal
import sys
from pathlib import Path

from adapter_fleet.adapter import check_archive, check_directory
from adapter_fleet.base_model import BaseModelFacts
from adapter_fleet.lmi import LmiVersion
from adapter_fleet.serving import LoraServing

MOST_CPU_SECONDS = 10
LONGEST_SECONDS = 120
MOST_BYTES = 2 * 1024**3
"""Beyond these the process is ended. They are above what is allowed, so that the excess can be told."""


def check_in_child(path: Path, lora: LoraServing, base: BaseModelFacts, answer: int) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU_SECONDS, MOST_CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    signal.alarm(LONGEST_SECONDS)
    check = check_directory if path.is_dir() else check_archive
    findings = check(path, lora=lora, base=base, version=LmiVersion.V19)
    os.write(answer, json.dumps(sorted({finding.rule for finding in findings})).encode())


def main(folder: Path) -> None:
    lora = LoraServing(max_loras=1, max_cpu_loras=1, max_lora_rank=16)
    base = BaseModelFacts.from_directory(folder / "base")
    for name in json.loads((folder / "corpus.json").read_text()):
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            try:
                check_in_child(folder / name, lora, base, writing)
            except BaseException as error:  # told by the missing answer
                sys.stderr.write(f"{name}: {error!r}\n")
                os._exit(1)
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as answer:
            rules = answer.read()
        _, _, usage = os.wait4(child, 0)
        took = {
            "name": name,
            "rules": json.loads(rules) if rules else None,
            "seconds": usage.ru_utime + usage.ru_stime,
            "megabytes": usage.ru_maxrss / 1000,
        }
        print(json.dumps(took), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
