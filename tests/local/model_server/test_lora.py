"""vLLM's semantics: an adapter computes what its merged weights W + scale·B·A compute."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from local_sagemaker.model_server.errors import AdapterLoadError
from local_sagemaker.model_server.llama import LlamaModel
from local_sagemaker.model_server.lora import Adapter
from tests.local.model_server.models import (
    Tensors,
    logits_of_all,
    merge,
    random_adapter,
    random_model,
    reference_logits,
    write_adapter,
    write_model,
)

TOKENS = [5, 77, 200, 3, 41, 41, 120, 9]
CONFIG, TENSORS = random_model()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LlamaModel:
    return LlamaModel.from_directory(write_model(tmp_path_factory.mktemp("base"), CONFIG, TENSORS))


def load(model: LlamaModel, directory: Path, max_rank: int = 64) -> Adapter:
    return Adapter.from_directory(directory, projections=model.config.projections(), max_rank=max_rank)


def assert_equals_merged(model: LlamaModel, directory: Path, adapter: Tensors, scale: float) -> None:
    computed = logits_of_all(model, TOKENS, load(model, directory).to_weights())
    expected = reference_logits(CONFIG, merge(TENSORS, adapter, scale), TOKENS)
    unadapted = reference_logits(CONFIG, TENSORS, TOKENS)
    np.testing.assert_allclose(computed, expected, atol=5e-4)
    assert np.abs(expected - unadapted).max() > 0.5, "the adapter should make a difference"


@pytest.mark.parametrize(
    ("settings", "scale"),
    [
        ({"lora_alpha": 10}, 2.5),
        ({"lora_alpha": 3, "use_rslora": True}, 1.5),
        ({"fan_in_fan_out": True}, 2.0),  # how the base stores its weights
        ({"rank_pattern": {"proj": 40, "_proj": 40}}, 2.0),  # the ends of names, and no whole ones
    ],
)
def test_scale_is_alpha_over_the_rank_or_its_root(
    model: LlamaModel, tmp_path: Path, settings: dict[str, Any], scale: float
) -> None:
    adapter = random_adapter(CONFIG)
    directory = write_adapter(tmp_path, adapter, **({"r": 4, "lora_alpha": 8} | settings))
    assert_equals_merged(model, directory, adapter, scale)


def test_rank_and_alpha_patterns_leave_all_modules_one_scale_as_in_vllm(
    model: LlamaModel, tmp_path: Path
) -> None:
    ranks = {"self_attn.q_proj": 8, "mlp.down_proj": 2}
    adapter = random_adapter(CONFIG, ranks=ranks)
    directory = write_adapter(
        tmp_path,
        adapter,
        r=4,
        lora_alpha=8,
        rank_pattern={"q_proj": 8, r".*\.mlp\.down_proj": 2},
        alpha_pattern={"q_proj": 4, "v_proj": 12},
    )
    assert_equals_merged(model, directory, adapter, 8 / 4)


@pytest.mark.parametrize(
    "targets", [["q_proj", "self_attn.v_proj"], r".*\.self_attn\.(q|v)_proj", "all-linear"]
)
def test_modules_and_layers_without_tensors_stay_the_base(
    model: LlamaModel, tmp_path: Path, targets: list[str] | str
) -> None:
    adapter = random_adapter(CONFIG, modules=["self_attn.q_proj", "self_attn.v_proj"], layers=[1])
    directory = write_adapter(tmp_path, adapter, target_modules=targets)

    assert_equals_merged(model, directory, adapter, 2.0)
    assert set(load(model, directory).to_weights()) == {"model.layers.1.self_attn.qkv"}


def test_rank_above_the_maximum_is_refused_naming_both(model: LlamaModel, tmp_path: Path) -> None:
    whole = write_adapter(tmp_path / "whole", random_adapter(CONFIG, rank=16), r=16)
    adapter = random_adapter(CONFIG, ranks={"self_attn.q_proj": 16})
    pattern = write_adapter(tmp_path / "pattern", adapter, rank_pattern={"q_proj": 16})
    for directory in (whole, pattern):
        with pytest.raises(AdapterLoadError, match="rank 16 is above OPTION_MAX_LORA_RANK=8"):
            load(model, directory, max_rank=8)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"peft_type": "IA3"}, '\'peft_type\' should be "LORA", got "IA3"'),
        ({"use_dora": True}, "'use_dora' should be false, got true"),
        ({"bias": "all"}, '\'bias\' should be "none", got "all"'),
        ({"modules_to_save": ["lm_head"]}, "'modules_to_save' should be null"),
        ({"r": None}, "no 'r'"),
        ({"r": "8"}, "'r' should be a positive integer, got \"8\""),
        ({"lora_alpha": "16"}, "'lora_alpha' should be a number"),
        ({"target_modules": 7}, "'target_modules' should be a list of names or one string, got 7"),
        ({"target_modules": "("}, "'target_modules' should be a regular expression"),
        ({"target_modules": ["q_proj"]}, "is not among the target_modules"),
        ({"rank_pattern": ["q_proj"]}, "'rank_pattern' should be an object"),
        ({"rank_pattern": {"q_proj": 0}}, r"'rank_pattern\.q_proj' should be a positive integer"),
        ({"rank_pattern": {"(": 3}}, "'rank_pattern' should be a regular expression"),
        ({"alora_invocation_tokens": [1]}, r"'alora_invocation_tokens' should be null, got \[1\]"),
        ({"r": 8}, r"lora_A should have shape \(8, 48\), got \(4, 48\)"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_configuration_that_is_not_plain_lora_is_refused(
    model: LlamaModel, tmp_path: Path, setting: dict[str, Any], message: str
) -> None:
    directory = write_adapter(tmp_path, random_adapter(CONFIG), **setting)
    with pytest.raises(AdapterLoadError, match=message):
        load(model, directory)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda tensors: {name.replace("q_proj", "query"): tensor for name, tensor in tensors.items()},
            r"no module 'model\.layers\.0\.self_attn\.query'",
        ),
        (
            lambda tensors: {
                name: one for name, one in tensors.items() if "1.mlp.up_proj.lora_B" not in name
            },
            r"'model\.layers\.1\.mlp\.up_proj' has lora_A only",
        ),
        (lambda tensors: tensors | {"lm_head.weight": np.zeros(2)}, "unexpected tensor 'lm_head.weight'"),
        (lambda _: {}, "holds no LoRA tensors"),
        (
            lambda tensors: {name: tensor.astype(np.float64) for name, tensor in tensors.items()},
            "should be F32, F16 or BF16, got F64",
        ),
    ],
    ids=["module", "pair", "stranger", "empty", "dtype"],
)
def test_tensors_that_do_not_fit_the_base_are_refused(
    model: LlamaModel, tmp_path: Path, change: Callable[[Tensors], Tensors], message: str
) -> None:
    directory = write_adapter(tmp_path, change(random_adapter(CONFIG)))
    with pytest.raises(AdapterLoadError, match=message):
        load(model, directory)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("adapter_config.json", None, r"cannot read adapter_config\.json: No such file"),
        ("adapter_model.safetensors", None, r"cannot read adapter_model\.safetensors: No such file"),
        ("adapter_config.json", b"{", r"adapter_config\.json is no JSON"),
        ("adapter_config.json", b"[]", r"adapter_config\.json should hold an object"),
        ("adapter_model.safetensors", b"PK\3\4", r"adapter_model\.safetensors is no safetensors file"),
    ],
    ids=["no-config", "no-tensors", "config-cut", "config-list", "tensors-garbage"],
)
def test_unreadable_files_are_refused_by_name(
    model: LlamaModel, tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    directory = write_adapter(tmp_path, random_adapter(CONFIG))
    (directory / name).unlink()
    if content is not None:
        (directory / name).write_bytes(content)
    with pytest.raises(AdapterLoadError, match=message):
        load(model, directory)
