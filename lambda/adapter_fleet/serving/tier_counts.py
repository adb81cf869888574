"""The memory tiers of a base model's adapters: GPU memory, CPU memory, and disk."""

from collections.abc import Iterable
from dataclasses import dataclass

from adapter_fleet.serving.engine_settings import EngineSettings
from adapter_fleet.serving.gpu_memory import linear_slot_bytes
from adapter_fleet.serving.lora_limits import LoraServing
from adapter_fleet.serving.model_shape import ModelShape


@dataclass(frozen=True, kw_only=True)
class TierCounts:
    """The number of adapters in each tier after all have been called.

    The engine evicts the least recently used adapter (`LRUCacheLoRAModelManager` in
    vllm/lora/model_manager.py), so the adapters in a tier change with the calls.

    gpu:
        In slots, ready for a request.
    cpu:
        In CPU memory only. The next request copies the adapter into a slot.
    disk:
        On the instance's disk only. The next request reads the adapter from there.
    """

    gpu: int
    cpu: int
    disk: int

    @classmethod
    def of(cls, adapters: int, lora: LoraServing) -> "TierCounts":
        """Distribute adapters over the tiers. `max_cpu_loras` includes those in GPU memory."""
        gpu = min(adapters, lora.max_loras)
        in_memory = min(adapters, lora.max_cpu_loras)
        return cls(gpu=gpu, cpu=in_memory - gpu, disk=adapters - in_memory)

    @property
    def adapters(self) -> int:
        """The number of all adapters."""
        return self.gpu + self.cpu + self.disk

    @property
    def mostly_on_disk(self) -> bool:
        """True if more than half of the adapters are on disk."""
        return 2 * self.disk > self.adapters


def cpu_bytes(
    shape: ModelShape, engine: EngineSettings, ranks: Iterable[int | None], lora: LoraServing, *, workers: int
) -> int:
    """Return the CPU memory that adapters of these ranks take, in bytes.

    An adapter of unknown rank counts with `max_lora_rank`, and each adapter counts with all linear modules.
    A copy has one worker for each of its accelerators. Each worker keeps all adapters as a whole, those in
    GPU memory included (`WorkerLoRAManager` in vllm/lora/worker_manager.py, `_registered_adapters` in
    model_manager.py). The memory is page-locked: PyTorch rounds the size of each tensor up to a power of two,
    which is not counted here.
    """
    largest = sorted((lora.max_lora_rank if rank is None else rank for rank in ranks), reverse=True)
    return workers * sum(linear_slot_bytes(shape, engine, rank) for rank in largest[: lora.max_cpu_loras])
