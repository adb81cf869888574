"""What the README and the guides show to paste works as it is."""

import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import aws_cdk as cdk
import pytest

from adapter_fleet.manifest.parser import SCHEMA_FILE
from tests.docs.blocks import read

ROOT = Path(__file__).parents[2]
README = read(ROOT / "README.md")
APP, FLEET = (block.text for block in README.blocks if block.language == "python")
(MANIFEST,) = (block.text for block in README.blocks if block.language == "yaml")
SCHEMA = re.compile(r"# yaml-language-server: \$schema=(\S+)\n")


@pytest.mark.slow
def test_the_app_and_the_fleet_of_the_readme_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "adapters.yaml").write_text(MANIFEST)
    imports = "    AdapterArtifact,\n    AdapterManifest,\n    SmokeTest,\n"
    code = APP.replace("    AdapterArtifact,\n", imports).replace("app.synth()", f"{FLEET}app.synth()")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cdk, "App", partial(cdk.App, outdir=str(tmp_path / "cdk.out")))
    # In this process, which has the CDK already.
    exec(compile(code, "inference.py", "exec"), {})  # noqa: S102 - as a reader of the README runs it
    template = (tmp_path / "cdk.out" / "Inference.template.json").read_text()
    assert "AWS::SageMaker::InferenceComponent" in template
    assert "Custom::AdapterFleet" in template


@pytest.mark.parametrize("path", sorted((ROOT / "environments").glob("*.yaml")), ids=lambda path: path.name)
def test_editors_find_the_schema_of_the_repositorys_manifests(path: Path) -> None:
    (address,) = SCHEMA.findall(path.read_text())
    assert (path.parent / address).resolve() == SCHEMA_FILE


def test_the_command_of_the_guide_copies_the_schema(tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "guides" / "manifest.md").read_text()
    (command,) = re.findall(r"^cp .*SCHEMA_FILE.*$", guide, re.MULTILINE)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # As the reader of the guide runs it.
    subprocess.run(command, shell=True, cwd=tmp_path, check=True, env={**os.environ, "PATH": path})  # noqa: S602
    assert (tmp_path / SCHEMA_FILE.name).read_bytes() == SCHEMA_FILE.read_bytes()
