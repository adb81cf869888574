import pytest

from adapter_fleet.serving.lora_limits import LORA_RANKS, LoraServing


def test_every_rank_of_the_engine_is_accepted() -> None:
    for rank in (1, *LORA_RANKS):
        LoraServing(max_loras=1, max_cpu_loras=1, max_lora_rank=rank)


@pytest.mark.parametrize("rank", [2, 48, 1024])
def test_rank_that_the_engine_does_not_know_is_refused(rank: int) -> None:
    with pytest.raises(
        ValueError, match=rf"'max_lora_rank' should be one of 8, 16, 32, .* 512 .*, got {rank}$"
    ):
        LoraServing(max_loras=1, max_cpu_loras=1, max_lora_rank=rank)


def test_fewer_adapters_in_cpu_memory_than_in_gpu_memory_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'max_cpu_loras' should be at least 30, .* got 29$"):
        LoraServing(max_loras=30, max_cpu_loras=29, max_lora_rank=64)


def test_no_adapter_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'max_loras' should be at least 1, got 0$"):
        LoraServing(max_loras=0, max_cpu_loras=0, max_lora_rank=8)


def test_number_of_adapters_that_is_no_whole_number_is_refused() -> None:
    with pytest.raises(ValueError, match="'max_loras' should be a whole number, got True"):
        LoraServing(max_loras=True, max_cpu_loras=8, max_lora_rank=16)
