"""The Llama decoder in NumPy; each row of a batch has its own LoRA adapter or none."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from local_sagemaker.model_server.lora import LoraWeights
from local_sagemaker.model_server.tensors import Array, StoredTensor, read_model_tensors

Integers = NDArray[np.int64]

ATTENTION_MODULES = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP_MODULES = ("gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, kw_only=True)
class LlamaConfig:
    """The dimensions in a Hugging Face `config.json`."""

    name: str
    vocabulary: int
    hidden: int
    intermediate: int
    layers: int
    heads: int
    key_value_heads: int
    head_size: int
    context: int
    norm_epsilon: float
    rope_theta: float
    tied_embeddings: bool
    stop_tokens: frozenset[int]

    @classmethod
    def from_directory(cls, directory: Path) -> Self:
        """Read `config.json`; ValueError for a setting that this server cannot run."""
        content: dict[str, Any] = json.loads((directory / "config.json").read_text(encoding="utf-8"))
        rope = content.get("rope_parameters") or content.get("rope_scaling") or {}
        runnable = {
            "model_type": (content.get("model_type"), "llama"),
            "hidden_act": (content.get("hidden_act", "silu"), "silu"),
            "rope_type": (rope.get("rope_type", "default"), "default"),
            "attention_bias": (content.get("attention_bias", False), False),
            "mlp_bias": (content.get("mlp_bias", False), False),
        }
        for key, (got, wanted) in runnable.items():
            if got != wanted:
                raise ValueError(
                    f"config.json: '{key}' should be {json.dumps(wanted)}, got {json.dumps(got)}"
                )
        stop = content.get("eos_token_id")
        return cls(
            name=content.get("_name_or_path") or directory.name,
            vocabulary=content["vocab_size"],
            hidden=content["hidden_size"],
            intermediate=content["intermediate_size"],
            layers=content["num_hidden_layers"],
            heads=content["num_attention_heads"],
            key_value_heads=content.get("num_key_value_heads") or content["num_attention_heads"],
            head_size=content.get("head_dim") or content["hidden_size"] // content["num_attention_heads"],
            context=content["max_position_embeddings"],
            norm_epsilon=content["rms_norm_eps"],
            rope_theta=rope.get("rope_theta") or content.get("rope_theta", 10000.0),
            tied_embeddings=content.get("tie_word_embeddings", False),
            stop_tokens=frozenset(stop if isinstance(stop, list) else [] if stop is None else [stop]),
        )

    def modules(self) -> dict[str, tuple[int, int]]:
        """Return the linear modules that can carry LoRA, with their input and output sizes."""
        query, key_value = self.heads * self.head_size, self.key_value_heads * self.head_size
        sizes = {
            "self_attn.q_proj": (self.hidden, query),
            "self_attn.k_proj": (self.hidden, key_value),
            "self_attn.v_proj": (self.hidden, key_value),
            "self_attn.o_proj": (query, self.hidden),
            "mlp.gate_proj": (self.hidden, self.intermediate),
            "mlp.up_proj": (self.hidden, self.intermediate),
            "mlp.down_proj": (self.intermediate, self.hidden),
        }
        return {
            f"model.layers.{layer}.{module}": size
            for layer in range(self.layers)
            for module, size in sizes.items()
        }


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


@dataclass(frozen=True)
class LoraRows:
    """The flat rows of a batch that one adapter applies to."""

    weights: LoraWeights
    rows: Integers


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
        self._linears: dict[str, Array] = {}
        for name, size in config.modules().items():
            weight = vector(f"{name}.weight")
            if weight.shape != size[::-1]:
                raise ValueError(
                    f"the base model's '{name}' should have shape {size[::-1]}, got {weight.shape}"
                )
            self._linears[name] = np.ascontiguousarray(weight.T)
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

        state = self._embeddings[tokens.reshape(-1)]
        for layer, (attention_norm, mlp_norm) in enumerate(self._norms):
            prefix = f"model.layers.{layer}."
            keys, values = cache.keys[layer, used], cache.values[layer, used]

            normed = self._normalize(state, attention_norm)
            query = self._linear(f"{prefix}self_attn.q_proj", normed, lora)
            key = self._linear(f"{prefix}self_attn.k_proj", normed, lora)
            value = self._linear(f"{prefix}self_attn.v_proj", normed, lora)
            query = rotate(query.reshape(rows, steps, config.heads, config.head_size), cosines, sines)
            key = rotate(key.reshape(rows, steps, config.key_value_heads, config.head_size), cosines, sines)
            keys[row_index, :, positions] = key
            values[row_index, :, positions] = value.reshape(key.shape)
            attended = self._attend(query, keys[:, :, :length], values[:, :, :length], mask)
            state = state + self._linear(f"{prefix}self_attn.o_proj", attended, lora)

            normed = self._normalize(state, mlp_norm)
            gate = self._linear(f"{prefix}mlp.gate_proj", normed, lora)
            up = self._linear(f"{prefix}mlp.up_proj", normed, lora)
            silu = gate * (0.5 + 0.5 * np.tanh(0.5 * gate))  # gate / (1 + exp(-gate)), without overflow
            state = state + self._linear(f"{prefix}mlp.down_proj", silu * up, lora)
        return self._normalize(state, self._final_norm).reshape(rows, steps, config.hidden)

    def logits(self, hidden: Array) -> Array:
        """Turn hidden states [row, hidden] into scores of every token."""
        scores: Array = hidden @ self._head
        return scores

    def _linear(self, name: str, rows: Array, lora: Sequence[LoraRows]) -> Array:
        result: Array = rows @ self._linears[name]
        for group in lora:
            pair = group.weights.get(name)
            if pair is not None:
                down, up = pair
                result[group.rows] += (rows[group.rows] @ down) @ up
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
        LoraRows(weights[key], (np.array(rows)[:, None] * steps + np.arange(steps)).reshape(-1))
        for key, rows in members.items()
    ]
