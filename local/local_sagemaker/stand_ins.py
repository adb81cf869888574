"""Stand-ins: a tiny base model and adapters that answer every prompt with a fixed text.

A test that deploys an app asks which adapter answers, not what a large model would say. A stand-in has
the files of a real model or adapter: `config.json`, `tokenizer.json`, PEFT's `adapter_config.json`,
safetensors. It is written in milliseconds, without training. An answer has at most 60 characters of
printable ASCII.

    python -m local_sagemaker.stand_ins FOLDER [NAME=ANSWER ...]

writes FOLDER/base and FOLDER/adapters/NAME.

How they work: attention is zero, so the next token depends on the current one alone. A token is a position in
the answer and a character. Its embedding says the next position. `up_proj` turns the position into a
number, and the head chooses the character whose code is nearest to that number. A LoRA adapter of `up_proj`
changes the numbers.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

BASE_ANSWER = "I am the base model."

_CHARACTERS = [chr(code) for code in range(32, 127)]
_CODES = {character: code - len(_CHARACTERS) // 2 for code, character in enumerate(_CHARACTERS)}
_END_CODE = 48.0
"""The number that stands for the end of an answer: one more than the code of the last character."""
_SPECIAL = ("<unk>", "<s>", "</s>", "<pad>")
_END = _SPECIAL.index("</s>")

_POSITIONS = 62
_LONGEST = _POSITIONS - 2
"""The longest answer: its end takes a position, and so does what follows the end."""
_NUMBER, _ONE = _POSITIONS, _POSITIONS + 1
"""Dimensions of the state: the number, and a constant that norms and gates are made of."""
_HIDDEN = _POSITIONS + 2
_INTERMEDIATE = 16
_HEADS = 8
"""As many as the accelerators of the largest instances, as a base model is split by its heads."""
_HEAD = 8
_EPSILON = 1e-6
_CONSTANT = 4.0
_GATE = 16.0
"""Where the gate's activation is its input."""
_POSITION_SCORE = 1000.0
"""More than any character has for the wrong number."""
_SHARPNESS = 1000.0
"""The factor of all logits, with which a request with a temperature gets the same answer."""
_RANK = 8

_MODULE = "model.layers.0.mlp.up_proj"
_MARK = "\x1f"
"""Surrounds the position in a token's text, so that no word of a prompt is such a token."""

Array = NDArray[np.float32]


def write_base_model(folder: str | Path, answer: str = BASE_ANSWER) -> Path:
    """Write a model of 3 MB that gives this answer to every prompt; return its folder.

    Raises ValueError unless the answer is printable ASCII of at most 60 characters.
    """
    folder = Path(folder)
    tensors = _base_tensors(_numbers(answer))
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    _tokenizer().save(str(folder / "tokenizer.json"))
    _write(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "unk_token": "<unk>",
            "bos_token": "<s>",
            "eos_token": "</s>",
            "pad_token": "<pad>",
            "chat_template": "{% for message in messages %}{{ message['content'] }} {% endfor %}",
        },
    )
    _write(
        folder / "config.json",
        {
            "_name_or_path": "stand-in",
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": len(tensors["model.embed_tokens.weight"]),
            "hidden_size": _HIDDEN,
            "intermediate_size": _INTERMEDIATE,
            "num_hidden_layers": 1,
            "num_attention_heads": _HEADS,
            "num_key_value_heads": _HEADS,
            "head_dim": _HEAD,
            "hidden_act": "silu",
            "max_position_embeddings": 4096,
            "rms_norm_eps": _EPSILON,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
            "bos_token_id": _SPECIAL.index("<s>"),
            "eos_token_id": _END,
            "pad_token_id": _SPECIAL.index("<pad>"),
            "dtype": "float32",
            "torch_dtype": "float32",
        },
    )
    _write(folder / "generation_config.json", {"do_sample": False, "eos_token_id": _END})
    return folder


def write_adapter(folder: str | Path, answer: str, *, base: str | Path) -> Path:
    """Write an adapter of such a base model that gives this answer; return its folder.

    base:
        The folder that `write_base_model` wrote.

    Raises ValueError unless the answer is printable ASCII of at most 60 characters, and for another
    base model.
    """
    folder = Path(folder)
    numbers = _numbers(answer)
    weights = load_file(Path(base) / "model.safetensors")
    if f"{_MODULE}.weight" not in weights or weights[f"{_MODULE}.weight"].shape != (_INTERMEDIATE, _HIDDEN):
        raise ValueError(f"'base' should be a folder that write_base_model wrote, got '{base}'")
    down, up = np.zeros((_RANK, _HIDDEN), np.float32), np.zeros((_INTERMEDIATE, _RANK), np.float32)
    down[0, :_POSITIONS] = numbers - weights[f"{_MODULE}.weight"][0, :_POSITIONS]
    up[0, 0] = 1
    folder.mkdir(parents=True, exist_ok=True)
    prefix = f"base_model.model.{_MODULE}"
    save_file(
        {f"{prefix}.lora_A.weight": down, f"{prefix}.lora_B.weight": up},
        folder / "adapter_model.safetensors",
        metadata={"format": "pt"},
    )
    _write(
        folder / "adapter_config.json",
        {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": "stand-in",
            "r": _RANK,
            "lora_alpha": _RANK,
            "lora_dropout": 0.0,
            "target_modules": ["up_proj"],
            "bias": "none",
            "use_dora": False,
            "use_rslora": False,
            "modules_to_save": None,
            "inference_mode": True,
        },
    )
    return folder


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a base model and adapters, as the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m local_sagemaker.stand_ins",
        description="Write a tiny base model and adapters that answer every prompt with a fixed text.",
    )
    parser.add_argument("folder", type=Path, help="gets base/ and adapters/NAME/")
    parser.add_argument("adapters", nargs="*", metavar="NAME=ANSWER", help="an adapter and its answer")
    parser.add_argument("--base", default=BASE_ANSWER, metavar="ANSWER", help="what the base model answers")
    given = parser.parse_args(arguments)
    try:
        base = write_base_model(given.folder / "base", given.base)
        print(base)  # noqa: T201
        for adapter in given.adapters:
            name, equals, answer = adapter.partition("=")
            if not (name and equals):
                raise ValueError(f"an adapter should be NAME=ANSWER, got '{adapter}'")
            print(write_adapter(given.folder / "adapters" / name, answer, base=base))  # noqa: T201
    except ValueError as error:
        parser.error(str(error))


def _numbers(answer: str) -> Array:
    """Return the number of each position: the code of a character, and of the end ever after."""
    if not answer or len(answer) > _LONGEST:
        raise ValueError(f"'answer' should have 1 to {_LONGEST} characters, got {len(answer)}")
    if unknown := sorted(set(answer) - _CODES.keys()):
        raise ValueError(f"'answer' should be printable ASCII, got {unknown[0]!r}")
    codes = [_CODES[character] for character in answer]
    return np.array([*codes, *[_END_CODE] * (_POSITIONS - len(codes))], np.float32)


def _base_tensors(numbers: Array) -> dict[str, Array]:
    characters = len(_CHARACTERS)
    vocabulary = len(_SPECIAL) + _POSITIONS * characters
    codes = np.array(list(_CODES.values()), np.float32)

    # Every special token, so the end of a prompt as well, is followed by the first position.
    embeddings = np.zeros((vocabulary, _HIDDEN), np.float32)
    embeddings[:, _ONE] = _CONSTANT
    embeddings[: len(_SPECIAL), 0] = 1
    for position in range(_POSITIONS):
        first = len(_SPECIAL) + position * characters
        embeddings[first : first + characters, min(position + 1, _POSITIONS - 1)] = 1

    # A code scores `code * number - code² / 2`, which is highest for the code nearest to the number.
    head = np.zeros_like(embeddings)
    for position in range(_POSITIONS):
        rows = slice(len(_SPECIAL) + position * characters, len(_SPECIAL) + (position + 1) * characters)
        head[rows, position] = _POSITION_SCORE
        head[rows, _NUMBER] = codes
        head[rows, _ONE] = -(codes**2) / 2 / _CONSTANT
    head[_END, :_POSITIONS] = _POSITION_SCORE
    head[_END, _NUMBER] = _END_CODE
    head[_END, _ONE] = -(_END_CODE**2) / 2 / _CONSTANT

    head *= _SHARPNESS

    # The norm divides every state by the same: each is a position and the constant.
    norm = np.sqrt((1 + _CONSTANT**2) / _HIDDEN + _EPSILON)
    gate, up = np.zeros((2, _INTERMEDIATE, _HIDDEN), np.float32)
    gate[0, _ONE] = _GATE * norm / _CONSTANT
    up[0, :_POSITIONS] = numbers
    down = np.zeros((_HIDDEN, _INTERMEDIATE), np.float32)
    down[_NUMBER, 0] = norm / _GATE

    layer = "model.layers.0"
    ones, attention = np.ones(_HIDDEN, np.float32), np.zeros((_HEADS * _HEAD, _HIDDEN), np.float32)
    return {
        "model.embed_tokens.weight": embeddings,
        f"{layer}.input_layernorm.weight": ones,
        f"{layer}.self_attn.q_proj.weight": attention,
        f"{layer}.self_attn.k_proj.weight": attention.copy(),
        f"{layer}.self_attn.v_proj.weight": attention.copy(),
        f"{layer}.self_attn.o_proj.weight": np.zeros((_HIDDEN, _HEADS * _HEAD), np.float32),
        f"{layer}.post_attention_layernorm.weight": ones.copy(),
        f"{layer}.mlp.gate_proj.weight": gate,
        f"{layer}.mlp.up_proj.weight": up,
        f"{layer}.mlp.down_proj.weight": down,
        "model.norm.weight": ones.copy(),
        "lm_head.weight": head,
    }


def _tokenizer() -> Tokenizer:
    """Return a tokenizer for which every word of a prompt is unknown."""
    texts = [*_SPECIAL]
    texts += [f"{_MARK}{place}{_MARK}{each}" for place in range(_POSITIONS) for each in _CHARACTERS]
    tokenizer = Tokenizer(
        models.WordLevel({text: index for index, text in enumerate(texts)}, unk_token="<unk>")
    )
    tokenizer.add_special_tokens(list(_SPECIAL))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    mark = Regex(f"{_MARK}[0-9]+{_MARK}")
    tokenizer.decoder = decoders.Sequence([decoders.Replace(mark, ""), decoders.Fuse()])
    return tokenizer


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
