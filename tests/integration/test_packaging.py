"""The wheel: built, installed elsewhere, and used by an app in another folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.release.distributions import ROOT, build, install

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
PACKAGES = {"multi_adapter_inference", "adapter_fleet", "adapters_cli", "local_sagemaker"}
APP = """
import sys
from aws_cdk import App, Size, Stack
import multi_adapter_inference as mai

app = App(outdir=sys.argv[2])
stack = Stack(app, "Elsewhere")
tickets = sys.argv[1]
endpoint = mai.MultiAdapterEndpoint(
    stack, "Llm",
    base_model=mai.BaseModel.from_directory(f"{tickets}/base"),
    container=mai.LmiContainer(version=mai.LmiVersion.V19),
    lora=mai.LoraServing(max_loras=4, max_cpu_loras=8, max_lora_rank=16),
    instance_type=mai.InstanceType.ML_G5_2XLARGE,
    compute=mai.ComputeRequirements(accelerators=1, min_memory=Size.mebibytes(1024)),
)
endpoint.add_adapter("Triage", artifact=mai.AdapterArtifact.from_directory(f"{tickets}/adapters/triage"))
app.synth()
print(mai.__file__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build(ROOT, folder, "--wheel")
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(wheel, tmp_path_factory.mktemp("elsewhere") / "venv")


def synth(python: Path | str, out: Path, environment: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Synthesize APP; return the imported package's file and each asset's source hash by its display name."""
    out.mkdir(parents=True)
    done = subprocess.run(
        [str(python), "-c", APP, str(ROOT / "examples" / "tickets"), str(out / "cdk.out")],
        cwd=out,
        env={**os.environ, **environment, "CDK_VALIDATION": "false"},
        check=True,
        capture_output=True,
        text=True,
    )
    assets = json.loads((out / "cdk.out" / "Elsewhere.assets.json").read_text())["files"]
    hashes = {entry["displayName"]: name for name, entry in assets.items()}
    return done.stdout.strip().splitlines()[-1], hashes


def test_wheel_holds_the_four_packages_with_their_types_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert top == PACKAGES
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    assert {"adapters_cli/reports/page.css", "adapters_cli/reports/page.js"} <= set(names)
    assert "adapter_fleet/manifest/manifest.schema.json" in names
    assert f"cdk_multi_adapter_inference-{VERSION}.dist-info/licenses/LICENSE" in names
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


def test_app_in_another_folder_synthesizes_from_the_wheel_with_the_hashes_of_the_checkout(
    python: Path, tmp_path: Path
) -> None:
    installed_at, from_wheel = synth(python, tmp_path / "wheel", {})
    checked_out_at, from_checkout = synth(sys.executable, tmp_path / "checkout", {})

    assert installed_at.startswith(str(python.parents[1]))
    assert checked_out_at.startswith(str(ROOT))
    assert len(from_wheel) >= 3  # template, base model, adapter
    assert from_wheel == from_checkout


@pytest.mark.parametrize("command", ["adapters", "local-sagemaker"])
def test_wheel_installs_its_commands(python: Path, command: str) -> None:
    done = subprocess.run([python.parent / command, "--help"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--help" in done.stdout


def test_commands_of_the_wheel_start_without_the_cdk(python: Path) -> None:
    code = "import sys, adapters_cli.main; sys.exit('aws_cdk' in sys.modules or 'jsii' in sys.modules)"
    assert subprocess.run([str(python), "-c", code], check=False).returncode == 0


def test_command_of_the_wheel_tells_the_version_of_the_project(python: Path) -> None:
    done = subprocess.run(
        [python.parent / "adapters", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"adapters {VERSION}\n"
