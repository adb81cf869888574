"""Builds the distributions from a checkout, and installs a wheel where no checkout is."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def build(checkout: Path, target: Path, *kinds: str) -> None:
    """Build what `kinds` say into a folder: `--wheel`, or the source distribution and a wheel from it."""
    command = [
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        *kinds,
        "--outdir",
        str(target),
        str(checkout),
    ]
    subprocess.run(command, check=True, capture_output=True, cwd=target)


def install(wheel: Path, folder: Path) -> Path:
    """Return a Python that has the wheel and the locked dependencies, but not this checkout."""
    venv.create(folder)
    (site,) = folder.glob("lib/python*/site-packages")
    # With the pip that is there: to install one into the environment takes longer than all the rest.
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]
    command = [*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(command, check=True, capture_output=True)
    # The dependencies come from the environment that runs the tests; its editable install of the checkout
    # is a .pth file, which only counts in a folder that `site` itself adds.
    import aws_cdk

    dependencies = Path(next(iter(aws_cdk.__path__))).parent
    (site / "dependencies.pth").write_text(f"{dependencies}\n")
    return folder / "bin" / "python"
