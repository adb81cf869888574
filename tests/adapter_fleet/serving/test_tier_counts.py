"""Where adapters are: `max_cpu_loras` counts those in GPU memory, too."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_fleet.serving.engine_settings import EngineSettings
from adapter_fleet.serving.lora_limits import LoraServing
from adapter_fleet.serving.model_shape import known_shape
from adapter_fleet.serving.tier_counts import TierCounts, cpu_bytes

SERVING = LoraServing(max_loras=30, max_cpu_loras=70, max_lora_rank=64)
LLAMA = known_shape("llama-3.1-8b")
assert LLAMA is not None


@pytest.mark.parametrize(
    ("adapters", "expected"),
    [(0, (0, 0, 0)), (30, (30, 0, 0)), (31, (30, 1, 0)), (70, (30, 40, 0)), (200, (30, 40, 130))],
)
def test_adapters_fill_the_tiers_from_the_top(adapters: int, expected: tuple[int, int, int]) -> None:
    tiers = TierCounts.of(adapters, SERVING)
    assert (tiers.gpu, tiers.cpu, tiers.disk) == expected


@given(st.integers(0, 10_000), st.integers(1, 500), st.integers(0, 500))
def test_every_adapter_is_in_one_tier(adapters: int, gpu: int, more: int) -> None:
    lora = LoraServing(max_loras=gpu, max_cpu_loras=gpu + more, max_lora_rank=8)
    tiers = TierCounts.of(adapters, lora)
    assert min(tiers.gpu, tiers.cpu, tiers.disk) >= 0
    assert tiers.adapters == adapters
    assert tiers.gpu <= gpu
    assert tiers.gpu + tiers.cpu <= gpu + more


@pytest.mark.parametrize(("adapters", "mostly"), [(0, False), (140, False), (141, True)])
def test_mostly_on_disk_is_more_than_half(adapters: int, mostly: bool) -> None:
    assert TierCounts.of(adapters, SERVING).mostly_on_disk is mostly


def memory(*ranks: int | None, workers: int = 1) -> float:
    assert LLAMA is not None
    return cpu_bytes(LLAMA, EngineSettings(), ranks, SERVING, workers=workers) / 1024**2


def test_cpu_memory_is_that_of_the_largest_adapters_that_it_may_hold_in_each_worker() -> None:
    assert memory(16, 32) == 80 + 160
    # An unknown rank counts as the highest.
    assert memory(None) == 320
    assert memory(*[16] * 70, 64) == 320 + 69 * 80
    assert memory(16, workers=4) == 4 * 80
