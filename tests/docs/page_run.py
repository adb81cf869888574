"""Runs the blocks of a page from top to bottom, as its reader would."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from local_sagemaker.server import LocalCloud
from tests.docs.blocks import COMMANDS, ROOT, RUN_BY, Block, Fate, read
from tests.docs.shell import script, whole_commands
from tests.integration.by_hand import client

ON_THE_CLOUD = "tests/docs/test_pages_on_the_cloud.py"
"""The test that runs every block of commands that no mark gives to another."""
_KEEP_STATE = "{ printf 'cd %q\\n' \"$PWD\"; export -p; declare -f; }"


def runs(test: str, block: Block) -> bool:
    """Return whether a test runs a block."""
    if block.fate is not Fate.RUN:
        return False
    if block.mark is not None:
        return block.mark.kind == RUN_BY and block.mark.text == test
    return block.language in COMMANDS and test == ON_THE_CLOUD


def reader_variables(home: Path) -> dict[str, str]:
    """Return the environment of a reader: a home, the commands of the checkout, and a quiet CDK."""
    path = [str(Path(sys.executable).parent), str(ROOT / "node_modules/.bin"), os.environ["PATH"]]
    return {
        "HOME": str(home),
        "PATH": os.pathsep.join(path),
        "CDK_DISABLE_VERSION_CHECK": "1",
        "CDK_VALIDATION": "false",
    }


def bash(*arguments: str, folder: Path, variables: Mapping[str, str]) -> str:
    """Run a script, the last argument, which should succeed; return what it printed."""
    done = subprocess.run(
        ["bash", *arguments],
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{arguments[-1]}\n{done.stdout}\n{done.stderr}"
    return done.stdout


class Shell:
    """A shell in a folder with the files of the repository that pages name."""

    def __init__(self, cloud: LocalCloud, folder: Path) -> None:
        self._cloud = cloud
        self._folder = folder
        self._state = folder / ".state"
        self._state.touch()
        for name in ("app.py", "cdk.json", ".venv", "node_modules"):
            if (ROOT / name).exists():
                (folder / name).symlink_to(ROOT / name)
        # What Python compiled may be renamed meanwhile, by another test's process.
        for name in ("examples", "environments"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))

    @property
    def variables(self) -> dict[str, str]:
        """The environment of every command."""
        return {
            **self._cloud.environment,
            "LOCAL_SAGEMAKER_TOKEN": self._cloud.token,  # `make local` prints it as well
            **reader_variables(self._folder / "home"),
        }

    def run(self, command: str) -> str:
        """Run a command with the variables, functions and folder that the commands before it left."""
        lines = (f". {self._state}", command, "status=$?", f"{_KEEP_STATE} > {self._state}", "exit $status")
        return bash("-c", "\n".join(lines), folder=self._folder, variables=self.variables)


class PageRun:
    """A page, its folder, and what each command printed on standard output.

    test:
        The path of the test, which marks name.
    """

    def __init__(self, cloud: LocalCloud, folder: Path, page: Path, *, test: str = ON_THE_CLOUD) -> None:
        self._cloud = cloud
        self._test = test
        self._page = read(page)
        self._shell = Shell(cloud, folder)
        self._names: dict[str, Any] = {"__name__": "__main__"}
        self.folder = folder
        self.text = page.read_text()
        self.said: dict[str, str] = {}

    def run(self) -> None:
        """Run every block of the page that is this test's; each command must succeed."""
        self._cloud.admin.scale_waits(0.1)
        try:
            for block in self._page.blocks:
                if runs(self._test, block):
                    self._run(block)
        finally:
            self._cloud.admin.scale_waits(1)

    def _run(self, block: Block) -> None:
        if block.language == "python":
            self._run_python(block)
            return
        for command in whole_commands(script(block)):
            self.said[command] = self._shell.run(command)

    def _run_python(self, block: Block) -> None:
        """Run Python in this process, with the names of the page's blocks before."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self._shell.variables.items():
                patch.setenv(name, value)
            patch.chdir(self.folder)
            exec(compile(block.text, block.name, "exec"), self._names)  # noqa: S102  # a page of this repository

    def output(self, *words: str) -> str:
        """Return what the one command with these words printed."""
        (found,) = [text for command, text in self.said.items() if all(word in command for word in words)]
        return found

    def delete_bucket(self, bucket: str) -> None:
        """Delete a bucket that the page has created."""
        s3 = client(self._cloud, "s3")
        for found in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
            s3.delete_object(Bucket=bucket, Key=found["Key"])
        s3.delete_bucket(Bucket=bucket)
