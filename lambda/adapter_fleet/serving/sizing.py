"""A copy of a base model on an instance type, and what larger ones would give."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from adapter_fleet.serving.engine_settings import EngineSettings
from adapter_fleet.serving.gpu_memory import OTHER_BYTES, GpuMemory, gpu_memory, splits
from adapter_fleet.serving.instance_types import Instance, larger
from adapter_fleet.serving.lora_limits import LoraServing
from adapter_fleet.serving.model_shape import ModelShape


@dataclass(frozen=True, kw_only=True)
class Sizing:
    """A copy on an instance. `accelerators` is how many of the instance's it has."""

    instance: Instance
    accelerators: int
    memory: GpuMemory


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What is to be served. `other` is the estimate of what else the engine takes, in bytes."""

    shape: ModelShape
    lora: LoraServing
    engine: EngineSettings
    other: int = OTHER_BYTES

    def on(self, instance: Instance, accelerators: int) -> Sizing:
        """Put a copy on so many accelerators of an instance.

        Raises ValueError where there are not so many, or `gpu_memory` does.
        """
        if accelerators > instance.accelerators:
            raise ValueError(
                f"'accelerators' should be at most {instance.accelerators}, as {instance.name} has"
                f" {instance.accelerators}, got {accelerators}"
            )
        memory = gpu_memory(
            self.shape,
            self.lora,
            self.engine,
            accelerator=instance.accelerator,
            accelerators=accelerators,
            other=self.other,
        )
        return Sizing(instance=instance, accelerators=accelerators, memory=memory)

    def on_larger(self, than: Sizing) -> Iterator[Sizing]:
        """Yield copies on the types with more accelerator memory, where the copy would have more as well.

        A copy that has all accelerators of its instance would have all of another's, as far as it can be
        split over them; one that has some would have as many. Of types that give the same there is one.
        """
        given = set()
        of_copy = than.memory.tensor_parallel * than.memory.budget
        for instance in larger(than.instance):
            whole = than.accelerators == than.instance.accelerators
            most = instance.accelerators if whole else min(than.accelerators, instance.accelerators)
            accelerators = next(count for count in range(most, 0, -1) if splits(self.shape, count))
            # The degree that is set is for the instance that is there.
            there = replace(self, engine=replace(self.engine, tensor_parallel=None))
            sizing = there.on(instance, accelerators)
            if sizing.memory.tensor_parallel * sizing.memory.budget > of_copy and sizing.memory not in given:
                given.add(sizing.memory)
                yield sizing
