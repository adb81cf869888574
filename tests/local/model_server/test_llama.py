"""The forward pass against a plain float64 implementation."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from local_sagemaker.model_server.key_value_cache import KeyValueCache
from local_sagemaker.model_server.llama import LlamaModel
from tests.local.model_server.models import (
    Tensors,
    random_model,
    reference_logits,
    write_half_precision,
    write_model,
)

TOKENS = [5, 77, 200, 3, 41, 41, 120, 9]
SHAPES: dict[str, dict[str, Any]] = {
    "grouped-query": {},
    "multi-query": {"num_key_value_heads": 1},
    "wide-heads": {"head_dim": 16, "rope_theta": 500000.0},
    "tied": {"tie_word_embeddings": True},
}


def logits_of_all(model: LlamaModel, tokens: list[int]) -> np.ndarray:
    cache = KeyValueCache(model.config, rows=1, length=len(tokens))
    hidden = model.forward(np.array([tokens]), np.arange(len(tokens))[None], cache, 0, [None])
    return model.logits(hidden[0])


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_prompt_gives_the_logits_of_the_reference(tmp_path: Path, shape: dict[str, Any]) -> None:
    config, tensors = random_model(**shape)
    model = LlamaModel.from_directory(write_model(tmp_path, config, tensors))

    np.testing.assert_allclose(
        logits_of_all(model, TOKENS), reference_logits(config, tensors, TOKENS), atol=2e-4
    )


def test_token_by_token_equals_the_prompt_at_once(tmp_path: Path) -> None:
    config, tensors = random_model()
    model = LlamaModel.from_directory(write_model(tmp_path, config, tensors))
    cache = KeyValueCache(model.config, rows=1, length=len(TOKENS))

    one_by_one = [
        model.logits(model.forward(np.array([[token]]), np.array([[position]]), cache, 0, [None])[0, 0])
        for position, token in enumerate(TOKENS)
    ]

    np.testing.assert_allclose(one_by_one, logits_of_all(model, TOKENS), atol=2e-5)


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


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_half_precision_weights_are_widened(tmp_path: Path, dtype: str) -> None:
    config, tensors = random_model()
    write_model(tmp_path, config, tensors)
    rounded = write_half_precision(tmp_path / "model.safetensors", tensors, dtype)

    model = LlamaModel.from_directory(tmp_path)

    np.testing.assert_allclose(
        logits_of_all(model, TOKENS), reference_logits(config, rounded, TOKENS), atol=2e-4
    )


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


def without(tensors: Tensors, name: str) -> Tensors:
    return {key: tensor for key, tensor in tensors.items() if key != name}


def test_missing_or_misshapen_weights_are_named(tmp_path: Path) -> None:
    config, tensors = random_model()
    name = "model.layers.1.mlp.up_proj.weight"

    with pytest.raises(ValueError, match=f"no tensor '{name}'"):
        LlamaModel.from_directory(write_model(tmp_path, config, without(tensors, name)))
    misshapen = tensors | {name: np.ascontiguousarray(tensors[name].T)}
    with pytest.raises(ValueError, match=r"up_proj' should have shape \(48, 32\), got \(32, 48\)"):
        LlamaModel.from_directory(write_model(tmp_path, config, misshapen))
