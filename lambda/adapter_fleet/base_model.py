"""What is known of a base model, to compare its adapters with."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapter_fleet import strict_json

MAX_CONFIG_BYTES = 1024 * 1024

# Dense decoders with the module names of Llama (transformers' modeling_llama.py). Others are compared by
# name only.
_LLAMA_LIKE = frozenset({"llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2"})
_LAYER_MODULE = re.compile(r"model\.layers\.([0-9]{1,6})\.(self_attn|mlp)\.([a-z_]+)")


VOCABULARY_MODULES = frozenset({"model.embed_tokens", "lm_head"})
"""The embedding and the output head, which not every engine adapts (`LmiVersion.adapts_vocabulary`)."""


@dataclass(frozen=True, kw_only=True)
class LinearShape:
    """Width in and out of a linear module or, for an embedding, vocabulary and width."""

    inputs: int
    outputs: int


@dataclass(frozen=True, kw_only=True)
class Dimensions:
    """The modules of a Llama-like model that an adapter may change, and how wide they are.

    kind:
        The `model_type` of its configuration.
    """

    kind: str
    layers: int
    modules: dict[str, LinearShape]

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Dimensions | None":
        """Read them from a model's `config.json`; None for an architecture that is not Llama-like."""
        kind = config.get("model_type")
        if not isinstance(kind, str) or kind not in _LLAMA_LIKE:
            return None
        try:
            hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
            inner, vocabulary = int(config["intermediate_size"]), int(config["vocab_size"])
            head_width = int(config.get("head_dim") or hidden // heads)
            key_values = int(config.get("num_key_value_heads") or heads) * head_width
            layers = int(config["num_hidden_layers"])
        except (KeyError, TypeError, ValueError, OverflowError, ZeroDivisionError):
            return None
        queries = heads * head_width
        return cls(
            kind=kind,
            layers=layers,
            modules={
                "self_attn.q_proj": LinearShape(inputs=hidden, outputs=queries),
                "self_attn.k_proj": LinearShape(inputs=hidden, outputs=key_values),
                "self_attn.v_proj": LinearShape(inputs=hidden, outputs=key_values),
                "self_attn.o_proj": LinearShape(inputs=queries, outputs=hidden),
                "mlp.gate_proj": LinearShape(inputs=hidden, outputs=inner),
                "mlp.up_proj": LinearShape(inputs=hidden, outputs=inner),
                "mlp.down_proj": LinearShape(inputs=inner, outputs=hidden),
                "model.embed_tokens": LinearShape(inputs=vocabulary, outputs=hidden),
                "lm_head": LinearShape(inputs=hidden, outputs=vocabulary),
            },
        )

    def shape_of(self, module: str) -> LinearShape | None:
        """Return the shape of a module, named like `model.layers.0.mlp.up_proj`; None if there is none."""
        layer = _LAYER_MODULE.fullmatch(module)
        if layer is None:
            return self.modules.get(module)
        index, block, name = layer.groups()
        return self.modules.get(f"{block}.{name}") if int(index) < self.layers else None


def read_model_config(path: Path) -> dict[str, Any]:
    """Read a model's `config.json`; ValueError where it is none or cannot be read."""
    try:
        with path.open("rb") as file:
            return parse_model_config(file.read(MAX_CONFIG_BYTES), str(path))
    except OSError as error:
        raise ValueError(f"'{path}' should be the configuration of a base model, got: {error}") from None


def parse_model_config(data: bytes, where: str) -> dict[str, Any]:
    """Return the configuration in `data`, which is from `where`; ValueError where it is none."""
    try:
        config = strict_json.loads(data)
    except ValueError as error:
        raise ValueError(f"'{where}' should be the configuration of a base model, got: {error}") from None
    if not isinstance(config, dict):
        raise ValueError(f"'{where}' should be the configuration of a base model, got no JSON object")
    return config


@dataclass(frozen=True, kw_only=True)
class BaseModelFacts:
    """What the checks of an adapter may compare with: the base's name and, where known, its dimensions."""

    name: str | None = None
    dimensions: Dimensions | None = field(default=None, repr=False)

    @classmethod
    def from_directory(cls, directory: Path) -> "BaseModelFacts":
        """Read the facts from a model directory; its name is that in `config.json`, or else the folder's.

        Raises ValueError where there is no readable `config.json`.
        """
        config = read_model_config(directory / "config.json")
        return cls._from(config, folder=directory.resolve().name)

    @classmethod
    def from_config(cls, text: bytes, *, where: str, folder: str) -> "BaseModelFacts":
        """Read the facts from the text of a `config.json`, which lies in `folder`.

        Raises ValueError where it is none.
        """
        return cls._from(parse_model_config(text, where), folder=folder)

    @classmethod
    def _from(cls, config: dict[str, Any], *, folder: str) -> "BaseModelFacts":
        name = config.get("_name_or_path")
        return cls(
            name=name if isinstance(name, str) and name else folder,
            dimensions=Dimensions.from_config(config),
        )

    def is_named(self, other: str) -> bool:
        """Tell whether `other` names this base too.

        The last parts are compared: what is before them differs between the hub and every local folder.
        """
        return self.name is None or _last_part(self.name) == _last_part(other)


def _last_part(name: str) -> str:
    return name.rstrip("/").rsplit("/", 1)[-1].casefold()
