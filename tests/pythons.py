"""Runs the tests without deployments on every supported Python.

    python -m tests.pythons MARKERS [VERSION …]

Each Python has an environment of its own with the packages of the lock. uv finds a Python on this machine, or
downloads one. A version that is not to be had is reported, and is an error only if it was asked for.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.guides import last_run, table, write_below

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs" / "releasing.md"
FOLDER = ROOT / ".venv-pythons"
BEGINNING = "<!-- Below: written by `make test-pythons`. -->"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the tests said on one Python, or why they did not run."""

    version: str
    said: str
    minutes: float = 0.0
    ran: bool = False
    passed: bool = False


def supported_versions() -> list[str]:
    """Return the minor versions that the package's metadata names."""
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    named = (re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", line) for line in classifiers)
    return [match[1] for match in named if match]


def test_on(version: str, markers: str) -> Outcome:
    """Install the locked packages for one Python, and run the tests on it."""
    folder = FOLDER / version
    python = folder / "bin" / "python"
    install = ["uv", "pip", "install", "--quiet", "--python", str(python)]
    made = ["uv", "venv", "--quiet", "--seed", "--allow-existing", "--python", version, str(folder)]
    if subprocess.run(made, check=False).returncode:
        return Outcome(version=version, said="not available on this machine")
    for command in (
        [*install, "--requirement", "requirements.txt"],
        [*install, "--no-deps", "--no-build-isolation", "--editable", "."],
    ):
        subprocess.run(command, cwd=ROOT, check=True)
    started = time.monotonic()
    command = [str(python), "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "-m", markers]
    said, passed = [], True
    for folders in ([], ["tests/local"]):
        done = subprocess.run(
            command + folders,
            cwd=ROOT,
            env={**os.environ, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        _say(done.stdout)
        summary = done.stdout.strip().rpartition("\n")[2]
        said.append(re.sub(r" in [\d.]+s.*", "", summary.strip("= ")))
        passed &= done.returncode == 0
    full = subprocess.run([str(python), "--version"], capture_output=True, text=True, check=True).stdout
    return Outcome(
        version=full.split()[1],
        said="; ".join(said),
        minutes=(time.monotonic() - started) / 60,
        ran=True,
        passed=passed,
    )


def main(arguments: Sequence[str]) -> int:
    """Test on every Python, print what ran, and record it in the guide if nothing was chosen."""
    markers, *chosen = arguments
    outcomes = [test_on(version, markers) for version in chosen or supported_versions()]
    rows = [(each.version, each.said, f"{each.minutes:.0f}" if each.ran else "") for each in outcomes]
    lines = table(("Python", "tests", "minutes"), rows)
    _say(lines)
    if not chosen:
        ran = sum(each.ran for each in outcomes)
        write_below(GUIDE, BEGINNING, [last_run(f"{ran} of {len(outcomes)} versions ran"), lines])
    wrong = [each for each in outcomes if not each.passed and (each.ran or chosen)]
    return 1 if wrong else 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
