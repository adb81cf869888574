"""Installs each client into an environment of its own, and clones what others wrote.

    python -m tests.clients.environments [NAME …]

NAME is that of a file in `requirements`; without one, all are installed. An environment that already has
what its file pins is left as it is.
"""

import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
REQUIREMENTS = Path(__file__).parent / "requirements"
FOLDER = ROOT / ".venv-clients"


class NotInstalledError(Exception):
    """An environment that could not be installed, with what the installer said."""


@dataclass(frozen=True)
class Environment:
    """An environment for what one file of `requirements` pins."""

    name: str

    @property
    def _folder(self) -> Path:
        return FOLDER / self.name

    @property
    def _pins(self) -> str:
        return (REQUIREMENTS / f"{self.name}.txt").read_text()

    @property
    def python(self) -> Path:
        return self._folder / "bin" / "python"

    def version(self, package: str) -> str:
        (version,) = re.findall(rf"^{re.escape(package)}==(\S+)", self._pins, re.MULTILINE)
        return str(version)

    def install(self) -> None:
        """Install what is missing; NotInstalledError if that fails."""
        record = self._folder / "installed.txt"
        if not record.exists() or record.read_text() != self._pins:
            self._renew()
            record.write_text(self._pins)

    def _renew(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        venv.create(self._folder, symlinks=True)
        wanted = ["install", "--quiet", "-r", str(REQUIREMENTS / f"{self.name}.txt")]
        pip = [sys.executable, "-m", "pip", "--python", str(self.python), "--disable-pip-version-check"]
        # `make setup` does without uv where uv cannot be had.
        uv = shutil.which("uv")
        install = [uv, "pip", *wanted, "--python", str(self.python)] if uv else [*pip, *wanted]
        done = subprocess.run(install, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotInstalledError(f"{self.name} could not be installed: {done.stderr[-2000:]}")


def checkout(source: Mapping[str, Any], variable: str) -> Path:
    """Return a checkout of `repository` at `commit`: the folder that a variable names, or a clone."""
    if variable in os.environ:
        return Path(os.environ[variable])
    folder = FOLDER / Path(source["repository"]).name
    if not folder.exists():
        subprocess.run(["git", "clone", "--quiet", source["repository"], folder], check=True)
    subprocess.run(["git", "-C", folder, "checkout", "--quiet", source["commit"]], check=True)
    return folder


def main(names: list[str]) -> None:
    for name in names or sorted(path.stem for path in REQUIREMENTS.glob("*.txt")):
        Environment(name).install()


if __name__ == "__main__":
    main(sys.argv[1:])
