"""Installs each client into an environment of its own, and measures what that costs.

    python -m tests.clients.environments [NAME …]

NAME is that of a file in `requirements`; without one, all are installed. An environment that already has
what its file pins is left as it is.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
REQUIREMENTS = Path(__file__).parent / "requirements"
FOLDER = ROOT / ".venv-clients"


class NotInstalledError(Exception):
    """An environment that could not be installed, with what the installer said."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What an environment took to install, and takes on disk."""

    seconds: float
    megabytes: float


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
        """The Python of the environment."""
        return self._folder / "bin" / "python"

    def version(self, package: str) -> str:
        """The version of a package that the file pins."""
        (version,) = re.findall(rf"^{re.escape(package)}==(\S+)", self._pins, re.MULTILINE)
        return str(version)

    def install(self) -> Cost:
        """Install what is missing; NotInstalledError if that fails."""
        record = self._folder / "installed.json"
        installed = json.loads(record.read_text()) if record.exists() else {}
        if installed.pop("pins", None) != self._pins:
            started = time.monotonic()
            self._renew()
            installed = {"seconds": time.monotonic() - started, "megabytes": _megabytes(self._folder)}
            record.write_text(json.dumps({**installed, "pins": self._pins}))
        return Cost(**installed)

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


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def main(names: list[str]) -> None:
    """Install environments and print what each costs."""
    for name in names or sorted(path.stem for path in REQUIREMENTS.glob("*.txt")):
        cost = Environment(name).install()
        sys.stdout.write(f"{name}: installed in {cost.seconds:.0f} s, {cost.megabytes:.0f} MB\n")


if __name__ == "__main__":
    main(sys.argv[1:])
