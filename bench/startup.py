"""How much later `adapters --help` ends than Python that does nothing, in runs that take turns.

Both are whole processes of this Python, timed from the outside. The fastest run counts, as for `timeit`:
other programs of the machine only add to a run.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that the file also runs by its path

from bench.harness import Claim, publish

RUNS = 40
MOST_LATER_SECONDS = 0.3

NOTHING = ("-c", "pass")
HELP = ("-m", "adapters_cli", "--help")
ONE_COMMAND = ("-m", "adapters_cli", "status", "--help")
"""A command imports its own module; most of them import the rules about fleets, too."""
VERSION = ("-m", "adapters_cli", "--version")

STARTS = {
    "python -c pass": NOTHING,
    "adapters --help": HELP,
    "adapters status --help": ONE_COMMAND,
    "adapters --version": VERSION,
}


def main() -> int:
    for arguments in STARTS.values():
        _seconds(arguments)  # compiles what is imported
    rounds = [{name: _seconds(arguments) for name, arguments in STARTS.items()} for _ in range(RUNS)]
    fastest = {name: min(run[name] for run in rounds) for name in STARTS}
    bare, shown = fastest["python -c pass"], fastest["adapters --help"]
    claims = [
        Claim(
            claim="adapters --help, s (other: python -c pass)",
            ours=shown,
            other=bare,
            ratio=shown / bare,
            goal=f"at most {MOST_LATER_SECONDS:g} s later",
            holds=shown - bare <= MOST_LATER_SECONDS,
        )
    ]
    figures = [
        {
            "what": name,
            "fastest, s": f"{fastest[name]:.3f}",
            "median, s": f"{statistics.median(run[name] for run in rounds):.3f}",
            "later than Python, s": f"{fastest[name] - bare:.3f}",
        }
        for name in STARTS
    ]
    return publish("startup", claims, figures=figures)


def _seconds(arguments: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
