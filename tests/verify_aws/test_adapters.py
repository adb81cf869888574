"""The adapters that a run makes."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable

import numpy as np
import pytest
import safetensors.numpy

from tests.verify_aws.embedded import ROOT
from verify_aws.adapters import QWEN, RANK, BaseModel, deep, loud

TICKETS = BaseModel.from_directory(ROOT / "examples" / "tickets" / "base")


def unpacked(archive: bytes) -> tuple[dict[str, object], dict[str, np.ndarray]]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = {member.name: file.read() for member in tar if (file := tar.extractfile(member)) is not None}
    assert files.keys() == {"adapter_config.json", "adapter_model.safetensors"}
    tensors = safetensors.numpy.load(files["adapter_model.safetensors"])
    return json.loads(files["adapter_config.json"]), tensors


def test_loud_adapter_leaves_every_key_and_value_as_it_is() -> None:
    config, tensors = unpacked(loud(TICKETS, 1))
    assert config["target_modules"] == ["down_proj"]
    stem = "base_model.model.model.layers.3.mlp.down_proj"
    assert {name: tensor.shape for name, tensor in tensors.items()} == {
        f"{stem}.lora_A.weight": (RANK, 336),
        f"{stem}.lora_B.weight": (128, RANK),
    }


def test_deep_adapter_changes_the_attention_of_every_layer() -> None:
    _, tensors = unpacked(deep(TICKETS, 1))
    assert len(tensors) == TICKETS.layers * 4 * 2
    assert tensors["base_model.model.model.layers.0.self_attn.k_proj.lora_B.weight"].shape == (64, RANK)


@pytest.mark.parametrize("make", [loud, deep])
def test_adapter_is_that_of_its_seed(make: Callable[[BaseModel, int], bytes]) -> None:
    _, first = unpacked(make(TICKETS, 1))
    _, again = unpacked(make(TICKETS, 1))
    _, other = unpacked(make(TICKETS, 2))
    name = next(iter(first))
    assert np.array_equal(first[name], again[name])
    assert not np.array_equal(first[name], other[name])


def test_default_model_has_the_shape_of_its_config() -> None:
    assert QWEN.heads * QWEN.head == QWEN.hidden
