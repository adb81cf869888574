import pytest

from adapter_fleet.serving.lora_limits import LoraServing
from adapter_fleet.serving.vllm import VllmVersion

LORA = LoraServing(max_loras=30, max_cpu_loras=70, max_lora_rank=64)


@pytest.mark.parametrize("version", [VllmVersion.V1_3, VllmVersion.V2_6])
def test_adapters_can_be_registered_and_none_finds_prefixes_of_its_predecessor(version: VllmVersion) -> None:
    assert version.environment(LORA, prefix_caching=False) == {
        "SM_VLLM_ENABLE_LORA": "true",
        "SM_VLLM_MAX_LORAS": "30",
        "SM_VLLM_MAX_CPU_LORAS": "70",
        "SM_VLLM_MAX_LORA_RANK": "64",
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "true",
        "SM_VLLM_NO_ENABLE_PREFIX_CACHING": "true",
    }


def test_prefix_caching_that_stays_on_leaves_the_engine_its_default() -> None:
    environment = VllmVersion.V2_6.environment(LORA, prefix_caching=True)
    assert not [variable for variable in environment if "PREFIX" in variable]


def test_release_is_found_by_its_number() -> None:
    assert VllmVersion.numbered("2.0") is VllmVersion.V2_0
    with pytest.raises(ValueError, match=r"should be one of 1\.3, 1\.4, 2\.0, .*2\.6, got '2\.60'"):
        VllmVersion.numbered("2.60")


def test_releases_on_cuda_13_begin_with_2() -> None:
    assert [version.number for version in VllmVersion if not version.needs_newer_ami] == ["1.3", "1.4"]
