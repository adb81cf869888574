"""Whether the base model and its adapters fit into memory, as far as synth knows."""

from __future__ import annotations

from aws_cdk import Annotations
from constructs import Construct

from adapter_fleet.common.validators import holds_token
from adapter_fleet.serving.gpu_memory import GIB, GpuMemory, gpu_memory
from adapter_fleet.serving.instance_types import INSTANCES, Accelerator
from adapter_fleet.serving.lora_limits import LoraServing
from adapter_fleet.serving.model_shape import ModelShape
from adapter_fleet.serving.tier_counts import TierCounts
from multi_adapter_inference.compute import ComputeRequirements
from multi_adapter_inference.container import IContainer
from multi_adapter_inference.instance_type import InstanceType


def memory_of_copy(
    shape: ModelShape | None,
    lora: LoraServing,
    container: IContainer,
    compute: ComputeRequirements,
    instance_type: InstanceType,
) -> GpuMemory | None:
    """Return what is in each accelerator of a copy; None if a part of it is not known.

    Raises ValueError for a copy that cannot start: if it cannot be split over its accelerators, or if its
    weights and slots alone need more than their memory.
    """
    accelerators, accelerator = compute.accelerators, _accelerator(instance_type)
    if shape is None or shape.unknown_quantization is not None or accelerator is None:
        return None
    engine = container.engine
    # A token counts as a setting that is not understood.
    if engine.not_understood or accelerators is None or holds_token(accelerators):
        return None
    memory = gpu_memory(shape, lora, engine, accelerator=accelerator, accelerators=accelerators)
    if memory.never_fits:
        share = engine.utilization * memory.total
        raise ValueError(
            f"'max_loras' x 'max_lora_rank' should leave room on {accelerators} x"
            f" {accelerator.memory_gib} GiB of {instance_type.name}, got {lora.max_loras} x"
            f" {lora.max_lora_rank}: on each accelerator, the base model's weights take"
            f" {_gib(memory.weights)} and the slots {_gib(memory.slots)}, of {_gib(share)} at most that vLLM"
            " takes"
        )
    return memory


def warn_of_small_cache(scope: Construct, memory: GpuMemory | None, container: IContainer) -> None:
    """Add to `scope` a warning if the key-value cache is known to be too small for the engine to start."""
    if memory is None or memory.fits:
        return
    variables = container.version.variables
    most = f"at most {memory.most_loras} slots leave" if memory.most_loras else "no number of slots leaves"
    needed = (
        f"it should have {_gib(memory.least_cache)}"
        if memory.max_model_len is None
        else f"one sequence of {memory.max_model_len} tokens ({variables.max_model_len}, or else the model's"
        f" own length) takes {_gib(memory.least_cache)}"
    )
    Annotations.of(scope).add_warning_v2(
        "multi-adapter-inference:small-key-value-cache",
        f"vLLM may not start: on each accelerator, {_gib(memory.cache)} are left for its key-value cache, and"
        f" {needed}; of the {_gib(memory.budget)} that it takes, the weights have {_gib(memory.weights)},"
        f" {memory.max_loras} slots for adapters {_gib(memory.slots)}, and an estimate of the rest is"
        f" {_gib(memory.other)}; {most} enough; 'adapters capacity' shows more",
    )


def warn_of_idle_accelerators(scope: Construct, container: IContainer, compute: ComputeRequirements) -> None:
    """Add to `scope` a warning if the engine uses fewer accelerators than a copy has."""
    accelerators, engine = compute.accelerators, container.engine
    used = engine.tensor_parallel
    if used is None or accelerators is None or holds_token(accelerators) or used >= accelerators:
        return
    Annotations.of(scope).add_warning_v2(
        "multi-adapter-inference:idle-accelerators",
        f"vLLM uses {used} of the {accelerators} accelerators of a copy; set"
        f" {engine.variables.tensor_parallel[0]} to '{accelerators}' in the container's environment",
    )


def warn_of_adapters_on_disk(scope: Construct, adapters: int, lora: LoraServing | None) -> None:
    """Add to `scope` a warning if most adapters are in neither GPU nor CPU memory."""
    if lora is None:
        return
    tiers = TierCounts.of(adapters, lora)
    if tiers.mostly_on_disk:
        Annotations.of(scope).add_warning_v2(
            "multi-adapter-inference:most-adapters-on-disk",
            f"{tiers.disk} of {adapters} adapters are on disk at any time, and a request for one of them"
            f" waits until it is loaded: 'max_cpu_loras' is {lora.max_cpu_loras}, which counts the"
            f" {lora.max_loras} in GPU memory, too; 'adapters capacity' shows what memory more of them take",
        )


def _accelerator(instance_type: InstanceType) -> Accelerator | None:
    """Return the kind of accelerator. If the app described it, all its memory counts as visible."""
    gib = instance_type.accelerator_memory_gib
    known = INSTANCES.get(instance_type.name)
    if known is not None and gib == known.accelerator.memory_gib:
        return known.accelerator
    return None if not gib else Accelerator(name=instance_type.name, memory_gib=gib, visible_gib=gib)


def _gib(number: float) -> str:
    return f"{number / GIB:.1f} GiB"
