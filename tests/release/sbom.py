"""Writes what the wheel needs, and under which licences: `sbom.cdx.json` and `THIRD-PARTY.md`.

    python -m tests.release.sbom

CycloneDX's own tool reads an environment with the locked versions. What the functions' zips hold is marked.
"""

import json
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from multi_adapter_inference.functions.lambda_zip import write_zip
from tests.guides import table

ROOT = Path(__file__).parents[2]
SBOM, REPORT = ROOT / "sbom.cdx.json", ROOT / "THIRD-PARTY.md"
TOOLS = ROOT / ".venv-release" / "bin"
MARK = {"name": "cdk-multi-adapter-inference:copied-into", "value": "the zips of the Lambda functions"}
HEAD = """# What the wheel needs

`make generate` wrote this page from [the wheel's SBOM](sbom.cdx.json), with the versions of
`requirements.txt`. The zips of the Lambda functions hold copies of some; pip installs the others.
They are those of Python 3.11 on Linux x86-64."""
TARGET = ("--python-version", "3.11", "--python-platform", "x86_64-unknown-linux-gnu")


def canonical(name: str) -> str:
    """Return the name of a distribution as an index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def in_zips() -> set[str]:
    """Return the distributions that the zips of the functions hold, each with its licence."""
    found: set[str] = set()
    with tempfile.TemporaryDirectory() as folder:
        for file in (ROOT / "lambda" / "adapter_fleet" / "lambdas").glob("[!_]*.py"):
            target = Path(folder, f"{file.stem}.zip")
            write_zip(f"adapter_fleet.lambdas.{file.stem}", target)
            names = [name.split("/") for name in zipfile.ZipFile(target).namelist()]
            found |= {canonical(parts[1]) for parts in names if parts[0] == "licenses"}
    return found


def licence(component: dict[str, Any]) -> str:
    """Return the licence that a distribution declares."""
    declared = [each.get("license", each) for each in component["licenses"]]
    exact = [each[key] for each in declared for key in ("expression", "id") if key in each]
    return ", ".join(exact or [each["name"].rpartition(" :: ")[2] for each in declared])


def resolved() -> set[str]:
    """Return what the wheel needs on `TARGET` with all extras, in the locked versions."""
    project = ["--all-extras", "--constraint", "requirements.txt", "pyproject.toml"]
    command = ["uv", "pip", "compile", "--quiet", "--no-annotate", *TARGET, *project]
    found = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True).stdout
    return set(re.findall(r"^[^#\s]+==[^\s;]+", found, re.MULTILINE))


def made() -> dict[str, Any]:
    """Return the SBOM of the locked versions, as CycloneDX's tool makes it."""
    with tempfile.TemporaryDirectory() as folder:
        lock, python = f"{folder}/lock.txt", f"{folder}/venv/bin/python"
        Path(lock).write_text("\n".join(sorted(resolved())))
        project = ["--pyproject", "pyproject.toml", "--mc-type", "library", "--output-reproducible"]
        for command in (
            ["uv", "venv", "--quiet", "--python", sys.executable, f"{folder}/venv"],
            ["uv", "pip", "install", "--quiet", "--python", python, *TARGET, "--requirement", lock],
            [str(TOOLS / "cyclonedx-py"), "environment", python, *project, "--output-file", f"{folder}/sbom"],
        ):
            subprocess.run(command, check=True, cwd=ROOT)
        sbom: dict[str, Any] = json.loads(Path(folder, "sbom").read_text())
    copied = in_zips()
    for component in sbom["components"]:
        component.pop("externalReferences", None)
        if canonical(component["name"]) in copied:
            component["properties"] = [MARK]
    return sbom


def report(sbom: dict[str, Any]) -> str:
    """Return the page with the licences."""
    rows = [
        [each["name"], each["version"], licence(each), "copied" * (MARK in each.get("properties", ()))]
        for each in sbom["components"]
    ]
    return f"{HEAD}\n\n{table(('distribution', 'version', 'licence', 'in the zips'), rows)}\n"


if __name__ == "__main__":
    SBOM.write_text(json.dumps(found := made(), indent=2) + "\n")
    REPORT.write_text(report(found))
