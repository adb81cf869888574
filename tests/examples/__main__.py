"""Takes each example out of the checkout and runs its tests: `python -m tests.examples [BEGINNING …]`.

The wheel is built and installed into an environment of its own. Each example is copied into an empty folder,
with the model of `examples/tickets` beside it, and is deployed there by its own tests.
"""

from __future__ import annotations

import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.examples.consumer import NUMBERED, ROOT, Consumer

_AT_A_TIME = 2
"""Half of the time that a deployment takes is waiting."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of an example."""

    example: str
    passed: int
    tests: int
    seconds: float
    output: str

    @property
    def is_good(self) -> bool:
        """Whether there were tests, and all passed."""
        return 0 < self.passed == self.tests


def run(consumer: Consumer, example: Path) -> Result:
    """Copy an example, and run its tests."""
    started = time.monotonic()
    copy = consumer.copy(example)
    report = copy.parent / "report.xml"
    origin = consumer.origin(copy)
    assert not origin.is_relative_to(ROOT), f"{example.name} imports the checkout: {origin}"
    done = consumer.test(copy, report)
    tests = passed = 0
    if report.exists():
        (suite,) = ET.parse(report).getroot().iter("testsuite")
        tests = int(suite.attrib["tests"])
        passed = tests - sum(int(suite.attrib[name]) for name in ("failures", "errors", "skipped"))
    return Result(
        example=example.name,
        passed=passed if done.returncode == 0 else max(0, min(passed, tests - 1)),
        tests=tests,
        seconds=time.monotonic() - started,
        output=done.stdout,
    )


def run_and_say(consumer: Consumer, example: Path) -> Result:
    """Run an example, and write its line of the table."""
    result = run(consumer, example)
    word = "" if result.is_good else "  failed"
    say(f"{result.example:32} {f'{result.passed}/{result.tests}':>7} {result.seconds:8.0f}{word}")
    return result


def say(text: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(beginnings: list[str]) -> int:
    """Run the examples whose names begin so, or all; 1 if one of them failed."""
    chosen = [path for path in NUMBERED if not beginnings or path.name.startswith(tuple(beginnings))]
    with tempfile.TemporaryDirectory(prefix="examples-") as folder:
        consumer = Consumer(Path(folder))
        started = time.monotonic()
        consumer.install()
        say(f"wheel built and installed in {time.monotonic() - started:.0f} s")
        say(f"{'example':32} {'tests':>7} {'seconds':>8}")
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            results = list(pool.map(lambda path: run_and_say(consumer, path), chosen))
    for result in results:
        if not result.is_good:
            say(f"\n{result.example}\n{result.output[-6000:]}")
    return 0 if results and all(result.is_good for result in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
