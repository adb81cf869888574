"""The dimensions of a Llama-style model."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class Projection:
    """Linear modules with the same input, which are computed as one product."""

    name: str
    modules: Mapping[str, tuple[int, int]]


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

    def projections(self) -> list[Projection]:
        """Return the products of the forward pass, in its order."""
        query, key_value = self.heads * self.head_size, self.key_value_heads * self.head_size
        products = {
            "self_attn.qkv": {
                "self_attn.q_proj": (self.hidden, query),
                "self_attn.k_proj": (self.hidden, key_value),
                "self_attn.v_proj": (self.hidden, key_value),
            },
            "self_attn.o": {"self_attn.o_proj": (query, self.hidden)},
            "mlp.gate_up": {
                "mlp.gate_proj": (self.hidden, self.intermediate),
                "mlp.up_proj": (self.hidden, self.intermediate),
            },
            "mlp.down": {"mlp.down_proj": (self.intermediate, self.hidden)},
        }
        return [
            Projection(
                name=f"model.layers.{layer}.{name}",
                modules={f"model.layers.{layer}.{module}": size for module, size in modules.items()},
            )
            for layer in range(self.layers)
            for name, modules in products.items()
        ]
