"""What the environment variables of a container set."""

import pytest

from local_sagemaker.container_protocol import ContainerVariables
from local_sagemaker.model_server.settings import ServerSettings


def test_what_no_variable_sets_is_the_engines_default() -> None:
    assert ContainerVariables.of({"PATH": "/bin"}) == ContainerVariables()


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
            "OPTION_DTYPE": "fp16",
        },
        {
            "SM_VLLM_ENABLE_LORA": "True",
            "SM_VLLM_MAX_LORAS": "30",
            "SM_VLLM_MAX_CPU_LORAS": "70",
            "SM_VLLM_MAX_LORA_RANK": "64",
            "SM_VLLM_MAX_NUM_SEQS": "8",
            "SM_VLLM_MAX_MODEL_LEN": "6000",
        },
    ],
    ids=["lmi", "vllm"],
)
def test_variables_of_either_container_are_read(environment: dict[str, str]) -> None:
    assert ContainerVariables.of(environment) == ContainerVariables(
        enable_lora=True,
        max_loras=30,
        max_cpu_loras=70,
        max_lora_rank=64,
        max_batch_size=8,
        max_model_len=6000,
    )


@pytest.mark.parametrize(
    ("value", "registers"), [("true", True), ("1", True), ("True", True), ("yes", False)]
)
def test_vllm_registers_adapters_with_its_flag_alone(value: str, registers: bool) -> None:
    variables = ContainerVariables.of({"VLLM_ALLOW_RUNTIME_LORA_UPDATING": value})
    assert variables.runtime_lora is registers


def test_lmis_variables_come_first() -> None:
    both = {
        "SM_VLLM_MAX_LORAS": "1",
        "OPTION_MAX_LORAS": "2",
        "SM_VLLM_NO_ENABLE_PREFIX_CACHING": "true",
        "OPTION_ENABLE_PREFIX_CACHING": "true",
    }
    assert ContainerVariables.of(both) == ContainerVariables(max_loras=2, prefix_caching=True)


@pytest.mark.parametrize(
    ("environment", "caching"),
    [
        ({"OPTION_ENABLE_PREFIX_CACHING": "--no-enable-prefix-caching"}, False),
        ({"SM_VLLM_ENABLE_PREFIX_CACHING": "true"}, True),
        ({"SM_VLLM_ENABLE_PREFIX_CACHING": "false"}, None),
        ({"SM_VLLM_NO_ENABLE_PREFIX_CACHING": "true"}, False),
        ({"SM_VLLM_NO_ENABLE_PREFIX_CACHING": "true", "SM_VLLM_ENABLE_PREFIX_CACHING": "true"}, False),
    ],
)
def test_prefix_caching_is_what_its_variable_says(environment: dict[str, str], caching: bool | None) -> None:
    assert ContainerVariables.of(environment).prefix_caching is caching


def test_defaults_are_those_of_lmi() -> None:
    assert ServerSettings.from_environment({"OPTION_MAX_MODEL_LEN": "300"}) == ServerSettings(
        enable_lora=False,
        max_loras=4,
        max_cpu_loras=None,
        max_lora_rank=16,
        max_batch_size=32,
        max_model_len=300,
        prefix_caching=True,
        runtime_lora=False,
    )


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (
            {"OPTION_MAX_LORAS": "8", "OPTION_MAX_CPU_LORAS": "4"},
            r"'max_cpu_loras' should be at least 'max_loras' \(8\), got 4",
        ),
        ({"OPTION_MAX_MODEL_LEN": "long"}, "'OPTION_MAX_MODEL_LEN' should be an integer, got 'long'"),
        ({"OPTION_ENABLE_LORA": "yes"}, "'OPTION_ENABLE_LORA' should be true or false, got 'yes'"),
        ({"OPTION_MAX_LORA_RANK": "48"}, "'max_lora_rank' should be one of 1, 8, 16, .*, got 48"),
    ],
)
def test_value_that_cannot_be_is_an_error_that_names_it(environment: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ServerSettings.from_environment(environment)
