"""Settings from a container's environment."""

import pytest

from local_sagemaker.model_server.settings import ServerSettings


@pytest.mark.parametrize(
    "environment",
    [
        {
            "OPTION_ENABLE_LORA": "true",
            "OPTION_MAX_LORAS": "30",
            "OPTION_MAX_CPU_LORAS": "70",
            "OPTION_MAX_LORA_RANK": "64",
            "OPTION_MAX_ROLLING_BATCH_SIZE": "8",
            "OPTION_MAX_MODEL_LEN": "6000",
            "OPTION_ENABLE_PREFIX_CACHING": "false",
            "OPTION_DTYPE": "fp16",
        },
        {
            "SM_VLLM_ENABLE_LORA": "True",
            "SM_VLLM_MAX_LORAS": "30",
            "SM_VLLM_MAX_CPU_LORAS": "70",
            "SM_VLLM_MAX_LORA_RANK": "64",
            "SM_VLLM_MAX_NUM_SEQS": "8",
            "SM_VLLM_MAX_MODEL_LEN": "6000",
            "SM_VLLM_NO_ENABLE_PREFIX_CACHING": "true",
        },
    ],
    ids=["lmi", "vllm"],
)
def test_variables_of_either_container_are_read(environment: dict[str, str]) -> None:
    assert ServerSettings.from_environment(environment) == ServerSettings(
        enable_lora=True,
        max_loras=30,
        max_cpu_loras=70,
        max_lora_rank=64,
        max_batch_size=8,
        max_model_len=6000,
        prefix_caching=False,
    )


def test_defaults_are_those_of_lmi() -> None:
    assert ServerSettings.from_environment({"PATH": "/bin"}) == ServerSettings(
        enable_lora=False,
        max_loras=4,
        max_cpu_loras=None,
        max_lora_rank=16,
        max_batch_size=32,
        max_model_len=None,
        prefix_caching=True,
    )


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (
            {"OPTION_MAX_LORAS": "8", "OPTION_MAX_CPU_LORAS": "4"},
            r"'max_cpu_loras' should be at least 'max_loras' \(8\), got 4",
        ),
        ({"OPTION_MAX_LORA_RANK": "48"}, "'max_lora_rank' should be one of 1, 8, 16, .*, got 48"),
    ],
)
def test_limits_that_cannot_be_are_refused(environment: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ServerSettings.from_environment(environment)


@pytest.mark.parametrize(
    ("value", "registers"), [("true", True), ("1", True), ("True", True), ("yes", False), (None, False)]
)
def test_vllm_registers_adapters_with_its_flag_alone(value: str | None, registers: bool) -> None:
    environment = {} if value is None else {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": value}
    assert ServerSettings.from_environment(environment).runtime_lora is registers
