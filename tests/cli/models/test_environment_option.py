"""The environment file of a command, read without the CDK."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from adapter_fleet.environment import environment_reader
from adapters_cli.models.environment_option import read_environment
from adapters_cli.output.errors import UsageError
from stacks.environment import ENVIRONMENTS

ROOT = Path(__file__).parents[3]


def test_mistakes_are_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "test.toml").write_text("[base_model\n")
    with pytest.raises(UsageError, match=r"test\.toml: not a TOML document: .*line 1"):
        read_environment(str(tmp_path / "test.toml"))


def test_unknown_environment_is_told_with_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(UsageError, match=r"should be one of dev, local, prod, or the path .* got 'staging'"):
        read_environment("staging")


@pytest.mark.parametrize("name", sorted(file.stem for file in ENVIRONMENTS.glob("*.toml")))
def test_environment_of_the_app_is_read_as_the_app_reads_it(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(ROOT)
    relative = environment_reader.read_environment(Path("environments", f"{name}.toml"))
    assert read_environment(name).tables == relative


def test_reading_one_does_not_bring_the_cdk() -> None:
    code = "import sys, adapters_cli.models.environment_option; print({'aws_cdk', 'jsii'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
