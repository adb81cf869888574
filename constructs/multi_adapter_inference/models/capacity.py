"""Whether the base model and its adapters fit into memory, as far as synth knows."""

from collections.abc import Iterator

from aws_cdk import Annotations
from constructs import Construct

from adapter_fleet.common.validators import holds_token
from adapter_rules.engines.lora_limits import LoraServing
from adapter_rules.hardware.instance_types import INSTANCES, Accelerator
from adapter_rules.hardware.memory import GIB, GpuMemory, TierCounts, gpu_memory
from adapter_rules.hardware.model_shape import known_model_hint
from multi_adapter_inference.models.base_model import BaseModel
from multi_adapter_inference.models.compute import ComputeRequirements
from multi_adapter_inference.models.container import IContainer
from multi_adapter_inference.models.instance_type import InstanceType


def memory_of_copy(
    base_model: BaseModel,
    lora: LoraServing,
    container: IContainer,
    compute: ComputeRequirements,
    instance_type: InstanceType,
) -> GpuMemory | str:
    """Return what is in each accelerator of a copy, or what synth lacks to know it.

    Raises ValueError for a copy that cannot start: if it cannot be split over its accelerators, or if its
    weights and slots alone need more than their memory.
    """
    shape, accelerator = base_model._shape, _accelerator(instance_type)
    problems = "; ".join(_unknown(base_model, container, compute, instance_type))
    if shape is None or accelerator is None or problems:
        return f"synth cannot check whether a copy fits on {instance_type.name}: {problems}"
    memory = gpu_memory(
        shape, lora, container._engine, accelerator=accelerator, accelerators=compute.accelerators
    )
    share = container._engine.utilization * memory.total
    place = f"{memory.tensor_parallel} x {accelerator.memory_gib} GiB of {instance_type.name}"
    if memory.weights >= share:
        raise ValueError(
            f"the base model's weights should fit on {place}, got {_gib(memory.weights)} on each accelerator,"
            f" of {_gib(share)} at most that vLLM takes;"
            f" {_idle_accelerators(container, compute) or 'give a copy more accelerators, or larger ones'}"
        )
    if memory.never_fits:
        raise ValueError(
            f"'max_loras' x 'max_lora_rank' should leave room on {place}, got {lora.max_loras} x"
            f" {lora.max_lora_rank}: on each accelerator, the base model's weights take"
            f" {_gib(memory.weights)} and the slots {_gib(memory.slots)}, of {_gib(share)} at most that vLLM"
            " takes; lower one of the two, or give a copy more accelerators, or larger ones"
        )
    return memory


def warn_of_memory(scope: Construct, memory: GpuMemory | str, container: IContainer) -> None:
    """Add to `scope` a warning if the memory is not known, or too small for the engine to start."""
    if isinstance(memory, str):
        Annotations.of(scope).add_warning_v2("multi-adapter-inference:memory-not-checked", memory)
        return
    if memory.fits:
        return
    variable = container.version.variables.name("MAX_MODEL_LEN")
    most = f"at most {memory.most_loras} slots leave" if memory.most_loras else "no number of slots leaves"
    needed = (
        f"it should have {_gib(memory.least_cache)}"
        if memory.max_model_len is None
        else f"one sequence of {memory.max_model_len} tokens ({variable}, or else the model's"
        f" own length) takes {_gib(memory.least_cache)}"
    )
    Annotations.of(scope).add_warning_v2(
        "multi-adapter-inference:small-key-value-cache",
        f"vLLM may not start: on each accelerator, {_gib(memory.cache)} are left for its key-value cache, and"
        f" {needed}; of the {_gib(memory.budget)} that it takes, the weights have {_gib(memory.weights)},"
        f" {memory.max_loras} slots for adapters {_gib(memory.slots)}, and an estimate of the rest is"
        f" {_gib(memory.other)}; {most} enough; 'adapters capacity' shows what else helps",
    )


def warn_of_idle_accelerators(scope: Construct, container: IContainer, compute: ComputeRequirements) -> None:
    """Add to `scope` a warning if the engine uses fewer accelerators than a copy has."""
    if (idle := _idle_accelerators(container, compute)) is not None:
        Annotations.of(scope).add_warning_v2("multi-adapter-inference:idle-accelerators", idle)


def _idle_accelerators(container: IContainer, compute: ComputeRequirements) -> str | None:
    accelerators, engine = compute.accelerators, container._engine
    used = engine.tensor_parallel
    if used is None or holds_token(accelerators) or used >= accelerators:
        return None
    return (
        f"vLLM uses {used} of the {accelerators} accelerators of a copy; set"
        f" {engine.variables.tensor_parallel[0]} to '{accelerators}' in the container's environment"
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


def _unknown(
    base_model: BaseModel, container: IContainer, compute: ComputeRequirements, instance_type: InstanceType
) -> Iterator[str]:
    """Yield what synth lacks to compute the memory of a copy, and what to give."""
    shape, engine = base_model._shape, container._engine
    quantization = container.environment.get(engine.variables.name("QUANTIZATION"), "")
    if shape is None and base_model._facts.kind is not None:
        yield f"the size of a model of the type {base_model._facts.kind!r:.100} is not known"
    elif shape is None:
        yield (
            "the base model's 'name' should be a known one"
            f" ({known_model_hint(base_model._facts.name or base_model.folder)}), or give its config.json as"
            f" 'config', got {base_model._facts.name!r}"
        )
    elif shape.quantization.unknown is not None:
        yield f"the size of weights in the quantization {shape.quantization.unknown!r} is not known"
    elif quantization and shape.quantization.bits is None and engine.quantize_bits is None:
        yield f"'config' of the base model should be given with weights in {quantization!r}, got None"
    if _accelerator(instance_type) is None:
        yield f"'accelerator_memory' of InstanceType.of({instance_type.name!r}, …) should be given, got None"
    if engine.not_understood:  # a token, for example
        yield f"the memory is not known with {', '.join(engine.not_understood)}"
    if holds_token(compute.accelerators):
        yield "'accelerators' should be known at synth, got a token"


def _accelerator(instance_type: InstanceType) -> Accelerator | None:
    """Return the kind of accelerator. If the app described it, all its memory counts as visible."""
    gib = instance_type.accelerator_memory_gib
    known = INSTANCES.get(instance_type.name)
    if known is not None and gib == known.accelerator.memory_gib:
        return known.accelerator
    return None if not gib else Accelerator(name=instance_type.name, memory_gib=gib, visible_gib=gib)


def _gib(number: float) -> str:
    return f"{number / GIB:.1f} GiB"
