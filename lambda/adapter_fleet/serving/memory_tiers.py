"""Where the adapters of a base model's copy are: in GPU memory, in CPU memory, or on disk."""

from collections.abc import Iterable
from dataclasses import dataclass

from adapter_fleet.serving.gpu_memory import adapter_bytes
from adapter_fleet.serving.lora_limits import LoraServing
from adapter_fleet.serving.model_shape import ModelShape


@dataclass(frozen=True, kw_only=True)
class Tiers:
    """How many adapters are in each tier when all have been called.

    Which ones changes with the calls: the least recently used makes room (`LRUCacheLoRAModelManager` in
    vllm/lora/model_manager.py).

    gpu:
        In slots, ready for a request.
    cpu:
        In CPU memory alone, to be copied into a slot by the next request.
    disk:
        To be read from the instance's disk by the next request.
    """

    gpu: int
    cpu: int
    disk: int

    @classmethod
    def of(cls, adapters: int, lora: LoraServing) -> "Tiers":
        """Spread so many adapters. `max_cpu_loras` counts those in GPU memory, too."""
        gpu = min(adapters, lora.max_loras)
        in_memory = min(adapters, lora.max_cpu_loras)
        return cls(gpu=gpu, cpu=in_memory - gpu, disk=adapters - in_memory)

    @property
    def adapters(self) -> int:
        """All of them."""
        return self.gpu + self.cpu + self.disk

    @property
    def mostly_on_disk(self) -> bool:
        """Whether more than half are on disk."""
        return 2 * self.disk > self.adapters


def cpu_bytes(
    shape: ModelShape, ranks: Iterable[int | None], lora: LoraServing, *, number_bytes: int, workers: int
) -> int:
    """Return the CPU memory that adapters of these ranks take, in bytes.

    Of an unknown rank, an adapter counts as one of `max_lora_rank`; each as one of all linear modules. Every
    worker, one for each accelerator that a copy is split over, keeps all of them whole, those in GPU memory
    included (`WorkerLoRAManager` in vllm/lora/worker_manager.py, `_registered_adapters` in model_manager.py).
    It is page-locked, and PyTorch rounds the size of each such tensor up to a power of two, which is not
    counted here.
    """
    largest = sorted((lora.max_lora_rank if rank is None else rank for rank in ranks), reverse=True)
    return workers * sum(
        adapter_bytes(shape, rank, number_bytes=number_bytes) for rank in largest[: lora.max_cpu_loras]
    )
