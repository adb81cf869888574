"""How long `make setup` takes for `.venv`, beside the same by pip alone, as it was before uv.

Both sides set up a clone of this checkout, in turn, first with empty caches and then with those that the
first round filled. uv leaves compiling to the first import, so each side also runs a synth, its first one.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that the file also runs by its path

from bench.harness import Claim, publish

ROOT = Path(__file__).parents[1]
BASE_PYTHON = str(Path(sys.executable).resolve())
SYNTH = (
    "from aws_cdk import App, Stack; import multi_adapter_inference as mai; app = App(); "
    "mai.MultiAdapterEndpoint; Stack(app, 'Empty'); app.synth()"
)
Command = Sequence[str]


def by_pip(clone: Path) -> Sequence[Command]:
    pip = [str(clone / ".venv" / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
    return (
        [BASE_PYTHON, "-m", "venv", ".venv"],
        [*pip, "-r", "requirements.txt"],
        [*pip, "--no-deps", "--no-build-isolation", "-e", "."],
    )


def by_make_setup(_clone: Path) -> Sequence[Command]:
    return ([BASE_PYTHON, "tools/setup.py", "python"],)


SIDES: Mapping[str, Callable[[Path], Sequence[Command]]] = {"pip": by_pip, "make setup": by_make_setup}


def main() -> int:
    claims, figures = [], []
    with tempfile.TemporaryDirectory(prefix="bench-setup-") as name:
        folder = Path(name)
        for caches in ("empty", "full"):
            seconds: dict[str, tuple[float, float]] = {}
            for side, commands in SIDES.items():
                clone = folder / f"{side} {caches}".replace(" ", "-")
                subprocess.run(["git", "clone", "--quiet", "--shared", str(ROOT), str(clone)], check=True)
                variables = _variables(clone, caches=folder / side.replace(" ", "-"))
                used = _processor_seconds()
                installed = _seconds(commands(clone), clone, variables)
                synth = _seconds([[str(clone / ".venv/bin/python"), "-c", SYNTH]], clone, variables)
                seconds[side] = installed, installed + synth
                figures.append(
                    {
                        "side": side,
                        "caches": caches,
                        "installed, s": f"{installed:.1f}",
                        "first synth, s": f"{synth:.1f}",
                        "processor time of both, s": f"{_processor_seconds() - used:.1f}",
                    }
                )
            ours, other = seconds["make setup"], seconds["pip"]
            claims += [
                Claim.at_least(2, f"{caches} caches: s to {what} (other: pip)", ours=mine, other=pips)
                for what, mine, pips in zip(("install", "install and synthesize"), ours, other, strict=True)
            ]
    return publish("setup", claims, figures=figures)


def _variables(clone: Path, *, caches: Path) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {
        **kept,
        "PATH": f"{clone / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PIP_CACHE_DIR": str(caches / "pip"),
        "UV_CACHE_DIR": str(caches / "uv"),
        "CDK_VALIDATION": "false",
    }


def _seconds(commands: Sequence[Command], folder: Path, variables: Mapping[str, str]) -> float:
    began = time.perf_counter()
    for command in commands:
        subprocess.run(command, cwd=folder, env=variables, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def _processor_seconds() -> float:
    """Processor time of all commands that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
