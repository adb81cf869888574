"""The import contracts, as CONTRIBUTING.md draws them, and the paths that it names."""

from __future__ import annotations

import re
import tomllib
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
LINTER = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
CONTRACTS: list[dict[str, Any]] = LINTER["contracts"]
PICTURE = re.compile(r"```mermaid\n%% rooms of (?P<container>[\w.]+)\n(?P<lines>.*?)```", re.DOTALL)
NODE = re.compile(r'(\w+)\["(.*?)"\]')
Imports = set[tuple[str, str]]
"""Pairs of a room and one that it may import."""


def of_type(kind: str) -> list[dict[str, Any]]:
    return [contract for contract in CONTRACTS if contract["type"] == kind]


def layers(contract: dict[str, Any]) -> list[list[str]]:
    """Return the rooms of each layer, the highest first."""
    return [re.split(r"\s*[|:]\s*", layer) for layer in contract["layers"]]


def forbidden(container: str) -> Imports:
    """Return the pairs of two rooms of a container that a `forbidden` contract names."""
    prefix = f"{container}." if container else ""
    return {
        (source.removeprefix(prefix), target.removeprefix(prefix))
        for contract in of_type("forbidden")
        for source, target in product(contract["source_modules"], contract["forbidden_modules"])
        if source.startswith(prefix) and target.startswith(prefix)
    }


def allowed() -> dict[str, Imports]:
    """Return what the contracts let the rooms of each container import."""
    roots = LINTER["root_packages"]
    found = {"the repository": {(a, b) for a, b in product(roots, roots) if a != b} - forbidden("")}
    for contract in of_type("layers"):
        (container,) = contract["containers"]
        floors = layers(contract)
        downward = {
            (upper, lower)
            for number, floor in enumerate(floors)
            for below in floors[number + 1 :]
            for upper, lower in product(floor, below)
        }
        found[container] = downward - forbidden(container)
    return found


def drawn(lines: str) -> Imports:
    """Return what a picture lets rooms import: all that their arrows lead to, directly or by others."""
    rooms = {node: label.split("<br>") for node, label in NODE.findall(lines)}
    arrows: dict[str, set[str]] = {node: set() for node in rooms}
    for line in lines.splitlines():
        chain = [re.findall(r"\w+", NODE.sub(r"\1", part)) for part in line.split("-->")]
        for left, right in pairwise(chain):
            for start in left:
                arrows[start].update(right)

    def reached(start: str) -> set[str]:
        return arrows[start].union(*map(reached, arrows[start]))

    return {pair for node in rooms for below in reached(node) for pair in product(rooms[node], rooms[below])}


def pictures() -> dict[str, Imports]:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    found = {picture["container"]: drawn(picture["lines"]) for picture in PICTURE.finditer(text)}
    return {"the repository" if name == "repository" else name: imports for name, imports in found.items()}


@pytest.mark.parametrize("container", allowed())
def test_picture_has_the_arrows_of_the_contracts(container: str) -> None:
    assert sorted(pictures()[container]) == sorted(allowed()[container])


def test_every_picture_has_contracts() -> None:
    assert pictures().keys() == allowed().keys()


@pytest.mark.slow
def test_every_path_in_contributing_exists() -> None:
    text = PICTURE.sub("", (ROOT / "CONTRIBUTING.md").read_text())
    named = re.findall(r"`([\w.-]+/[\w./-]*)`", text) + re.findall(r"\]\((?!http)([^)#]+)", text)
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []
