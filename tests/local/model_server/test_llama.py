"""The forward pass against a plain float64 implementation."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from local_sagemaker.model_server.llama import KeyValueCache, LlamaModel
from local_sagemaker.model_server.tensors import StoredTensor
from tests.local.model_server.models import logits_of_all, random_model, reference_logits, write_model

TOKENS = [5, 77, 200, 3, 41, 41, 120, 9]
SHAPES: dict[str, dict[str, Any]] = {
    "grouped-query": {},
    "multi-query": {"num_key_value_heads": 1},
    "wide-heads": {"head_dim": 16, "rope_theta": 500000.0},
    "tied": {"tie_word_embeddings": True},
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_prompt_gives_the_logits_of_the_reference(tmp_path: Path, shape: dict[str, Any]) -> None:
    config, tensors = random_model(**shape)
    model = LlamaModel.from_directory(write_model(tmp_path, config, tensors))

    np.testing.assert_allclose(
        logits_of_all(model, TOKENS), reference_logits(config, tensors, TOKENS), atol=2e-4
    )


def test_row_does_not_see_other_rows_padding_or_what_the_cache_held_before(tmp_path: Path) -> None:
    config, tensors = random_model()
    model = LlamaModel.from_directory(write_model(tmp_path, config, tensors))
    cache = KeyValueCache(model.config, rows=3, length=16)
    cache.keys += 50
    cache.values += 50
    short = TOKENS[:3]
    padded = np.array([TOKENS, short + [0] * (len(TOKENS) - len(short))])
    positions = np.broadcast_to(np.arange(len(TOKENS)), padded.shape)

    hidden = model.forward(padded, positions, cache, 1, [None, None])
    after = model.forward(
        np.array([[7], [7]]), np.array([[len(TOKENS)], [len(short)]]), cache, 1, [None, None]
    )

    np.testing.assert_allclose(model.logits(hidden[1, 2]), logits_of_all(model, short)[-1], atol=2e-5)
    np.testing.assert_allclose(model.logits(after[0, 0]), logits_of_all(model, [*TOKENS, 7])[-1], atol=2e-5)
    np.testing.assert_allclose(model.logits(after[1, 0]), logits_of_all(model, [*short, 7])[-1], atol=2e-5)


@pytest.mark.parametrize(("dtype", "data"), [("F16", "003c00c1"), ("BF16", "803f20c0")])
def test_half_precision_weights_are_widened(dtype: str, data: str) -> None:
    tensor = StoredTensor(dtype=dtype, shape=(1, 2), data=bytes.fromhex(data))
    assert tensor.to_float32().tolist() == [[1, -2.5]]


def test_sharded_weights_are_read_through_their_index(tmp_path: Path) -> None:
    config, tensors = random_model()
    whole = LlamaModel.from_directory(write_model(tmp_path / "whole", config, tensors))
    directory = write_model(tmp_path / "sharded", config, tensors)
    (directory / "model.safetensors").unlink()
    names = sorted(tensors)
    shards = {"model-00001.safetensors": names[::2], "model-00002.safetensors": names[1::2]}
    for shard, members in shards.items():
        save_file({name: tensors[name] for name in members}, directory / shard)
    weight_map = {name: shard for shard, members in shards.items() for name in members}
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))

    sharded = LlamaModel.from_directory(directory)

    np.testing.assert_array_equal(logits_of_all(sharded, TOKENS), logits_of_all(whole, TOKENS))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"model_type": "mistral"}, '\'model_type\' should be "llama", got "mistral"'),
        ({"hidden_act": "gelu"}, '\'hidden_act\' should be "silu", got "gelu"'),
        ({"attention_bias": True}, "'attention_bias' should be false, got true"),
        ({"rope_scaling": {"rope_type": "llama3"}}, '\'rope_type\' should be "default", got "llama3"'),
    ],
    ids=["type", "activation", "bias", "rope"],
)
def test_model_it_cannot_run_is_refused(tmp_path: Path, setting: dict[str, Any], message: str) -> None:
    config, tensors = random_model()
    directory = write_model(tmp_path, config | setting, tensors)

    with pytest.raises(ValueError, match=message):
        LlamaModel.from_directory(directory)


def test_missing_or_misshapen_weights_are_named(tmp_path: Path) -> None:
    config, tensors = random_model()
    name = "model.layers.1.mlp.up_proj.weight"
    whole = tensors.pop(name)

    with pytest.raises(ValueError, match=f"no tensor '{name}'"):
        LlamaModel.from_directory(write_model(tmp_path, config, tensors))
    tensors[name] = np.ascontiguousarray(whole.T)
    with pytest.raises(ValueError, match=r"up_proj' should have shape \(48, 32\), got \(32, 48\)"):
        LlamaModel.from_directory(write_model(tmp_path, config, tensors))
