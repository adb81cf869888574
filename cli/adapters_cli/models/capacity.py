"""Puts a copy of a base model on an instance type, and compares larger types."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from adapter_rules.engines.engine_settings import EngineSettings
from adapter_rules.engines.lora_limits import LoraServing
from adapter_rules.hardware.instance_types import INSTANCES, T4, Instance
from adapter_rules.hardware.memory import GpuMemory, gpu_memory, problem_of_split
from adapter_rules.hardware.model_shape import ModelShape


@dataclass(frozen=True, kw_only=True)
class CopyOnInstance:
    """A copy of a base model on an instance, with `accelerators` of those that the instance has."""

    instance: Instance
    accelerators: int
    memory: GpuMemory


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A model, its LoRA limits and its engine."""

    shape: ModelShape
    lora: LoraServing
    engine: EngineSettings

    def on(self, instance: Instance, accelerators: int) -> CopyOnInstance:
        """Return a copy on some accelerators of an instance.

        Raises ValueError if the instance has fewer accelerators, or if `gpu_memory` raises it.
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
        )
        return CopyOnInstance(instance=instance, accelerators=accelerators, memory=memory)

    def on_larger(self, than: CopyOnInstance) -> Iterator[CopyOnInstance]:
        """Yield copies on larger instance types, if the copy would have more accelerator memory there.

        A copy with all accelerators of its instance gets all of the larger one's, as far as it can be split
        over them. A copy with some of them gets as many. Of types that give the same memory, one is listed.
        """
        given = set()
        present = than.memory.tensor_parallel * than.memory.budget
        for instance in larger(than.instance):
            whole = than.accelerators == than.instance.accelerators
            most = instance.accelerators if whole else min(than.accelerators, instance.accelerators)
            accelerators = next(
                count for count in range(most, 0, -1) if problem_of_split(self.shape, count) is None
            )
            # The configured degree is for the present instance.
            elsewhere = replace(self, engine=replace(self.engine, tensor_parallel=None))
            copy = elsewhere.on(instance, accelerators)
            if copy.memory.tensor_parallel * copy.memory.budget > present and copy.memory not in given:
                given.add(copy.memory)
                yield copy


def larger(than: Instance) -> list[Instance]:
    """Return the types with more accelerator memory, the smallest first.

    Of types that differ only in the host, the smallest is listed. Of types with the same memory, the family
    of `than` comes first. g4dn is listed for g4dn only, as its T4 has no bfloat16.
    """
    smallest: dict[tuple[str, int], Instance] = {}
    for instance in sorted(INSTANCES.values(), key=lambda known: known.vcpus):
        older = instance.accelerator is T4 and than.accelerator is not T4
        if instance.accelerators_gib > than.accelerators_gib and not older:
            smallest.setdefault((instance.family, instance.accelerators), instance)
    return sorted(
        smallest.values(),
        key=lambda known: (known.accelerators_gib, known.family != than.family, known.name),
    )
