"""Checkouts of repositories that others wrote, of which nothing is in this one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.clients.environments import FOLDER


def checkout(source: Mapping[str, Any], variable: str) -> Path:
    """Return a checkout of `repository` at `commit`: the folder that a variable names, or a clone."""
    if variable in os.environ:
        return Path(os.environ[variable])
    folder = FOLDER / Path(source["repository"]).name
    if not folder.exists():
        subprocess.run(["git", "clone", "--quiet", source["repository"], folder], check=True)
    subprocess.run(["git", "-C", folder, "checkout", "--quiet", source["commit"]], check=True)
    return folder
