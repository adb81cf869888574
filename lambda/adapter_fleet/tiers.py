"""Where the adapters of a base model's copy are: in GPU memory, in CPU memory, or on disk."""

from dataclasses import dataclass

from adapter_fleet.serving import LoraServing


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
