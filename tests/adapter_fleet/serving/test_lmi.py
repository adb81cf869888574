import pytest

from adapter_fleet.serving.lmi import NEWEST, LmiVersion, LoraMode
from adapter_fleet.serving.lora_limits import LoraServing

LORA = LoraServing(max_loras=30, max_cpu_loras=70, max_lora_rank=64)
SIZES = {
    "OPTION_ENABLE_LORA": "true",
    "OPTION_MAX_LORAS": "30",
    "OPTION_MAX_CPU_LORAS": "70",
    "OPTION_MAX_LORA_RANK": "64",
}


@pytest.mark.parametrize("version", [LmiVersion.V16, NEWEST])
def test_newer_releases_serve_adapters_from_the_asynchronous_engine(version: LmiVersion) -> None:
    assert version.environment(LORA, prefix_caching=True) == SIZES | {
        "OPTION_ASYNC_MODE": "true",
        "OPTION_ROLLING_BATCH": "disable",
        "OPTION_ENTRYPOINT": "djl_python.lmi_vllm.vllm_async_service",
        "SERVING_FAIL_FAST": "true",
    }


@pytest.mark.parametrize(
    ("version", "loop"),
    [(LmiVersion.V13, "lmi-dist"), (LmiVersion.V14, "lmi-dist"), (LmiVersion.V15, "vllm")],
)
def test_older_releases_serve_adapters_from_a_rolling_batch(version: LmiVersion, loop: str) -> None:
    assert version.environment(LORA, prefix_caching=True) == SIZES | {"OPTION_ROLLING_BATCH": loop}
    assert version.lora_mode is LoraMode(loop)


@pytest.mark.parametrize(
    ("version", "rank", "message"),
    [
        (LmiVersion.V16, 1, "'max_lora_rank' should be at least 8 with LMI 16, got 1"),
        (LmiVersion.V14, 320, "'max_lora_rank' should be at most 256 with LMI 14, got 320"),
    ],
)
def test_rank_that_came_with_a_later_engine_is_refused(version: LmiVersion, rank: int, message: str) -> None:
    lora = LoraServing(max_loras=1, max_cpu_loras=1, max_lora_rank=rank)
    with pytest.raises(ValueError, match=message):
        version.environment(lora, prefix_caching=True)
    LmiVersion.V17.environment(lora, prefix_caching=True)


def test_release_that_answers_with_another_adapter_and_one_that_no_source_knows_are_told() -> None:
    faults = {version: version.known_faults for version in LmiVersion if version.known_faults}
    assert {version: [fault.id for fault in found] for version, found in faults.items()} == {
        LmiVersion.V16: ["lmi16-wrong-adapter"],
        LmiVersion.V29: ["lmi29-adapters-unknown"],
    }


@pytest.mark.parametrize("version", [LmiVersion.V13, LmiVersion.V16])
def test_release_whose_cache_knows_each_registration_needs_no_variable(version: LmiVersion) -> None:
    assert version.prefix_caching_off == {}
    assert version.environment(LORA, prefix_caching=False) == version.environment(LORA, prefix_caching=True)


@pytest.mark.parametrize(
    ("version", "value"),
    [
        (LmiVersion.V17, "--no-enable-prefix-caching"),
        (LmiVersion.V26, "--no-enable-prefix-caching"),
        (LmiVersion.V27, "false"),
        (NEWEST, "false"),
    ],
)
def test_prefix_caching_is_switched_off_by_a_value_that_the_release_passes_on(
    version: LmiVersion, value: str
) -> None:
    """Up to LMI 26 the container drops "false"."""
    environment = version.environment(LORA, prefix_caching=False)
    assert environment["OPTION_ENABLE_PREFIX_CACHING"] == value
    assert "OPTION_ENABLE_PREFIX_CACHING" not in version.environment(LORA, prefix_caching=True)


def test_tag_names_the_release() -> None:
    for version in LmiVersion:
        assert f"-lmi{version.number}.0.0-cu" in version.tag
