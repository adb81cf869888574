"""Runs each file of tests in a process of its own, as someone does who works on one module.

    python -m tests.alone [--jobs 2] [FILE...]

A file that needs what another one has imported, set or deployed fails here, and its output is printed.
"""

import argparse
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

NO_TESTS = 5
"""pytest's exit code for a file whose tests all belong to another target."""


def test_files() -> Iterator[Path]:
    """Yield the files of `make test` and `make qa SUITE=local`."""
    settings = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    for path in [*settings["testpaths"], "tests/local"]:
        yield from Path().glob(path if "*" in path else f"{path}/**/test_*.py")


def failed(file: Path) -> bool:
    """Run one file; print its output and return True if it fails."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    bad = done.returncode not in (0, NO_TESTS)
    if bad:
        sys.stdout.write(f"{done.stdout}\n{file} fails alone\n")
    return bad


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "files", nargs="*", type=Path, help="else every file of `make test` and `make qa SUITE=local`"
    )
    parser.add_argument("--jobs", type=int, default=2, help="how many files at the same time")
    given = parser.parse_args()
    files = given.files or sorted(test_files())
    with ThreadPoolExecutor(given.jobs) as threads:
        bad = sum(threads.map(failed, files))
    sys.stdout.write(f"{len(files) - bad} of {len(files)} files pass alone\n")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
