from collections.abc import Callable
from pathlib import Path

import pytest

from adapter_rules.engines.container_releases import LmiVersion, VllmVersion
from adapter_rules.engines.lora_limits import LoraServing
from adapter_rules.environment import EnvironmentFileError, read_environment

GOOD = """
[base_model]
bucket = "models"

[container]
lmi_version = 19

[lora]
max_loras = 4
max_cpu_loras = 8
max_lora_rank = 16

[endpoint]
instance_type = "ml.g5.xlarge"

[copies]
accelerators = 1
min_memory_mib = 1024
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write_file(text: str) -> Path:
        path = tmp_path / "test.toml"
        path.write_text(text)
        return path

    return write_file


def errors(path: Path) -> list[str]:
    """Load the file and return what is wrong with it, without the file's name at the beginning."""
    with pytest.raises(EnvironmentFileError) as error:
        read_environment(path)
    lines = str(error.value).splitlines()
    assert all(line.startswith(f"{path}: ") for line in lines)
    return [line.removeprefix(f"{path}: ") for line in lines]


def test_file_may_choose_the_vllm_container(write: Callable[[str], Path]) -> None:
    text = GOOD.replace("lmi_version = 19", 'vllm_version = "2.6"')
    assert read_environment(write(text)).container.release is VllmVersion.V2_6


def test_relative_paths_are_relative_to_the_file(write: Callable[[str], Path], tmp_path: Path) -> None:
    text = GOOD.replace('bucket = "models"', 'bucket = "models"\nconfig = "own/config.json"')
    environment = read_environment(write(f'{text}\n[adapters.triage]\ndirectory = "adapters/triage"'))
    assert environment.adapters["triage"].directory == tmp_path / "adapters" / "triage"
    assert environment.base_model.config == tmp_path / "own" / "config.json"


def test_tables_are_typed_settings_with_the_defaults_of_the_library(
    write: Callable[[str], Path], tmp_path: Path
) -> None:
    tables = '[fleets.Tenants]\nmanifest = "all.yaml"\n[scaling]\nmin_copies = 0\nmax_copies = 3'
    environment = read_environment(write(f"{GOOD}\n{tables}"))
    assert environment.container.lmi_version is LmiVersion.V19
    assert environment.lora == LoraServing(max_loras=4, max_cpu_loras=8, max_lora_rank=16)
    assert environment.adapters == {}
    fleet, scaling = environment.fleets["Tenants"], environment.scaling
    assert fleet.manifest == tmp_path / "all.yaml"
    assert (fleet.request_rate, fleet.drift_check) == (5.0, None)
    assert scaling is not None
    assert (scaling.min_copies, scaling.max_copies, scaling.target) == (0, 3, 5)
    assert environment.monitoring is None


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ("lmi_version = 19", "lmi_version = 12", "container.lmi_version: should be one of 16, 17, 18, "),
        ("lmi_version = 19", "vllm_version = 2.6", "container.vllm_version: should be a string, got 2.6"),
        ("lmi_version = 19", "vllm_version = '2.7'", "container.vllm_version: should be one of 1.3, 1.4, "),
        ("lmi_version = 19", "environment = {}", "container: one of lmi_version, vllm_version should be"),
        ("max_lora_rank = 16", "max_lora_rank = 48", "lora: 'max_lora_rank' should be one of 8, 16, "),
        ("accelerators = 1\n", "", "copies.accelerators: should be given, got nothing"),
        ("accelerators = 1", "accelerators = 0", "copies: 'accelerators' should be above 0, got 0"),
        ('bucket = "models"', "", "base_model: one of bucket, directory should be given, got none"),
        ('bucket = "models"', "directory = 'b'\nprefix = 'm/'", "base_model: 'prefix' should be given with"),
        ("[base_model]", "tags = 3\n[base_model]", "tags: should be a table, got 3"),
        ("[base_model]", "artifact_sources = 'models'\n[base_model]", "artifact_sources: should be an array"),
    ],
)
def test_a_value_of_another_type_is_an_error_with_its_key(
    write: Callable[[str], Path], good: str, bad: str, message: str
) -> None:
    (error,) = errors(write(GOOD.replace(good, bad)))
    assert error.startswith(message)


NETWORK = "[network]\nvpc = 'vpc-0a1b2c3d'\nsecurity_groups = ['sg-0a1b2c3d']\nsubnets"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("[aws]\nregion = 'eu-wst-1'", "aws: 'region' should be one that has AWS's containers (did you mean"),
        ("[aws]\naccount = '1234'", "aws: 'account' should be 12 digits, got '1234'"),
        (f"{NETWORK} = ['10.0.0.0/24']", "network: 'subnets' should be ids such as 'subnet-0a1b2c3d', got"),
        ("[encryption]\nkey_arn = 'alias/own'", "encryption: 'key_arn' should be the ARN of a key, such as"),
        ("[monitoring]\ntopic_arn = 'on-call'", "monitoring: 'topic_arn' should be the ARN of a topic, such"),
        (
            "[adapters.'']\nuri = 's3://m/a.tar.gz'",
            "'adapters' should give each adapter a name, got an empty",
        ),
        ("[adapters.a]", "adapters.a: one of directory, uri should be given, got none"),
        ("[fleets.a]", "fleets.a: one of manifest, bucket should be given, got none"),
        (
            "[fleets.a]\nmanifest = 'a'\nkey = 'a'",
            "fleets.a: 'key' should be given with bucket only, got 'a'",
        ),
        (
            "[fleets.a]\nmanifest = 'a'\ndrift_check = 'mend'",
            "fleets.a.drift_check: should be one of report,",
        ),
        ("[fleets.a-b]\nmanifest = 'a'", "'fleets' should give each fleet a name of letters and digits, as"),
    ],
)
def test_a_value_that_cannot_be_is_an_error(write: Callable[[str], Path], table: str, message: str) -> None:
    (error,) = errors(write(f"{GOOD}\n{table}"))
    assert error.startswith(message)


def test_what_is_no_toml_is_an_error_with_the_line(write: Callable[[str], Path]) -> None:
    (error,) = errors(write("[base_model\n"))
    assert error.startswith("not a TOML document: ")
    assert "line 1" in error
