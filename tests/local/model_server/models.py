"""Small random models and adapters on disk, and a second, plain implementation of the Llama decoder."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from local_sagemaker.model_server.llama import KeyValueCache, LlamaModel
from local_sagemaker.model_server.lora import LoraWeights

Tensors = dict[str, NDArray[Any]]

LINEAR_MODULES = (
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
)
CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "hidden_act": "silu",
    "vocab_size": 259,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def shape_of(config: Mapping[str, Any], module: str) -> tuple[int, int]:
    """Return (out, in) of a linear module, named without its layer."""
    hidden, intermediate, head = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    query, key_value = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    return {
        "q_proj": (query, hidden),
        "k_proj": (key_value, hidden),
        "v_proj": (key_value, hidden),
        "o_proj": (hidden, query),
        "gate_proj": (intermediate, hidden),
        "up_proj": (intermediate, hidden),
        "down_proj": (hidden, intermediate),
    }[module.rpartition(".")[2]]


def random_model(seed: int = 0, **config: Any) -> tuple[dict[str, Any], Tensors]:
    """Make a configuration and tensors that give lively, well separated logits."""
    merged = CONFIG | config
    source = np.random.default_rng(seed)
    hidden, vocabulary = merged["hidden_size"], merged["vocab_size"]

    def draw(*shape: int) -> NDArray[np.float32]:
        drawn: NDArray[np.float64] = source.standard_normal(shape) / shape[-1] ** 0.5
        return drawn.astype(np.float32)

    tensors: Tensors = {
        "model.embed_tokens.weight": source.standard_normal((vocabulary, hidden)).astype(np.float32),
        "model.norm.weight": (1 + 0.1 * source.standard_normal(hidden)).astype(np.float32),
    }
    if not merged["tie_word_embeddings"]:
        tensors["lm_head.weight"] = draw(vocabulary, hidden) * 4
    for layer in range(merged["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{prefix}{norm}.weight"] = (1 + 0.1 * source.standard_normal(hidden)).astype(np.float32)
        for module in LINEAR_MODULES:
            tensors[f"{prefix}{module}.weight"] = draw(*shape_of(merged, module))
    return merged, tensors


def write_model(directory: Path, config: Mapping[str, Any], tensors: Tensors) -> Path:
    """Write a model directory with a tokenizer whose tokens are single bytes."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(config))
    save_file(tensors, directory / "model.safetensors")
    specials = ["<pad>", "<s>", "</s>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*specials, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.add_special_tokens(specials)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(directory / "tokenizer.json"))
    return directory


def random_adapter(
    config: Mapping[str, Any],
    *,
    modules: Sequence[str] = LINEAR_MODULES,
    layers: Sequence[int] | None = None,
    rank: int = 4,
    ranks: Mapping[str, int] | None = None,
) -> Tensors:
    """Make the tensors of an adapter; `ranks` overrides the rank by a module's name without its layer."""
    source = np.random.default_rng(1)
    tensors: Tensors = {}
    for layer in range(config["num_hidden_layers"]) if layers is None else layers:
        for module in modules:
            out, into = shape_of(config, module)
            size = (ranks or {}).get(module, rank)
            prefix = f"base_model.model.model.layers.{layer}.{module}"
            tensors[f"{prefix}.lora_A.weight"] = source.standard_normal((size, into)).astype(np.float32) * 0.2
            tensors[f"{prefix}.lora_B.weight"] = source.standard_normal((out, size)).astype(np.float32) * 0.2
    return tensors


def write_adapter(directory: Path, tensors: Tensors, **config: Any) -> Path:
    """Write an adapter directory; keyword arguments go into adapter_config.json, None leaves a key out."""
    directory.mkdir(parents=True, exist_ok=True)
    content = {
        "peft_type": "LORA",
        "r": 4,
        "lora_alpha": 8,
        "target_modules": [module.rpartition(".")[2] for module in LINEAR_MODULES],
        "bias": "none",
    } | config
    content = {key: value for key, value in content.items() if value is not None}
    (directory / "adapter_config.json").write_text(json.dumps(content))
    save_file(tensors, directory / "adapter_model.safetensors")
    return directory


def merge(tensors: Tensors, adapter: Tensors, scale: float) -> Tensors:
    """Return base weights with W + scale·B·A."""
    merged = dict(tensors)
    for name, down in adapter.items():
        if ".lora_A." in name:
            weight = f"{name.removeprefix('base_model.model.').removesuffix('.lora_A.weight')}.weight"
            up = adapter[name.replace(".lora_A.", ".lora_B.")]
            change = scale * up.astype(np.float64) @ down.astype(np.float64)
            merged[weight] = (merged[weight] + change).astype(np.float32)
    return merged


def logits_of_all(model: LlamaModel, tokens: Sequence[int], weights: LoraWeights | None = None) -> np.ndarray:
    """Return the logits after every token."""
    cache = KeyValueCache(model.config, rows=1, length=len(tokens))
    hidden = model.forward(np.array([tokens]), np.arange(len(tokens))[None], cache, 0, [weights])
    return model.logits(hidden[0])


def reference_logits(
    config: Mapping[str, Any], tensors: Tensors, tokens: Sequence[int]
) -> NDArray[np.float64]:
    """Compute the logits after every token in float64, head by head, position by position, with no cache."""
    wide = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
    heads, groups, size = config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]
    state = wide["model.embed_tokens.weight"][list(tokens)]

    def normalize(rows: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
        root = np.sqrt(np.mean(rows**2, -1, keepdims=True) + float(config["rms_norm_eps"]))
        normalized: NDArray[np.float64] = rows / root * weight
        return normalized

    def turn(vector: NDArray[np.float64], position: int) -> NDArray[np.float64]:
        turned = vector.copy()
        for pair in range(size // 2):
            angle = position * config["rope_theta"] ** (-2 * pair / size)
            first, second = vector[pair], vector[pair + size // 2]
            turned[pair] = first * np.cos(angle) - second * np.sin(angle)
            turned[pair + size // 2] = second * np.cos(angle) + first * np.sin(angle)
        return turned

    for layer in range(config["num_hidden_layers"]):
        weight = {
            name.removeprefix(f"model.layers.{layer}.").removesuffix(".weight"): tensor
            for name, tensor in wide.items()
            if name.startswith(f"model.layers.{layer}.")
        }
        normed = normalize(state, weight["input_layernorm"])
        query, key, value = (normed @ weight[f"self_attn.{kind}_proj"].T for kind in "qkv")
        attended = np.zeros_like(query)
        for head in range(heads):
            mine = slice(head * size, (head + 1) * size)
            shared = head // (heads // groups)
            theirs = slice(shared * size, (shared + 1) * size)
            keys = np.array([turn(row, position) for position, row in enumerate(key[:, theirs])])
            for position in range(len(tokens)):
                scores = keys[: position + 1] @ turn(query[position, mine], position) / size**0.5
                shares = np.exp(scores - scores.max())
                attended[position, mine] = shares / shares.sum() @ value[: position + 1, theirs]
        state = state + attended @ weight["self_attn.o_proj"].T
        normed = normalize(state, weight["post_attention_layernorm"])
        gate, up = normed @ weight["mlp.gate_proj"].T, normed @ weight["mlp.up_proj"].T
        state = state + (gate / (1 + np.exp(-gate)) * up) @ weight["mlp.down_proj"].T
    unembedding = wide["model.embed_tokens.weight" if config["tie_word_embeddings"] else "lm_head.weight"]
    logits: NDArray[np.float64] = normalize(state, wide["model.norm.weight"]) @ unembedding.T
    return logits
