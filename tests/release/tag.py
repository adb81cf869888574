"""Checks that a tag names the version and the changelog's newest release.

python -m tests.release.tag v0.2.0
"""

import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]


def project_version() -> str:
    """Return the version of `pyproject.toml`."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def newest_release() -> str:
    """Return the version of the changelog's first release; Unreleased is none."""
    found = re.search(
        r"^## \[(\d[^\]]*)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    return found[1] if found else "none"


def problems(tag: str, version: str, release: str) -> list[str]:
    """Return what speaks against a release of this tag."""
    found = []
    if tag != f"v{version}":
        found.append(f"the tag should be v{version}, got {tag or 'none'}")
    if release != version:
        found.append(f"the newest release in CHANGELOG.md should be {version}, got {release}")
    return found


def main(arguments: Sequence[str]) -> int:
    """Print the problems; return the exit code."""
    found = problems("".join(arguments), project_version(), newest_release())
    sys.stderr.writelines(f"{problem}\n" for problem in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
