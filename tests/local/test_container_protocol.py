"""What the environment variables of a container set."""

from __future__ import annotations

import pytest

from local_sagemaker.container_protocol import ContainerVariables


def test_what_no_variable_sets_is_the_engines_default() -> None:
    assert ContainerVariables.of({"PATH": "/bin"}) == ContainerVariables()


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
        ({"OPTION_ENABLE_PREFIX_CACHING": "True"}, True),
        ({"OPTION_ENABLE_PREFIX_CACHING": "--no-enable-prefix-caching"}, False),
        ({"SM_VLLM_ENABLE_PREFIX_CACHING": "true"}, True),
        ({"SM_VLLM_ENABLE_PREFIX_CACHING": "false"}, None),
        ({"SM_VLLM_NO_ENABLE_PREFIX_CACHING": "true"}, False),
        ({"SM_VLLM_NO_ENABLE_PREFIX_CACHING": "false"}, None),
        ({"SM_VLLM_NO_ENABLE_PREFIX_CACHING": "true", "SM_VLLM_ENABLE_PREFIX_CACHING": "true"}, False),
    ],
)
def test_prefix_caching_is_what_its_variable_says(environment: dict[str, str], caching: bool | None) -> None:
    assert ContainerVariables.of(environment).prefix_caching is caching


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"OPTION_MAX_MODEL_LEN": "long"}, "'OPTION_MAX_MODEL_LEN' should be an integer, got 'long'"),
        ({"OPTION_ENABLE_LORA": "yes"}, "'OPTION_ENABLE_LORA' should be true or false, got 'yes'"),
    ],
)
def test_wrong_value_is_an_error_that_names_the_variable(environment: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ContainerVariables.of(environment)
