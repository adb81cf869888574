"""Makes the environment with vLLM: `python -m tests.vllm.environment FOLDER`.

vLLM's build for CPUs needs a build of PyTorch that PyPI does not have. Where pip's configured links hold it,
3.4 GB are installed in some minutes.
"""

import hashlib
import subprocess
import sys
from pathlib import Path

from tests.vllm.engine.base_rows import GROUP, PLUGIN

ROOT = Path(__file__).parents[2]
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
FOLDER = ROOT / ".venv-vllm"


class UnavailableError(Exception):
    """This machine cannot install vLLM."""


def python_of(folder: Path) -> Path:
    """The Python of an environment; its own path, since the link that it is leads out of the environment."""
    return folder.absolute() / "bin" / "python"


def engine_command(python: str) -> str:
    """The setting `engine_command` with which an embedded cloud serves its models with vLLM."""
    return f"{python} -m tests.vllm.engine --model-dir {{model_dir}} --port {{port}} --dialect {{dialect}}"


def prepare(folder: Path) -> Path:
    """Install what is missing and return the Python; UnavailableError if PyTorch's build is not to be had."""
    python, stamp, state = python_of(folder), folder / ".installed", wanted_state()
    if stamp.exists() and stamp.read_text() == state:
        return python
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    torch = next(line for line in REQUIREMENTS.read_text().splitlines() if line.startswith("torch=="))
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps"]
    found = subprocess.run([*pip, "--dry-run", torch], capture_output=True, text=True, check=False)
    if found.returncode != 0:
        said = found.stderr.strip().rpartition("\n")[2]
        raise UnavailableError(f"pip's index and links do not have {torch} for this Python: {said}")
    # The list is complete, but for torchaudio and torchcodec, whose libraries are not on every machine.
    subprocess.run([*pip, "-r", str(REQUIREMENTS)], check=True)
    subprocess.run([*pip, "--no-build-isolation", "-e", str(ROOT)], check=True)
    install_plugin(python)
    stamp.write_text(state)
    return python


def install_plugin(python: Path) -> None:
    """Make this checkout's `tests` importable, with the entry point by which vLLM loads the plugin."""
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    said = subprocess.run([str(python), "-c", where], capture_output=True, text=True, check=True)
    packages = Path(said.stdout.strip())
    packages.joinpath("tests_vllm.pth").write_text(f"{ROOT}\n")
    metadata = packages / f"{PLUGIN}-1.dist-info"
    metadata.mkdir(exist_ok=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PLUGIN}\nVersion: 1\n")
    entry = f"[{GROUP}]\n{PLUGIN} = tests.vllm.engine.base_rows:register\n"
    (metadata / "entry_points.txt").write_text(entry)


def wanted_state() -> str:
    """What the installed packages depend on."""
    content = REQUIREMENTS.read_bytes() + (ROOT / "pyproject.toml").read_bytes()
    return f"{ROOT} {hashlib.sha256(content).hexdigest()}"


def main() -> int:
    """Install and print the engine's command, or say why not."""
    try:
        python = prepare(Path(*sys.argv[1:2]) if sys.argv[1:] else FOLDER)
    except UnavailableError as error:
        sys.stderr.write(f"vLLM cannot be installed: {error}\n")
        return 1
    sys.stdout.write(f"{engine_command(str(python))}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
