"""The environment file of a command, read without the CDK."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from adapter_fleet.environment import environment_reader
from adapter_fleet.serving.lmi import LmiVersion
from adapter_fleet.serving.lora_limits import LoraServing
from adapters_cli.models.environment_option import EnvironmentFile, read_environment
from adapters_cli.output.errors import CommandError
from stacks.environment import ENVIRONMENTS

ROOT = Path(__file__).parents[3]

GOOD = """
[base_model]
bucket = "models"
name = "meta-llama/Llama-3.1-8B"

[container]
lmi_version = 19
environment = {OPTION_DTYPE = "bf16"}

[lora]
max_loras = 4
max_cpu_loras = 8
max_lora_rank = 16

[endpoint]
instance_type = "ml.g5.xlarge"

[copies]
accelerators = 1
min_memory_mib = 1024

[adapters.triage]
directory = "triage"

[fleets.Tenants]
manifest = "all.yaml"
request_rate = 3

[tags]
team = "a"
"""


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], EnvironmentFile]:
    def write_and_read(text: str) -> EnvironmentFile:
        (tmp_path / "test.toml").write_text(text)
        return read_environment(str(tmp_path / "test.toml"))

    return write_and_read


def test_settings_are_typed_and_paths_are_relative_to_the_file(
    read: Callable[[str], EnvironmentFile], tmp_path: Path
) -> None:
    environment = read(GOOD).tables
    assert environment.container.lmi_version is LmiVersion.V19
    assert environment.container.environment == {"OPTION_DTYPE": "bf16"}
    assert environment.lora == LoraServing(max_loras=4, max_cpu_loras=8, max_lora_rank=16)
    assert (environment.endpoint.instance_type, environment.copies.count) == ("ml.g5.xlarge", 1)
    base = environment.base_model
    assert (base.bucket, base.name) == ("models", "meta-llama/Llama-3.1-8B")
    assert environment.adapters["triage"].directory == tmp_path / "triage"
    assert environment.fleets["Tenants"].manifest == tmp_path / "all.yaml"


def test_every_mistake_is_told_at_once(read: Callable[[str], EnvironmentFile]) -> None:
    text = GOOD.replace("max_cpu_loras", "max_cpu_lora").replace("= 19", "= 'x'")
    with pytest.raises(CommandError) as error:
        read(text)
    assert len(str(error.value).splitlines()) == 3
    assert "lora.max_cpu_lora: unknown key (did you mean 'max_cpu_loras'?), got 8" in str(error.value)


def test_what_is_no_toml_is_told_with_the_line(read: Callable[[str], EnvironmentFile]) -> None:
    with pytest.raises(CommandError, match=r"test\.toml: not a TOML document: .*line 1"):
        read("[base_model\n")


def test_unknown_environment_is_told_with_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(
        CommandError, match=r"should be one of dev, local, prod, or the path .* got 'staging'"
    ):
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
