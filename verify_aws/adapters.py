"""Adapters that are made for a run: random matrices, so that each gives texts of its own.

A loud adapter changes only the last layer's MLP, behind every attention. It leaves all keys and values as
they are, so that a prefix cache cannot mix its texts with another's. A deep one changes them in every layer.
"""

from __future__ import annotations

import io
import json
import math
import random
import struct
import tarfile
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RANK = 8
_LOUD_SCALE = 100.0
_DEEP_SCALE = 0.5


@dataclass(frozen=True, kw_only=True)
class BaseModel:
    """The base model: where it is, and the shape that its adapters follow.

    directory holds a model that is uploaded; without one, hub_id names a model that the container downloads.
    """

    hub_id: str = ""
    directory: Path | None = None
    layers: int
    hidden: int
    intermediate: int
    heads: int
    key_value_heads: int
    head: int

    @classmethod
    def from_directory(cls, directory: Path) -> BaseModel:
        """Read the shape of a Llama-like model; ValueError if there is none in the directory."""
        try:
            config: Mapping[str, Any] = json.loads((directory / "config.json").read_text())
            heads = config["num_attention_heads"]
            return cls(
                directory=directory,
                layers=config["num_hidden_layers"],
                hidden=config["hidden_size"],
                intermediate=config["intermediate_size"],
                heads=heads,
                key_value_heads=config.get("num_key_value_heads", heads),
                head=config.get("head_dim") or config["hidden_size"] // heads,
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"'{directory}' should hold a Llama-like model: {error!r}") from error

    @property
    def title(self) -> str:
        """The model in a transcript."""
        return self.hub_id or (self.directory.name if self.directory else "")


QWEN = BaseModel(
    hub_id="Qwen/Qwen2.5-0.5B-Instruct",
    layers=24,
    hidden=896,
    intermediate=4864,
    heads=14,
    key_value_heads=2,
    head=64,
)
"""Small, not gated, Apache 2.0; the shape is that of its config.json."""


def loud(model: BaseModel, seed: int) -> bytes:
    """Return the archive of an adapter whose texts are its own whatever was cached before."""
    name = f"model.layers.{model.layers - 1}.mlp.down_proj"
    return _archive({name: (model.intermediate, model.hidden)}, ["down_proj"], _LOUD_SCALE, seed)


def deep(model: BaseModel, seed: int) -> bytes:
    """Return the archive of an adapter that changes the keys and values of every layer."""
    query, key = model.heads * model.head, model.key_value_heads * model.head
    sizes = {
        "q_proj": (model.hidden, query),
        "k_proj": (model.hidden, key),
        "v_proj": (model.hidden, key),
        "o_proj": (query, model.hidden),
    }
    modules = {
        f"model.layers.{layer}.self_attn.{name}": size
        for layer in range(model.layers)
        for name, size in sizes.items()
    }
    return _archive(modules, list(sizes), _DEEP_SCALE, seed)


def _archive(
    modules: Mapping[str, tuple[int, int]], targets: Sequence[str], scale: float, seed: int
) -> bytes:
    dice = random.Random(seed)
    tensors: dict[str, tuple[tuple[int, int], array[float]]] = {}
    for module, (inputs, outputs) in modules.items():
        down = array("f", (dice.gauss(0, 1 / math.sqrt(inputs)) for _ in range(RANK * inputs)))
        up = array("f", (dice.gauss(0, scale) for _ in range(outputs * RANK)))
        tensors[f"base_model.model.{module}.lora_A.weight"] = ((RANK, inputs), down)
        tensors[f"base_model.model.{module}.lora_B.weight"] = ((outputs, RANK), up)
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": RANK,
        "lora_alpha": RANK,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": list(targets),
    }
    return _packed(
        {
            "adapter_config.json": json.dumps(config).encode(),
            "adapter_model.safetensors": _safetensors(tensors),
        }
    )


def _safetensors(tensors: Mapping[str, tuple[tuple[int, int], array[float]]]) -> bytes:
    header: dict[str, Any] = {}
    offset = 0
    for name, (shape, numbers) in tensors.items():
        end = offset + len(numbers) * numbers.itemsize
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return b"".join(
        [struct.pack("<Q", len(text)), text, *(numbers.tobytes() for _, numbers in tensors.values())]
    )


def _packed(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()
