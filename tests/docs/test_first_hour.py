"""The first hour of a new user: `start.md`, then the pages of `how-to` in the order of their index.

Each page goes on in the folder, the shell and the embedded cloud of the page before. `make qa SUITE=docs`
runs them: `start.md`, `first-deployment.md`, `hundreds-of-tenants.md`, `publish-from-training.md`,
`evaluate-in-ci.md`, `scale.md`, `watch.md`, `roll-back.md`, `release.md`, `move-between-endpoints.md`,
`onboard-without-deploying.md` and `import-what-is-there.md`. None deletes what a page before it made.
"""

import json
import os
import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, pages, read
from tests.docs.page_run import bash, reader_variables, runs

pytestmark = [pytest.mark.documents, pytest.mark.integration, pytest.mark.timeout(1200)]

TEST = "tests/docs/test_first_hour.py"
HOW_TO = ROOT / "docs" / "how-to"
NAMES = re.findall(r"\]\(([\w-]+\.md)\)", (HOW_TO / "index.md").read_text())
PAGES = [
    page
    for page in (ROOT / "docs" / "start.md", *(HOW_TO / name for name in NAMES))
    if page.exists() and any(runs(TEST, block) for block in read(page).blocks)
]


MADE = """
import json
import subprocess

import boto3

status = subprocess.run(["adapters", "status", "--json"], stdout=subprocess.PIPE)
pages = boto3.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName="Inference")
names = [resource["LogicalResourceId"] for page in pages for resource in page["StackResourceSummaries"]]
print(json.dumps(names + [adapter["name"] for adapter in json.loads(status.stdout)["adapters"]]))
"""
"""Prints the resources of the stack and the adapters of the fleet."""


class Shell:
    """A reader's shell, with a home of its own."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._state, self._started = home / ".state", home / ".started"
        self._state.touch()
        self._started.touch()

    def run(self, page: Path) -> set[str]:
        """Run the blocks of a page that are this test's. Every command should succeed.

        Returns the resources and adapters that are there afterwards.
        """
        self._run("-x", *(block.text for block in read(page).blocks if runs(TEST, block)))
        return set(json.loads(self._run("+x", f"python - <<'MADE'{MADE}MADE\n")))

    def _run(self, option: str, *blocks: str) -> str:
        lines = [
            f"trap 'jobs -p >> {self._started}' EXIT",
            f"set -e -o pipefail; . {self._state}",
            *blocks,
            f"{{ printf 'cd %q\\n' \"$PWD\"; export -p; }} > {self._state}",
        ]
        variables = os.environ | reader_variables(self._home)
        return bash(option, "-c", "\n".join(lines), folder=self._home, variables=variables)

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


@pytest.fixture(scope="module")
def made() -> set[str]:
    """The resources and adapters that the pages so far have made."""
    return set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_runs_after_the_pages_before_it_and_deletes_nothing_of_theirs(
    shell: Shell, made: set[str], page: Path
) -> None:
    found = shell.run(page)
    assert made - found == set()
    made |= found


def test_every_page_that_names_this_test_is_run() -> None:
    marked = [page.path for page in pages() if any(runs(TEST, block) for block in page.blocks)]
    assert sorted(PAGES) == marked
