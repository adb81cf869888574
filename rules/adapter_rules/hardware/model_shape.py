"""The dimensions of a base model that decide the memory of weights, key-value cache and LoRA slots."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapter_fleet.common.naming import known_or_meant, near_names
from adapter_fleet.serving.base_model import MAX_DIMENSION, BaseModelFacts, Dimensions
from adapter_rules.engines.vllm_engine import VOCABULARY_MODEL_TYPES

_LINEAR_PARTS = ("self_attn.", "mlp.")

_MOST_BITS = 64
_LONGEST_NAME = 80

# transformers' defaults for a config.json without the key (configuration_gemma*.py; all others: False).
_TIED_BY_DEFAULT = frozenset({"gemma", "gemma2", "gemma3_text"})


@dataclass(frozen=True, kw_only=True)
class Quantization:
    """The effect of a quantization on the linear modules of a model.

    bits:
        Bits in memory per parameter, scales included. None for a model without quantization, where the
        engine's data type decides.
    unknown:
        The name of the quantization, if its bits are not known.
    """

    bits: float | None = None
    unknown: str | None = None


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """A dense decoder with the modules of Llama, or of Phi-3, which fuses some of them.

    Norms and biases are left out: of a billion parameters, they are less than 0.02 %.

    tied:
        True if the embedding is the output head as well, so that the memory holds one of them.
    context:
        The longest sequence that it was trained for, in tokens; None if its configuration does not say.
    vocabulary_slots:
        True if vLLM has LoRA slots for the embedding and the output head in any version. For the versions
        without them, the computed memory is an upper bound.
    """

    dimensions: Dimensions
    tied: bool
    context: int | None = None
    vocabulary_slots: bool = False
    quantization: Quantization = Quantization()

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ModelShape | None":
        """Read the shape from a model's `config.json`; None for an architecture that is no such decoder."""
        found = Dimensions.from_config(config)
        if found is None or not found.whole:
            return None
        return cls(
            dimensions=found,
            tied=bool(config.get("tie_word_embeddings", found.kind in _TIED_BY_DEFAULT)),
            context=_number(config.get("max_position_embeddings"), least=1),
            vocabulary_slots=found.kind in VOCABULARY_MODEL_TYPES,
            quantization=_quantization(config.get("quantization_config")),
        )

    @property
    def linear_modules(self) -> list[str]:
        """The linear modules of a layer: attention and perceptron."""
        return [name for name in self.dimensions.modules if name.startswith(_LINEAR_PARTS)]

    @property
    def vocabulary_parameters(self) -> int:
        """The parameters of the embedding and, if the two are not tied, of the output head."""
        return self.dimensions.vocabulary * self.dimensions.hidden * (1 if self.tied else 2)

    @property
    def parameters(self) -> int:
        """All parameters but those of norms and biases."""
        modules = map(self.dimensions.modules.__getitem__, self.linear_modules)
        linear = sum(module.inputs * module.outputs for module in modules)
        return self.dimensions.layers * linear + self.vocabulary_parameters


def _quantization(config: Any) -> Quantization:
    if not isinstance(config, dict):
        return Quantization()
    method = str(config.get("quant_method"))[:_LONGEST_NAME]
    match method:
        case "awq" | "gptq":
            # A scale of 16 bits and a zero point for each group.
            bits = _number(config.get("bits", config.get("w_bit", 4)), least=1, most=_MOST_BITS)
            group = _number(config.get("group_size", config.get("q_group_size", 128)), least=-1)
            if bits is not None and group is not None:
                if group <= 0:  # one scale for all inputs
                    return Quantization(bits=bits)
                return Quantization(bits=bits + (16 + bits) / group)
        case "fp8" | "fbgemm_fp8":
            return Quantization(bits=8.0)
        case "bitsandbytes":
            # A 32-bit scale for each block of 64.
            return Quantization(bits=8.0 if config.get("load_in_8bit") else 4.0 + 32 / 64)
        case "compressed-tensors":
            return _compressed_tensors(config)
    return Quantization(unknown=method)


def _compressed_tensors(config: dict[str, Any]) -> Quantization:
    groups = config.get("config_groups")
    match list(groups.values()) if isinstance(groups, dict) else []:
        case [{"weights": {"num_bits": number, **more}}]:
            bits = _number(number, least=1, most=_MOST_BITS)
            group = _number(more.get("group_size"), least=1)
            if bits is not None:
                return Quantization(bits=bits + (0 if group is None else 16 / group))
    return Quantization(unknown="compressed-tensors")


def _number(value: Any, *, least: int, most: int = MAX_DIMENSION) -> int | None:
    return value if type(value) is int and least <= value <= most else None


# The dense Llama 3 models. They are gated, so these values are from public copies of their config.json.
_LLAMA_3 = {
    "model_type": "llama",
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
}
_LLAMA_3_8B = {
    **_LLAMA_3,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
}
_LLAMA_3_70B = {
    **_LLAMA_3,
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
}
_LLAMA_3_1B = {
    **_LLAMA_3,
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "head_dim": 64,
    "tie_word_embeddings": True,
}
_LLAMA_3_3B = {
    **_LLAMA_3,
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "num_hidden_layers": 28,
    "num_attention_heads": 24,
    "head_dim": 128,
    "tie_word_embeddings": True,
}
_KNOWN: Mapping[str, dict[str, Any]] = {
    "llama-3.1-8b": _LLAMA_3_8B,
    "llama-3.1-70b": _LLAMA_3_70B,
    "llama-3.2-1b": _LLAMA_3_1B,
    "llama-3.2-3b": _LLAMA_3_3B,
    "llama-3.3-70b": _LLAMA_3_70B,
}

KNOWN_MODELS = tuple(_KNOWN)
"""The names of the models that `known_shape` knows, without prefix and suffix."""


def known_shape(name: str | None) -> ModelShape | None:
    """Return the shape of a well-known model; None for any other.

    A model is known by the last part of its name in any case, with or without `Meta-` and `-Instruct`:
    `meta-llama/Llama-3.1-8B-Instruct`.
    """
    config = _KNOWN.get(_last_part(name or "").removesuffix("-instruct"))
    return None if config is None else ModelShape.from_config(config)


def known_model_hint(name: str) -> str:
    """Return which well-known model a name or a folder may mean, or else which there are."""
    last = _last_part(name)
    near = near_names(last.removesuffix("-instruct"), KNOWN_MODELS)
    return known_or_meant(last, [near[0], f"{near[0]}-instruct"] if near else KNOWN_MODELS)


def _last_part(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2].casefold().removeprefix("meta-")


def base_named(name: str) -> BaseModelFacts:
    """Return the facts of a base model that follow from its name: dimensions only for a well-known one."""
    shape = known_shape(name)
    return BaseModelFacts(name=name, dimensions=None if shape is None else shape.dimensions, declared=True)
