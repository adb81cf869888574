from pathlib import Path

import pytest

from adapter_fleet.environment.environment_reader import EnvironmentFileError, read_environment
from stacks.environment import ENVIRONMENTS, environment_file


def test_an_unknown_environment_is_an_error_that_lists_those_there_are() -> None:
    with pytest.raises(
        EnvironmentFileError, match=r"'environment' should be one of dev, local, prod, .* got 'staging'"
    ):
        environment_file("staging")


def test_an_environment_may_be_any_file_that_is_there_and_can_end_a_stacks_name(tmp_path: Path) -> None:
    path = tmp_path / "test.toml"
    path.touch()
    assert environment_file(str(path)) == path
    with pytest.raises(EnvironmentFileError, match=r"got 'nowhere/staging\.toml'"):
        environment_file("nowhere/staging.toml")
    file = tmp_path / "llm_prod.toml"
    file.touch()
    with pytest.raises(EnvironmentFileError, match=r"letters, digits and hyphens.*got 'llm_prod\.toml'"):
        environment_file(str(file))


def test_production_is_the_set_up_of_the_announcement() -> None:
    prod = read_environment(ENVIRONMENTS / "prod.toml")
    assert prod.base_model.name == "meta-llama/Llama-3.1-8B-Instruct"
    assert (prod.endpoint.instance_type, prod.endpoint.instance_count) == ("ml.g5.12xlarge", 1)
    assert (prod.copies.count, prod.copies.accelerators, prod.copies.min_memory_mib) == (1, 4, 32000)
    assert (prod.lora.max_loras, prod.lora.max_cpu_loras) == (30, 70)
    assert prod.copies.model_download_timeout_seconds == prod.copies.health_check_timeout_seconds == 900
