"""The wheel: built, installed elsewhere, and used by an app in another folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
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
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has the wheel and the locked dependencies, but not this checkout."""
    folder = tmp_path_factory.mktemp("elsewhere") / "venv"
    venv.create(folder)
    (site,) = folder.glob("lib/python*/site-packages")
    # With the pip that is there: to install one into the environment takes longer than all the rest.
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]
    install = [*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    # The dependencies come from the environment that runs the tests; its editable install of the checkout
    # is a .pth file, which only counts in a folder that `site` itself adds.
    import aws_cdk

    dependencies = Path(next(iter(aws_cdk.__path__))).parent
    (site / "dependencies.pth").write_text(f"{dependencies}\n")
    return folder / "bin" / "python"


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
