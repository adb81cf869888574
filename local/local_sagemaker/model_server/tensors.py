"""Tensors of safetensors files, stored as in the file and widened to float32 on use."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class StoredTensor:
    """A tensor in the file's own precision, so half precisions take half the memory until they are used."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes | bytearray

    def to_float32(self) -> Array:
        """Return the values; float16 and bfloat16 widen without loss."""
        match self.dtype:
            case "F32":
                flat = np.frombuffer(self.data, np.float32)
            case "F16":
                flat = np.frombuffer(self.data, np.float16).astype(np.float32)
            case "BF16":  # the upper half of a float32
                flat = (np.frombuffer(self.data, np.uint16).astype(np.uint32) << 16).view(np.float32)
            case _:
                raise ValueError(f"tensors should be F32, F16 or BF16, got {self.dtype}")
        return flat.reshape(self.shape)


def read_tensors(path: Path) -> dict[str, StoredTensor]:
    """Read every tensor of one file; ValueError if it is not readable."""
    try:
        content = safetensors.deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
    except OSError as error:
        raise ValueError(f"cannot read {path.name}: {error.strerror}") from error
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path.name} is no safetensors file: {error}") from error
    return {
        name: StoredTensor(dtype=entry["dtype"], shape=tuple(entry["shape"]), data=entry["data"])
        for name, entry in content
    }


def read_model_tensors(directory: Path) -> dict[str, StoredTensor]:
    """Read `model.safetensors`, or all the shards that `model.safetensors.index.json` lists."""
    index = directory / "model.safetensors.index.json"
    if not index.exists():
        return read_tensors(directory / "model.safetensors")
    shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    tensors: dict[str, StoredTensor] = {}
    for shard in shards:
        tensors |= read_tensors(directory / shard)
    return tensors
