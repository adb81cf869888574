"""The first hour of a new user: `start.md`, then the pages of `how-to` in the order of their index.

Each page goes on in the folder, the shell and the embedded cloud of the page before. `make qa SUITE=docs`
runs them: `start.md`, `first-deployment.md`, `hundreds-of-tenants.md`, `onboard-without-deploying.md`,
`import-what-is-there.md`, `publish-from-training.md`, `evaluate-in-ci.md`, `scale.md`, `watch.md`,
`roll-back.md`, `release.md` and `move-between-endpoints.md`.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, pages, read
from tests.docs.page_run import reader_variables, runs

pytestmark = [pytest.mark.documents, pytest.mark.integration, pytest.mark.timeout(1200)]

TEST = "tests/docs/test_first_hour.py"
HOW_TO = ROOT / "docs" / "how-to"
NAMES = re.findall(r"\]\(([\w-]+\.md)\)", (HOW_TO / "index.md").read_text())
PAGES = [
    page
    for page in (ROOT / "docs" / "start.md", *(HOW_TO / name for name in NAMES))
    if page.exists() and any(runs(TEST, block) for block in read(page).blocks)
]


class Shell:
    """A reader's shell, with a home of its own."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._state, self._started = home / ".state", home / ".started"
        self._state.touch()
        self._started.touch()

    def run(self, page: Path) -> None:
        """Run the blocks of a page that are this test's. Every command should succeed."""
        lines = [
            f"trap 'jobs -p >> {self._started}' EXIT",
            f"set -e -o pipefail; . {self._state}",
            *(block.text for block in read(page).blocks if runs(TEST, block)),
            f"{{ printf 'cd %q\\n' \"$PWD\"; export -p; }} > {self._state}",
        ]
        done = subprocess.run(
            ["bash", "-x", "-c", "\n".join(lines)],
            cwd=self._home,
            env=os.environ | reader_variables(self._home),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{page.name}\n{done.stdout}\n{done.stderr}"

    def close(self) -> None:
        """End the embedded cloud that the pages have started."""
        for pid in self._started.read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGTERM)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    shell = Shell(tmp_path_factory.mktemp("home"))
    yield shell
    shell.close()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_runs_after_the_pages_before_it(shell: Shell, page: Path) -> None:
    shell.run(page)


def test_every_page_that_names_this_test_is_run() -> None:
    marked = [page.path for page in pages() if any(runs(TEST, block) for block in page.blocks)]
    assert sorted(PAGES) == marked
