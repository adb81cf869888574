"""Takes each example out of the checkout and runs its tests: `python -m tests.examples [BEGINNING …]`.

The wheel is built and installed into an environment of its own. Each example is copied into an empty folder,
with the model of `examples/tickets` beside it, and is deployed there by its own tests.
"""

import re
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.examples.consumer import NUMBERED, ROOT, Consumer

_AT_A_TIME = 2
"""Half of the time that a deployment takes is waiting."""
_GOOD = re.compile(r"^[1-9]\d* passed(, \d+ warnings?)? in ", re.MULTILINE)
"""The last line of a run that had tests, all of which passed."""


def run(consumer: Consumer, example: Path) -> str:
    """Copy an example, run its tests, and write its line; return the output of a run that is not good."""
    started = time.monotonic()
    copy = consumer.copy(example)
    origin = consumer.origin(copy)
    assert not origin.is_relative_to(ROOT), f"{example.name} imports the checkout: {origin}"
    done = consumer.test(copy)
    is_good = done.returncode == 0 and _GOOD.search(done.stdout) is not None
    say(f"{example.name:32} {time.monotonic() - started:8.0f}{'' if is_good else '  failed'}")
    return "" if is_good else f"\n{example.name}\n{done.stdout[-6000:]}"


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
        say(f"{'example':32} {'seconds':>8}")
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            failures = list(filter(None, pool.map(lambda path: run(consumer, path), chosen)))
    for failure in failures:
        say(failure)
    return 0 if chosen and not failures else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
