"""Installs what a checkout needs: `make setup` runs it for `.venv`, then for `node_modules`.

    python tools/setup.py (python | node)

It needs the standard library alone, as nothing is installed yet. A folder with the file `.installed` is
complete. A run deletes that file before it changes the folder, and writes it at the end: whatever an
interrupted run leaves behind is replaced by the next one. Downloads are in the caches of uv, pip and npm by
then, so the next run continues about where the last one stopped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
Run = Callable[[Sequence[str]], None]
"""Runs a command; raises SetupError if it fails."""


class SetupError(Exception):
    """A step that failed, with what its command printed."""


class Steps:
    """Prints each step before it begins, and how long it took after it."""

    def __init__(self, count: int, write: Callable[[str], object]) -> None:
        self._count, self._write = count, write
        self._done = 0

    def step(self, what: str, work: Callable[[], None]) -> None:
        """Do one step."""
        self._done += 1
        self._write(f"  [{self._done}/{self._count}] {what} … ")
        started = time.monotonic()
        try:
            work()
        except BaseException:
            self._write("\n")
            raise
        self._write(f"{time.monotonic() - started:.0f} s\n")


class PythonSetup:
    """The virtual environment: uv, the locked packages with Node.js, and the checkout itself."""

    def __init__(self, root: Path, run: Run, write: Callable[[str], object]) -> None:
        self._run, self._write = run, write
        self._lock = root / "requirements.txt"
        self._root, self._folder = root, root / ".venv"
        self._python = self._folder / "bin" / "python"
        self._stamp = self._folder / ".installed"

    def install(self) -> None:
        """Install what is missing, and everything if the last run did not reach its end."""
        complete = self._stamp.exists() and self._works()
        self._write("Python packages into .venv: 900 MB, which only the first time has to download.\n")
        if not complete and self._folder.exists():
            self._write("  .venv is incomplete or does not work, so it is replaced.\n")
        steps = Steps(count=3, write=self._write)
        if complete:
            self._stamp.unlink()
            steps.step("uv, which installs the rest", self._install_uv)
        else:
            steps.step(f"an environment of Python {_running_python()} with uv", self._make_environment)
        steps.step(f"{self._package_count()} packages of requirements.txt", self._install_packages)
        steps.step("this checkout, editable", self._install_checkout)
        self._stamp.touch()

    def _works(self) -> bool:
        check = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
        try:
            self._run([str(self._python), "-c", check])
        except (SetupError, OSError):
            return False
        return True

    def _make_environment(self) -> None:
        base = str(_base_python(self._folder))
        shutil.rmtree(self._folder, ignore_errors=True)
        self._run([base, "-m", "venv", "--without-pip", str(self._folder)])
        pip = [base, "-m", "pip", "--python", str(self._python), "install", "--quiet"]
        try:
            # Python's own ensurepip takes longer than all the packages do.
            self._run([*pip, "--disable-pip-version-check", "--constraint", str(self._lock), "uv", "pip"])
        except SetupError:  # the running Python has no pip, or an old one
            self._run([str(self._python), "-m", "ensurepip"])
            self._install_uv()

    def _install_uv(self) -> None:
        try:
            self._pip("--constraint", str(self._lock), "uv")
        except SetupError as error:
            self._write(f"\n  {_last_line(error)}\n  pip installs the rest, which takes longer … ")

    def _install_packages(self) -> None:
        self._install("--requirement", str(self._lock))

    def _install_checkout(self) -> None:
        self._install("--no-deps", "--no-build-isolation", "--editable", str(self._root))

    def _install(self, *arguments: str) -> None:
        """Install by uv; by pip if uv is missing or fails, as behind an index that only pip is told of."""
        uv = self._folder / "bin" / "uv"
        if uv.exists():
            try:
                self._run([str(uv), "pip", "install", "--quiet", "--python", str(self._python), *arguments])
            except SetupError as error:
                self._write(f"\n  uv: {_last_line(error)}\n  pip tries it, which takes longer … ")
            else:
                return
        self._pip(*arguments)

    def _pip(self, *arguments: str) -> None:
        pip = [str(self._python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        self._run([*pip, *arguments])

    def _package_count(self) -> int:
        return sum("==" in line for line in self._lock.read_text().splitlines() if not line.startswith(" "))


class NodeSetup:
    """The CDK command line from `package-lock.json`, by the Node.js of the virtual environment."""

    def __init__(self, root: Path, run: Run, write: Callable[[str], object]) -> None:
        self._root, self._run, self._write = root, run, write

    def install(self) -> None:
        """Install everything: `npm ci` deletes the folder first."""
        self._write("The AWS CDK command line into node_modules: 50 MB, likewise.\n")
        npm = self._root / ".venv" / "bin" / "npm"
        command = [str(npm), "ci", "--loglevel=error", "--prefix", str(self._root)]
        Steps(count=1, write=self._write).step("npm ci", lambda: self._run(command))
        (self._root / "node_modules" / ".installed").touch()


def run_command(command: Sequence[str]) -> None:
    """Run a command; raise SetupError with what it printed if it fails."""
    path = f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    variables = {**os.environ, "PATH": path}
    if "PIP_INDEX_URL" in variables:  # uv does not read pip's settings
        variables.setdefault("UV_DEFAULT_INDEX", variables["PIP_INDEX_URL"])
    done = subprocess.run(
        command,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise SetupError(f"'{' '.join(command)}' ended with {done.returncode}:\n{done.stdout.strip()}")


def write_now(text: str) -> None:
    """Write to standard output at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def main(arguments: Sequence[str]) -> int:
    """Set up one folder; return the exit code."""
    setups: dict[str, type[PythonSetup | NodeSetup]] = {"python": PythonSetup, "node": NodeSetup}
    if len(arguments) != 1 or arguments[0] not in setups:
        sys.stderr.write(f"usage: setup.py {' | '.join(setups)}\n")
        return 2
    try:
        setups[arguments[0]](ROOT, run_command, write_now).install()
    except SetupError as error:
        sys.stderr.write(f"{error}\n\n`make setup` continues from here.\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; `make setup` continues from here\n")
        return 130
    return 0


def _base_python(folder: Path) -> Path:
    """Return the running Python, by a path outside of `folder`, which may be first on the search path."""
    python = Path(getattr(sys, "_base_executable", sys.executable))
    return python.resolve() if folder in python.parents else python


def _running_python() -> str:
    return ".".join(str(part) for part in sys.version_info[:2])


def _last_line(error: SetupError) -> str:
    return str(error).strip().rpartition("\n")[2]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
