"""The import contracts: CONTRIBUTING.md draws them, and each one fails on a forbidden import."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
LINTER = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
CONTRACTS: list[dict[str, Any]] = LINTER["contracts"]
SOURCES = {
    "multi_adapter_inference": "constructs",
    "adapter_fleet": "lambda",
    "adapters_cli": "cli",
    "local_sagemaker": "local",
}
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


def planted() -> dict[str, set[str]]:
    """Return for each contract a module, and an import in it, that break the contract."""
    imports: dict[str, set[str]] = {}
    for contract in CONTRACTS:
        match contract["type"]:
            case "layers":
                (container,) = contract["containers"]
                floors = layers(contract)
                importer, imported = f"{container}.{floors[-1][0]}", f"{container}.{floors[0][0]}"
            case "forbidden":
                importer, imported = contract["source_modules"][0], contract["forbidden_modules"][0]
            case "independence":
                folder = contract["modules"][0].removesuffix(".*")
                first, second, *_ = sorted(path.stem for path in source(folder).glob("[a-z]*.py"))
                importer, imported = f"{folder}.{first}", f"{folder}.{second}"
            case "acyclic_siblings":
                continue  # an import from the lowest layer to the highest closes a circle, too
        imports.setdefault(importer, set()).add(imported)
    return imports


def source(module: str, root: Path = ROOT) -> Path:
    """Return the folder of a package, or the file of a module."""
    package, *names = module.split(".")
    path = root.joinpath(SOURCES[package], package, *names)
    return path if path.is_dir() else path.with_suffix(".py")


def run_linter(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=root,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(str(root / folder) for folder in SOURCES.values())},
        capture_output=True,
        text=True,
        check=False,
    )


def test_each_contract_breaks_when_a_forbidden_import_is_added(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package, folder in SOURCES.items():
        shutil.copytree(
            ROOT / folder / package,
            tmp_path / folder / package,
            ignore=lambda _, names: [name for name in names if "." in name and not name.endswith(".py")],
        )
    whole = run_linter(tmp_path)
    assert whole.returncode == 0, whole.stdout
    for importer, imports in planted().items():
        path = source(importer, tmp_path)
        with (path / "__init__.py" if path.is_dir() else path).open("a") as file:
            file.writelines(f"import {imported}\n" for imported in sorted(imports))
    broken = run_linter(tmp_path)
    assert broken.returncode == 1, broken.stderr
    for contract in CONTRACTS:
        assert f"{contract['name']} BROKEN" in broken.stdout


def test_every_path_in_contributing_exists() -> None:
    text = PICTURE.sub("", (ROOT / "CONTRIBUTING.md").read_text())
    named = re.findall(r"`([\w.-]+/[\w./-]*)`", text) + re.findall(r"\]\((?!http)([^)#]+)", text)
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []
