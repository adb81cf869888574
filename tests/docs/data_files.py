"""Reads a block of TOML, YAML or JSON as the product reads the file.

TOML is a part of an environment file and YAML is a manifest, but for what their keys say: `pyproject.toml`
and workflows of CI.
"""

from __future__ import annotations

import json
import tomllib
from typing import Any

import yaml

from adapter_fleet.documents.schema import structure
from adapter_fleet.environment import _WORDS, Environment, EnvironmentFileError, _converter
from adapter_fleet.manifest.manifest import Manifest
from tests.docs.blocks import ROOT, Block

_REST = tomllib.loads((ROOT / "environments/local.toml").read_text())
"""What a part of an environment file leaves out."""


def parse(block: Block) -> None:
    """Raise ValueError if the product would refuse the block."""
    if block.language == "json":
        json.loads(block.text)
    elif block.language == "jsonl":
        for line in block.text.splitlines():
            json.loads(line)
    elif block.language == "toml":
        _parse_toml(block.text)
    else:
        _parse_yaml(block.text)


def _parse_toml(text: str) -> None:
    if not tomllib.loads(text).keys() & {"tool", "project", "dependency-groups"}:
        _parse_environment(text)


def _parse_environment(text: str) -> None:
    """Read a part of an environment file: in place of the tables of `local.toml`, or else beside them."""
    part = tomllib.loads(text)
    problems = []
    for whole in (_REST | part, _merged(_REST, part)):
        try:
            structure(_converter(ROOT / "environments"), whole, Environment, words=_WORDS)
        except ValueError as error:
            problems.append(str(error))
        else:
            return
    raise EnvironmentFileError(problems[0])


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return tables with those of `other` in them, at any depth."""
    both = one | other
    for name in one.keys() & other.keys():
        if isinstance(one[name], dict) and isinstance(other[name], dict):
            both[name] = _merged(one[name], other[name])
    return both


def _parse_yaml(text: str) -> None:
    loaded = yaml.safe_load(text)
    # A workflow of GitHub, or a configuration of LiteLLM.
    if not (isinstance(loaded, dict) and loaded.keys() & {"jobs", "litellm_settings"}):
        Manifest.parse(text.encode(), where="adapters.yaml", folder=ROOT)
