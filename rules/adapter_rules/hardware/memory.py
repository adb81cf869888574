"""Computes the memory of one copy of a base model with LoRA adapters: on accelerators, and by tiers.

When vLLM starts, it takes a share of each accelerator, its `gpu_memory_utilization`. It uses the share for
the weights, the slots of adapters and the activations of the largest batch; the rest is the key-value cache.
vLLM does not start if the rest cannot hold one sequence of `max_model_len` (`check_enough_kv_cache_memory` in
vllm/v1/core/kv_cache_utils.py).

The slots are computed from `create_lora_weights` in vllm/lora/layers/*_linear.py. A module of `inputs` x
`outputs` has a matrix A of rank x inputs and a matrix B of outputs x rank. With tensor parallelism T, each
accelerator has

===================  ================  =======  =======  ===================
modules              base layer        A        B        fully sharded
===================  ================  =======  =======  ===================
q, k, v, gate, up    column parallel   all      1/T      A as well, by rank
qkv, gate_up         column parallel   all      1/T      A as well, by rank
o, down              row parallel      1/T      all      B as well, by output
embed_tokens, head   vocabulary        all      all      no difference
===================  ================  =======  =======  ===================

So T accelerators do not divide the slots by T unless `fully_sharded_loras` is on. For a Llama of 8 B
parameters in 16 bits, the linear modules take 80 MiB a slot at rank 16 on one accelerator, 320 MiB at rank 64
and 1.25 GiB at 256.

Sizes are in bytes. The sizes of slots, weights and cache are those of one accelerator.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

from adapter_rules.engines.engine_settings import EngineSettings
from adapter_rules.engines.lora_limits import LoraServing
from adapter_rules.hardware.instance_types import Accelerator
from adapter_rules.hardware.model_shape import ModelShape

GIB = 1024**3

OTHER_BYTES = int(1.5 * GIB)
"""An ESTIMATE of vLLM's other memory on each accelerator: activations of the largest batch, NCCL, CUDA.

vLLM logs the real size, "PyTorch activation peak memory takes …". In public issues it was between 1 and 3 GiB
for models of 7 to 70 B parameters.
"""

MIN_CACHE_SHARE = 0.05
"""A guess: the smallest share of an accelerator for a key-value cache, if no sequence length is known."""

_BLOCK_TOKENS = 16
"""vLLM allocates the cache in blocks (`DEFAULT_BLOCK_SIZE` in vllm/config/cache.py)."""

_ROW_PARALLEL = ("self_attn.o_proj", "mlp.down_proj")
_KEYS_AND_VALUES = ("self_attn.k_proj", "self_attn.v_proj")
_QUERIES_KEYS_AND_VALUES = "self_attn.qkv_proj"
_GATE_AND_UP = "mlp.gate_up_proj"


@dataclass(frozen=True, kw_only=True)
class GpuMemory:
    """The memory of each accelerator of a copy, in bytes.

    tensor_parallel:
        Accelerators over which the copy is split.
    budget:
        vLLM's share of the accelerator's visible memory.
    weights, slot, other:
        The base model's weights, one LoRA slot, and the estimate of everything else.
    max_loras:
        The number of slots.
    token:
        The key-value cache of one token.
    max_model_len:
        The longest sequence in tokens; None if it is not known.
    """

    accelerator: Accelerator
    tensor_parallel: int
    budget: int
    weights: int
    slot: int
    other: int
    max_loras: int
    token: int
    max_model_len: int | None

    @property
    def total(self) -> int:
        """The nominal memory of the accelerator."""
        return self.accelerator.memory_gib * GIB

    @property
    def reserved(self) -> int:
        """The memory that vLLM does not take: outside its share, error correction, and the driver's."""
        return self.total - self.budget

    @property
    def slots(self) -> int:
        """The memory of all LoRA slots."""
        return self.max_loras * self.slot

    @property
    def left(self) -> int:
        """The memory left for the key-value cache; below 0 if everything else does not fit."""
        return self.budget - self.weights - self.slots - self.other

    @property
    def cache(self) -> int:
        """The key-value cache."""
        return max(0, self.left)

    @property
    def tokens(self) -> int:
        """The number of tokens in a full key-value cache."""
        return self.cache // (self.token * _BLOCK_TOKENS) * _BLOCK_TOKENS

    @property
    def sequences(self) -> float | None:
        """The number of longest sequences in a full cache ("Maximum concurrency" in vLLM's log)."""
        return None if self.max_model_len is None else self.tokens / self.max_model_len

    @property
    def least_cache(self) -> int:
        """The smallest sufficient key-value cache: one sequence, or `MIN_CACHE_SHARE`."""
        if self.max_model_len is None:
            return ceil(self.total * MIN_CACHE_SHARE)
        return ceil(self.max_model_len / _BLOCK_TOKENS) * _BLOCK_TOKENS * self.token

    @property
    def fits(self) -> bool:
        """True if the engine can start, by these numbers."""
        return self.left >= self.least_cache

    @property
    def most_loras(self) -> int:
        """The highest `max_loras` that fits; 0 if none does."""
        return max(0, (self.budget - self.weights - self.other - self.least_cache) // self.slot)

    @property
    def never_fits(self) -> bool:
        """True if weights and slots alone exceed the engine's share of the nominal memory.

        None of these numbers is an estimate.
        """
        share = self.budget / (self.accelerator.visible_gib * GIB)
        return self.weights + self.slots >= share * self.total


def gpu_memory(
    shape: ModelShape,
    lora: LoraServing,
    engine: EngineSettings,
    *,
    accelerator: Accelerator,
    accelerators: int,
) -> GpuMemory:
    """Return the memory of each accelerator of a copy.

    Raises ValueError for a copy that vLLM cannot split over them, and for an unknown quantization.
    """
    parallel = tensor_parallel(shape, engine, accelerators)
    return GpuMemory(
        accelerator=accelerator,
        tensor_parallel=parallel,
        budget=int(engine.utilization * accelerator.visible_gib * GIB),
        weights=weight_bytes(shape, engine, parallel),
        slot=slot_bytes(shape, engine, lora.max_lora_rank, parallel),
        other=OTHER_BYTES,
        max_loras=lora.max_loras,
        token=token_bytes(shape, engine, parallel),
        max_model_len=engine.max_model_len or shape.context,
    )


def tensor_parallel(shape: ModelShape, engine: EngineSettings, accelerators: int) -> int:
    """Return the number of accelerators that a copy is split over; ValueError if vLLM cannot do that."""
    parallel = engine.tensor_parallel or accelerators
    if parallel > accelerators:
        raise ValueError(
            f"'{engine.variables.tensor_parallel[0]}' should be at most {accelerators}, the accelerators of a"
            f" copy, got {parallel}"
        )
    if (problem := problem_of_split(shape, parallel)) is not None:
        raise ValueError(f"a copy cannot be split over {parallel} accelerators: {problem}")
    return parallel


def problem_of_split(shape: ModelShape, parallel: int) -> str | None:
    """Return why a model cannot be split over this number of accelerators; None if it can.

    The number has to divide the heads. It also has to divide the key-value heads, or be a multiple of them
    (QKVParallelLinear in vllm/model_executor/layers/linear.py, which divides all other widths as well). What
    a quantization needs beside, vLLM says when it starts.
    """
    if parallel == 1:
        return None
    dimensions = shape.dimensions
    few, many = sorted((dimensions.key_value_heads, parallel))
    if dimensions.heads % parallel or many % few:
        return (
            f"its {dimensions.heads} attention heads and {dimensions.key_value_heads} key-value heads do not"
            " divide by that"
        )
    inner = dimensions.modules["mlp.down_proj"].inputs
    if inner % parallel:
        return f"the {inner} inputs of 'mlp.down_proj' do not divide by that"
    return None


def slot_bytes(shape: ModelShape, engine: EngineSettings, rank: int, tensor_parallel: int = 1) -> int:
    """Return the memory of one slot, on each accelerator, for adapters of at most that rank.

    Each accelerator has the whole slot of the embedding and the output head (LogitsProcessorWithLoRA and
    VocabParallelEmbeddingWithLoRA in vllm/lora/layers), whether or not an adapter changes them.
    """
    linear = linear_slot_bytes(shape, engine, rank, tensor_parallel)
    if not shape.vocabulary_slots:
        return linear
    vocabulary = 2 * (shape.dimensions.vocabulary + shape.dimensions.hidden) * rank
    return linear + vocabulary * engine.adapter_number_bytes


def linear_slot_bytes(shape: ModelShape, engine: EngineSettings, rank: int, tensor_parallel: int = 1) -> int:
    """Return the memory of one slot's linear modules, on each accelerator.

    On one accelerator, it is the size of an adapter of all linear modules.
    """
    numbers, fully_sharded = 0, engine.fully_sharded
    for name in shape.linear_modules:
        module = shape.dimensions.modules[name]
        if name in _ROW_PARALLEL:
            numbers += rank * _part(module.inputs, tensor_parallel)
            numbers += rank * (_part(module.outputs, tensor_parallel) if fully_sharded else module.outputs)
        else:
            numbers += (_part(rank, tensor_parallel) if fully_sharded else rank) * module.inputs
            numbers += rank * _outputs(shape, name, tensor_parallel)
    return shape.dimensions.layers * numbers * engine.adapter_number_bytes


def weight_bytes(shape: ModelShape, engine: EngineSettings, tensor_parallel: int = 1) -> int:
    """Return the memory of the base model's weights, on each accelerator.

    Linear modules, embedding and output head are split. Key-value heads are repeated if there are fewer than
    accelerators. Raises ValueError for an unknown quantization.
    """
    quantization = shape.quantization
    if quantization.unknown is not None:
        raise ValueError(f"the size of weights in the quantization {quantization.unknown!r} is not known")
    bits = quantization.bits or engine.quantize_bits or 8 * engine.number_bytes
    linear = 0
    for name in shape.linear_modules:
        module = shape.dimensions.modules[name]
        if name in _ROW_PARALLEL:
            linear += _part(module.inputs, tensor_parallel) * module.outputs
        else:
            linear += module.inputs * _outputs(shape, name, tensor_parallel)
    vocabulary = _part(shape.vocabulary_parameters, tensor_parallel)
    return ceil(shape.dimensions.layers * linear * bits / 8) + vocabulary * engine.number_bytes


def token_bytes(shape: ModelShape, engine: EngineSettings, tensor_parallel: int = 1) -> int:
    """Return the key-value cache of one token, on each accelerator: a key and a value in each layer.

    For models with sliding-window layers it is an upper bound.
    """
    heads = _part(shape.dimensions.key_value_heads, tensor_parallel)
    number = engine.cache_bytes or engine.number_bytes
    return 2 * shape.dimensions.layers * heads * shape.dimensions.head_width * number


def _outputs(shape: ModelShape, name: str, tensor_parallel: int) -> int:
    """Return the outputs of a column-parallel module on one accelerator."""
    # With fewer heads than accelerators, heads are repeated: each accelerator has one.
    dimensions = shape.dimensions
    key_values = _part(dimensions.key_value_heads, tensor_parallel) * dimensions.head_width
    if name in _KEYS_AND_VALUES:
        return key_values
    if name == _QUERIES_KEYS_AND_VALUES:
        return _part(dimensions.heads, tensor_parallel) * dimensions.head_width + 2 * key_values
    outputs = dimensions.modules[name].outputs
    if name == _GATE_AND_UP:
        return 2 * _part(outputs // 2, tensor_parallel)
    return _part(outputs, tensor_parallel)


def _part(size: int, parts: int) -> int:
    return -(-size // parts)


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
