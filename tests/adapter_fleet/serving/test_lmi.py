import pytest

from adapter_fleet.serving.lmi import LMI_REGISTRY_ACCOUNTS, LmiVersion, LoraMode, registry_account
from adapter_fleet.serving.lora_limits import LoraDtype, LoraServing

LORA = LoraServing(max_loras=30, max_cpu_loras=70, max_lora_rank=64)
SIZES = {
    "OPTION_ENABLE_LORA": "true",
    "OPTION_MAX_LORAS": "30",
    "OPTION_MAX_CPU_LORAS": "70",
    "OPTION_MAX_LORA_RANK": "64",
}


@pytest.mark.parametrize("version", [version for version in LmiVersion if version.number >= 16])
def test_newer_releases_serve_adapters_from_the_asynchronous_engine(version: LmiVersion) -> None:
    assert version.environment(LORA) == SIZES | {
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
    assert version.environment(LORA) == SIZES | {"OPTION_ROLLING_BATCH": loop}
    assert version.lora_mode is LoraMode(loop)


def test_type_and_sharding_are_passed_on_only_when_set() -> None:
    lora = LoraServing(
        max_loras=1, max_cpu_loras=1, max_lora_rank=8, lora_dtype=LoraDtype.BFLOAT16, fully_sharded=True
    )
    environment = LmiVersion.V19.environment(lora)
    assert environment["OPTION_LORA_DTYPE"] == "bfloat16"
    assert environment["OPTION_FULLY_SHARDED_LORAS"] == "true"
    assert not {"OPTION_LORA_DTYPE", "OPTION_FULLY_SHARDED_LORAS"} & LmiVersion.V19.environment(LORA).keys()


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
        version.environment(lora)
    LmiVersion.V17.environment(lora)


def test_only_lmi_16_is_known_to_answer_with_another_adapter() -> None:
    assert [version for version in LmiVersion if version.known_faults] == [LmiVersion.V16]
    (fault,) = LmiVersion.V16.known_faults
    assert fault.id == "lmi16-wrong-adapter"


@pytest.mark.parametrize("version", LmiVersion)
def test_tag_names_the_release(version: LmiVersion) -> None:
    assert f"-lmi{version.number}.0.0-cu" in version.tag


def test_registry_account_depends_on_the_region() -> None:
    assert registry_account("us-west-2") == "763104351884"
    assert registry_account("cn-north-1") == "727897471807"
    assert registry_account("mars-north-1") is None


def test_every_registry_account_is_an_account_id() -> None:
    assert all(len(account) == 12 and account.isdigit() for account in LMI_REGISTRY_ACCOUNTS.values())
