"""What a container's environment says about memory."""

from typing import Any

import pytest

from adapter_rules.engines.container_releases import ContainerRelease, LmiVersion, VllmVersion
from adapter_rules.engines.engine_settings import (
    LMI_VARIABLES,
    VLLM_VARIABLES,
    EngineSettings,
    EngineVariables,
)
from adapter_rules.engines.lora_limits import LoraServing


@pytest.mark.parametrize(
    ("variables", "own"),
    [
        (LMI_VARIABLES, {"OPTION_TENSOR_PARALLEL_DEGREE": "2", "OPTION_QUANTIZE": "fp8"}),
        (VLLM_VARIABLES, {"SM_VLLM_TENSOR_PARALLEL_SIZE": "2", "SM_VLLM_QUANTIZATION": "fp8"}),
    ],
    ids=["lmi", "vllm"],
)
def test_settings_are_read(variables: EngineVariables, own: dict[str, str]) -> None:
    prefix = next(iter(own)).partition("TENSOR")[0]
    shared = {
        "DTYPE": "FP32",
        "KV_CACHE_DTYPE": "fp8",
        "GPU_MEMORY_UTILIZATION": "0.85",
        "MAX_MODEL_LEN": "6000",
        "LORA_DTYPE": "bfloat16",
        "FULLY_SHARDED_LORAS": "true",
    }
    environment = {**{f"{prefix}{name}": value for name, value in shared.items()}, **own}
    assert EngineSettings.from_environment(environment, variables) == EngineSettings(
        variables=variables,
        tensor_parallel=2,
        number_bytes=4,
        cache_bytes=1,
        utilization=0.85,
        max_model_len=6000,
        quantize_bits=8,
        lora_bytes=2,
        fully_sharded=True,
    )


def test_lmi_uses_every_accelerator_of_a_copy_by_default_and_vllm_one() -> None:
    assert EngineSettings.from_environment({}, LMI_VARIABLES).tensor_parallel is None
    assert EngineSettings.from_environment({}, VLLM_VARIABLES).tensor_parallel == 1
    pipeline = {"SM_VLLM_PIPELINE_PARALLEL_SIZE": "2"}
    read = EngineSettings.from_environment(pipeline, VLLM_VARIABLES)
    assert read.not_understood == ("SM_VLLM_PIPELINE_PARALLEL_SIZE=2",)


def test_what_the_library_sets_is_understood() -> None:
    lora = LoraServing(max_loras=3, max_cpu_loras=5, max_lora_rank=64)
    releases: list[ContainerRelease] = [*LmiVersion, *VllmVersion]
    for version in releases:
        environment = version.environment(lora, prefix_caching=False)
        assert EngineSettings.from_environment(environment, version.variables).not_understood == ()


@pytest.mark.parametrize("variables", [LMI_VARIABLES, VLLM_VARIABLES], ids=["lmi", "vllm"])
def test_names_that_count_are_all_that_are_looked_at(variables: EngineVariables) -> None:
    class Environment(dict[str, str]):
        def get(self, name: str, default: Any = None) -> Any:
            asked.add(name)
            return default

    asked: set[str] = set()
    EngineSettings.from_environment(Environment(), variables)
    assert asked == set(variables.names)


def test_values_that_change_nothing_are_understood() -> None:
    environment = {
        "OPTION_TENSOR_PARALLEL_DEGREE": "max",
        "OPTION_DTYPE": "bf16",
        "OPTION_KV_CACHE_DTYPE": "auto",
        "OPTION_QUANTIZE": "awq",
        "OPTION_PIPELINE_PARALLEL_DEGREE": "1",
        "OPTION_MAX_MODEL_LEN": "",
        "OPTION_LORA_DTYPE": "auto",
        "OPTION_FULLY_SHARDED_LORAS": "false",
    }
    assert EngineSettings.from_environment(environment) == EngineSettings()


def test_degree_may_have_the_container_s_older_name() -> None:
    assert EngineSettings.from_environment({"TENSOR_PARALLEL_DEGREE": "2"}).tensor_parallel == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPTION_MAX_MODEL_LEN", "١٢"),
        ("OPTION_MAX_MODEL_LEN", "9" * 5000),
        ("OPTION_DTYPE", "int4"),
        ("OPTION_GPU_MEMORY_UTILIZATION", "1.5"),
        ("OPTION_TENSOR_PARALLEL_DEGREE", "0"),
        ("OPTION_QUANTIZE", "bitsandbytes"),
        ("OPTION_PIPELINE_PARALLEL_DEGREE", "2"),
        ("OPTION_CPU_OFFLOAD_GB", "4"),
        ("OPTION_SPECULATIVE_CONFIG", "{}"),
        ("OPTION_LORA_DTYPE", "float8"),
        ("OPTION_FULLY_SHARDED_LORAS", "maybe"),
    ],
)
def test_value_that_is_not_understood_is_told_and_not_counted(name: str, value: str) -> None:
    read = EngineSettings.from_environment({name: value})
    (told,) = read.not_understood
    assert told == f"{name}={value[:80]}"
    assert EngineSettings(not_understood=read.not_understood) == read
