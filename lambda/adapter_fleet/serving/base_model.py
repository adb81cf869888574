"""The facts about a base model that its adapters are compared with."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapter_fleet.common.naming import is_same_model
from adapter_fleet.documents import strict_json

MAX_CONFIG_BYTES = 1024 * 1024

# Dense decoders with the module names of Llama (transformers' modeling_*.py, read in releases 4.50 to 4.57).
_DENSE = frozenset({"llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "phi3"})
# In these, one module computes queries, keys and values, and another gate and up (modeling_phi3.py).
_FUSED = frozenset({"phi3"})
# Mixtures of experts with the attention of Llama. The names of their experts differ between releases of
# transformers and PEFT, so experts are not compared.
_MIXTURES = frozenset({"gpt_oss", "mixtral", "qwen2_moe", "qwen3_moe"})

MAX_DIMENSION = 2**31 - 1
"""Far above any model: a larger number is no dimension, and would not fit into a message."""

# A `text_config` has only the values that differ from transformers' defaults (`to_diff_dict` in
# configuration_utils.py). These are the defaults of configuration_gemma3.py and configuration_mistral.py.
_DEFAULTS: Mapping[str, Mapping[str, int]] = {
    "gemma3_text": {
        "vocab_size": 262_208,
        "hidden_size": 2304,
        "intermediate_size": 9216,
        "num_hidden_layers": 26,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
    },
    "mistral": {
        "vocab_size": 32_000,
        "hidden_size": 4096,
        "intermediate_size": 14_336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
    },
}
_WIDTHS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
)

# The prefix of the text model's modules in a model of text and images: since transformers 4.52, and before.
_TEXT_MODEL = ("model.language_model.", "language_model.model.")
_LAYER_MODULE = re.compile(r"model\.layers\.([0-9]{1,6})\.(self_attn|mlp)\.([a-z_]+)")

VOCABULARY_MODULES = frozenset({"model.embed_tokens", "lm_head"})
"""The embedding and the output head. Not every engine adapts them (`VllmEngine.adapts_vocabulary`)."""


@dataclass(frozen=True, kw_only=True)
class LinearShape:
    """The widths of a linear module or, for an embedding, the vocabulary and the width."""

    inputs: int
    outputs: int


@dataclass(frozen=True, kw_only=True)
class Dimensions:
    """The modules of a decoder that an adapter may change, and their widths.

    kind:
        The `model_type` of the configuration, or of its text model.
    hidden, vocabulary:
        The width of the model, and how many tokens it knows.
    heads, key_value_heads, head_width:
        The dimensions of the attention.
    whole:
        True if `modules` has all modules of the model. A mixture also has experts, and a model of text and
        images a vision tower, which are not known here.
    nested:
        True for the text model in a model of text and images.
    """

    kind: str
    layers: int
    hidden: int
    vocabulary: int
    heads: int
    key_value_heads: int
    head_width: int
    modules: dict[str, LinearShape]
    whole: bool = True
    nested: bool = False

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Dimensions | None":
        """Read the dimensions from a model's `config.json`; None for an unknown architecture."""
        text = config.get("text_config")
        nested = isinstance(text, dict)
        kind = text.get("model_type") if isinstance(text, dict) else config.get("model_type")
        if not isinstance(kind, str) or kind not in _DENSE | _MIXTURES:
            return None
        if isinstance(text, dict):
            config = {**_DEFAULTS.get(kind, {}), **text}
            if not all(width in config for width in _WIDTHS):
                return None  # the default of a missing value is not known here
        try:
            hidden, heads = _dimension(config["hidden_size"]), _dimension(config["num_attention_heads"])
            inner, vocabulary = _dimension(config["intermediate_size"]), _dimension(config["vocab_size"])
            head_width = _dimension(config.get("head_dim") or hidden // heads)
            key_value_heads = _dimension(config.get("num_key_value_heads") or heads)
            layers = _dimension(config["num_hidden_layers"])
        except (KeyError, TypeError, ValueError, OverflowError):
            return None
        dense, whole = kind in _DENSE, kind in _DENSE and not nested
        queries, key_values = heads * head_width, key_value_heads * head_width
        modules = _attention(hidden, queries, key_values, fused=kind in _FUSED)
        if dense:
            modules |= _perceptron(hidden, inner, fused=kind in _FUSED)
        if whole:
            modules["model.embed_tokens"] = LinearShape(inputs=vocabulary, outputs=hidden)
            modules["lm_head"] = LinearShape(inputs=hidden, outputs=vocabulary)
        return cls(
            kind=kind,
            layers=layers,
            hidden=hidden,
            vocabulary=vocabulary,
            heads=heads,
            key_value_heads=key_value_heads,
            head_width=head_width,
            modules=modules,
            whole=whole,
            nested=nested,
        )

    def shape_of(self, module: str) -> LinearShape | None:
        """Return the shape of a module such as `model.layers.0.mlp.up_proj`; None if the model has none."""
        module = self._of_text_model(module)
        layer = _LAYER_MODULE.fullmatch(module)
        if layer is None:
            return self.modules.get(module)
        index, block, name = layer.groups()
        return self.modules.get(f"{block}.{name}") if int(index) < self.layers else None

    def knows(self, module: str) -> bool:
        """Tell whether a module belongs to a part of the model whose modules are all known."""
        if self.whole:
            return True
        layer = _LAYER_MODULE.fullmatch(self._of_text_model(module))
        return layer is not None and any(name.startswith(f"{layer[2]}.") for name in self.modules)

    def _of_text_model(self, module: str) -> str:
        """Return a module's name within the text model; '' for a module outside of it."""
        if not self.nested:
            return module
        prefix = next((prefix for prefix in _TEXT_MODEL if module.startswith(prefix)), None)
        return "" if prefix is None else f"model.{module.removeprefix(prefix)}"


def _dimension(value: Any) -> int:
    if not 1 <= (number := int(value)) <= MAX_DIMENSION:
        raise ValueError
    return number


def _attention(hidden: int, queries: int, key_values: int, *, fused: bool) -> dict[str, LinearShape]:
    o_proj = LinearShape(inputs=queries, outputs=hidden)
    if fused:
        qkv_proj = LinearShape(inputs=hidden, outputs=queries + 2 * key_values)
        return {"self_attn.qkv_proj": qkv_proj, "self_attn.o_proj": o_proj}
    return {
        "self_attn.q_proj": LinearShape(inputs=hidden, outputs=queries),
        "self_attn.k_proj": LinearShape(inputs=hidden, outputs=key_values),
        "self_attn.v_proj": LinearShape(inputs=hidden, outputs=key_values),
        "self_attn.o_proj": o_proj,
    }


def _perceptron(hidden: int, inner: int, *, fused: bool) -> dict[str, LinearShape]:
    down_proj = LinearShape(inputs=inner, outputs=hidden)
    if fused:
        return {
            "mlp.gate_up_proj": LinearShape(inputs=hidden, outputs=2 * inner),
            "mlp.down_proj": down_proj,
        }
    return {
        "mlp.gate_proj": LinearShape(inputs=hidden, outputs=inner),
        "mlp.up_proj": LinearShape(inputs=hidden, outputs=inner),
        "mlp.down_proj": down_proj,
    }


def read_model_config(path: Path) -> dict[str, Any]:
    """Read a model's `config.json`; ValueError if it is none or cannot be read."""
    try:
        with path.open("rb") as file:
            return parse_model_config(file.read(MAX_CONFIG_BYTES), str(path))
    except OSError as error:
        raise ValueError(f"'{path}' should be the configuration of a base model, got: {error}") from None


def parse_model_config(data: bytes, where: str) -> dict[str, Any]:
    """Return the configuration in `data`; ValueError, naming `where`, if it is none."""
    try:
        config = strict_json.loads(data)
    except ValueError as error:
        raise ValueError(f"'{where}' should be the configuration of a base model, got: {error}") from None
    if not isinstance(config, dict):
        raise ValueError(f"'{where}' should be the configuration of a base model, got no JSON object")
    return config


@dataclass(frozen=True, kw_only=True)
class BaseModelFacts:
    """A base model's name and, if known, its dimensions.

    kind:
        The `model_type` of its configuration; None if only the name is known.
    declared:
        True if the name is given, and not that of a folder. An adapter for another base is an error then.
    """

    name: str | None = None
    kind: str | None = None
    dimensions: Dimensions | None = field(default=None, repr=False)
    declared: bool = False

    @classmethod
    def from_directory(cls, directory: Path) -> "BaseModelFacts":
        """Read the facts from a model directory. The name is that in `config.json`, or else the folder's.

        Raises ValueError if there is no readable `config.json`.
        """
        config = read_model_config(directory / "config.json")
        return cls.from_config(config, folder=directory.resolve().name)

    @classmethod
    def from_config(cls, config: dict[str, Any], *, folder: str) -> "BaseModelFacts":
        """Read the facts from the `config.json` in `folder`."""
        name, kind = config.get("_name_or_path"), config.get("model_type")
        declared = isinstance(name, str) and name != ""
        return cls(
            name=name if declared else folder,
            kind=kind if isinstance(kind, str) else None,
            dimensions=Dimensions.from_config(config),
            declared=declared,
        )

    def is_named(self, other: str) -> bool:
        """Tell whether `other` names the same base model."""
        return self.name is None or is_same_model(self.name, other)
