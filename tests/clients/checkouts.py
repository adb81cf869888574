"""Checkouts of repositories that others wrote, of which nothing is in this one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.clients.environments import FOLDER


def checkout(source: Mapping[str, Any], variable: str) -> Path:
    """Return a checkout of `repository` at `commit`: the folder that a variable names, or a clone.

    Skips the test where neither is to be had.
    """
    if variable in os.environ:
        return Path(os.environ[variable])
    folder = FOLDER / Path(source["repository"]).name
    if not folder.exists():
        for command in (
            ["clone", "--quiet", source["repository"], str(folder)],
            ["-C", str(folder), "checkout", "--quiet", source["commit"]],
        ):
            done = subprocess.run(["git", *command], capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"{variable} should be a checkout of {source['repository']}: {done.stderr}")
    return folder
