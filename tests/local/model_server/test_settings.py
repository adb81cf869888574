"""Settings from a container's environment."""

import pytest

from local_sagemaker.model_server.settings import ServerSettings


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
        ({"OPTION_MAX_LORA_RANK": "48"}, "'max_lora_rank' should be one of 1, 8, 16, .*, got 48"),
    ],
)
def test_limits_that_cannot_be_are_refused(environment: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ServerSettings.from_environment(environment)
