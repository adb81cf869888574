"""The Llama decoder in NumPy, with its key-value cache; each row of a batch has its own LoRA adapter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from local_sagemaker.model_server.llama_config import LlamaConfig
from local_sagemaker.model_server.lora import LoraWeights
from local_sagemaker.model_server.tensors import Array, StoredTensor, read_model_tensors


class KeyValueCache:
    """Keys and values of every row at every position; writing a position allocates its memory."""

    def __init__(self, config: LlamaConfig, *, rows: int, length: int) -> None:
        shape = (config.layers, rows, config.key_value_heads, length, config.head_size)
        self.keys = np.zeros(shape, np.float32)
        self.values = np.zeros(shape, np.float32)

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first positions of one row over another row."""
        self.keys[:, target, :, :length] = self.keys[:, source, :, :length]
        self.values[:, target, :, :length] = self.values[:, source, :, :length]

    def read(self, row: int, start: int, end: int) -> tuple[Array, Array]:
        """Copy some positions of a row: keys and values [layer, head, position, size]."""
        return self.keys[:, row, :, start:end].copy(), self.values[:, row, :, start:end].copy()

    def write(self, row: int, start: int, keys: Array, values: Array) -> None:
        """Overwrite positions of a row with what `read` returned."""
        end = start + keys.shape[2]
        self.keys[:, row, :, start:end] = keys
        self.values[:, row, :, start:end] = values


Integers = NDArray[np.int64]


@dataclass(frozen=True)
class LoraRows:
    """The flat rows of a batch that one adapter applies to; None where it is all of them."""

    weights: LoraWeights
    rows: Integers | slice | None


class LlamaModel:
    """Weights of a base model, and the forward pass over a batch."""

    def __init__(self, config: LlamaConfig, tensors: Mapping[str, StoredTensor]) -> None:
        self.config = config

        def vector(name: str) -> Array:
            if name not in tensors:
                raise ValueError(f"the base model has no tensor '{name}'")
            return tensors[name].to_float32()

        self._embeddings = vector("model.embed_tokens.weight")
        head = self._embeddings if config.tied_embeddings else vector("lm_head.weight")
        self._head = np.ascontiguousarray(head.T)
        self._final_norm = vector("model.norm.weight")
        self._norms = [
            (vector(f"{prefix}.input_layernorm.weight"), vector(f"{prefix}.post_attention_layernorm.weight"))
            for prefix in (f"model.layers.{layer}" for layer in range(config.layers))
        ]
        # Stored as (out, in), used as (in, out).
        self._projections: dict[str, Array] = {}
        for projection in config.projections():
            weights = []
            for name, size in projection.modules.items():
                weight = vector(f"{name}.weight")
                if weight.shape != size[::-1]:
                    raise ValueError(
                        f"the base model's '{name}' should have shape {size[::-1]}, got {weight.shape}"
                    )
                weights.append(weight)
            self._projections[projection.name] = np.ascontiguousarray(np.concatenate(weights).T)
        frequencies = config.rope_theta ** -(np.arange(0, config.head_size, 2) / config.head_size)
        angles = np.arange(config.context)[:, None] * np.concatenate([frequencies, frequencies])
        self._cosines = np.cos(angles).astype(np.float32)
        self._sines = np.sin(angles).astype(np.float32)

    @classmethod
    def from_directory(cls, directory: Path) -> Self:
        """Load a Hugging Face model directory."""
        return cls(LlamaConfig.from_directory(directory), read_model_tensors(directory))

    def forward(
        self,
        tokens: Integers,
        positions: Integers,
        cache: KeyValueCache,
        first_row: int,
        adapters: Sequence[LoraWeights | None],
    ) -> Array:
        """Run tokens [row, step] at their positions; return the final hidden states [row, step, hidden].

        The rows are the cache's rows from `first_row` on, with one adapter or None for each. A token attends
        to the positions of its row up to its own. Later positions in the cache, and padding on the right of a
        shorter prompt, change nothing.
        """
        config = self.config
        rows, steps = tokens.shape
        length = int(positions.max()) + 1
        visible = np.arange(length) <= positions[..., None]
        mask = np.where(visible, np.float32(0), np.float32(-np.inf))[:, None, None]
        cosines = self._cosines[positions][:, :, None]
        sines = self._sines[positions][:, :, None]
        lora = group_rows(adapters, steps)
        row_index = np.arange(rows)[:, None]
        used = slice(first_row, first_row + rows)
        value_head = config.heads + config.key_value_heads

        state = self._embeddings[tokens.reshape(-1)]
        for layer, (attention_norm, mlp_norm) in enumerate(self._norms):
            prefix = f"model.layers.{layer}."
            keys, values = cache.keys[layer, used], cache.values[layer, used]

            normed = self._normalize(state, attention_norm)
            joined = self._project(f"{prefix}self_attn.qkv", normed, lora)
            heads = joined.reshape(rows, steps, -1, config.head_size)
            turned = rotate(heads[:, :, :value_head], cosines, sines)
            query, key = turned[:, :, : config.heads], turned[:, :, config.heads :]
            keys[row_index, :, positions] = key
            values[row_index, :, positions] = heads[:, :, value_head:]
            attended = self._attend(query, keys[:, :, :length], values[:, :, :length], mask)
            state = state + self._project(f"{prefix}self_attn.o", attended, lora)

            normed = self._normalize(state, mlp_norm)
            joined = self._project(f"{prefix}mlp.gate_up", normed, lora)
            gate, up = joined[:, : config.intermediate], joined[:, config.intermediate :]
            silu = gate * (0.5 + 0.5 * np.tanh(0.5 * gate))  # gate / (1 + exp(-gate)), without overflow
            state = state + self._project(f"{prefix}mlp.down", silu * up, lora)
        return self._normalize(state, self._final_norm).reshape(rows, steps, config.hidden)

    def logits(self, hidden: Array) -> Array:
        """Turn hidden states [row, hidden] into scores of every token."""
        scores: Array = hidden @ self._head
        return scores

    def _project(self, name: str, rows: Array, lora: Sequence[LoraRows]) -> Array:
        # `dot` takes half as long as `@` to start, which counts where a product takes a microsecond.
        result: Array = rows.dot(self._projections[name])
        for group in lora:
            pair = group.weights.get(name)
            if pair is None:
                continue
            down, up = pair
            if group.rows is None:
                result += rows.dot(down).dot(up)
            else:
                result[group.rows] += rows[group.rows].dot(down).dot(up)
        return result

    def _normalize(self, state: Array, weight: Array) -> Array:
        mean_square = np.mean(state * state, -1, keepdims=True)
        normalized: Array = state / np.sqrt(mean_square + np.float32(self.config.norm_epsilon)) * weight
        return normalized

    def _attend(self, query: Array, keys: Array, values: Array, mask: Array) -> Array:
        """Grouped-query attention; returns [row * step, head * size]."""
        rows, steps, heads, size = query.shape
        groups = keys.shape[1]
        shape = (rows, groups, heads // groups, steps)
        query = query.transpose(0, 2, 1, 3).reshape(rows, groups, -1, size)
        scores = (query @ keys.swapaxes(-1, -2)).reshape(*shape, -1) / np.float32(size**0.5) + mask
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        mixed: Array = weights.reshape(rows, groups, -1, keys.shape[2]) @ values
        joined: Array = mixed.reshape(rows, heads, steps, size).swapaxes(1, 2).reshape(rows * steps, -1)
        return joined


def rotate(vectors: Array, cosines: Array, sines: Array) -> Array:
    """Apply rotary position embedding in the half-split layout of Hugging Face checkpoints."""
    half = vectors.shape[-1] // 2
    turned: Array = np.concatenate([-vectors[..., half:], vectors[..., :half]], -1)
    return vectors * cosines + turned * sines


def group_rows(adapters: Sequence[LoraWeights | None], steps: int) -> list[LoraRows]:
    """Gather the flat rows of each distinct adapter."""
    members: dict[int, list[int]] = {}
    weights = {id(adapter): adapter for adapter in adapters if adapter is not None}
    for row, adapter in enumerate(adapters):
        if adapter is not None:
            members.setdefault(id(adapter), []).append(row)
    return [
        LoraRows(weights[key], None if len(rows) == len(adapters) else flat_rows(rows, steps))
        for key, rows in members.items()
    ]


def flat_rows(rows: Sequence[int], steps: int) -> Integers | slice:
    """Return the flat rows of all steps of some rows."""
    if rows[-1] - rows[0] == len(rows) - 1:
        return slice(rows[0] * steps, (rows[-1] + 1) * steps)  # a view: cheaper than a copy
    flat: Integers = (np.array(rows)[:, None] * steps + np.arange(steps)).reshape(-1)
    return flat
