"""Adapters of the example's base model that all answer one prompt differently."""

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from local_sagemaker.model_server.llama import KeyValueCache, LlamaModel
from local_sagemaker.model_server.lora import Adapter
from local_sagemaker.model_server.text import TextCodec
from tests.integration.by_hand import TICKETS, V1, prompts

PROMPT = prompts()[0]["prompt"]
TOKENS = 6
# Random B matrices of this size make answers of their own. The rest of an adapter is the trained one's.
_SPREAD = 0.1
# In logits: far more than rounding in a batch changes.
_LEAST_MARGIN = 0.2
_CANDIDATES = 64


def distinct_adapters(count: int, root: Path) -> dict[str, tuple[Path, str]]:
    """Write adapters whose answers all differ; return directory and answer of each by name."""
    model, codec = LlamaModel.from_directory(TICKETS / "base"), TextCodec(TICKETS / "base")
    trained = load_file(V1 / "triage" / "adapter_model.safetensors")
    config = (V1 / "triage" / "adapter_config.json").read_text()
    source = np.random.default_rng(1)
    found: dict[str, Path] = {}
    while len(found) < count:
        directories = []
        for _ in range(_CANDIDATES):
            directory = root / f"many-{len(list(root.iterdir()))}"
            directory.mkdir()
            (directory / "adapter_config.json").write_text(config)
            tensors = {
                name: tensor if ".lora_A." in name else _SPREAD * source.standard_normal(tensor.shape)
                for name, tensor in trained.items()
            }
            save_file(
                {name: tensor.astype(np.float32) for name, tensor in tensors.items()},
                directory / "adapter_model.safetensors",
            )
            directories.append(directory)
        for directory, (text, margin) in zip(directories, _answers(model, codec, directories), strict=True):
            if margin >= _LEAST_MARGIN and len(found) < count:
                found.setdefault(text, directory)
    return {directory.name: (directory, text) for text, directory in found.items()}


def _answers(model: LlamaModel, codec: TextCodec, directories: list[Path]) -> list[tuple[str, float]]:
    """Each adapter's answer, and the least distance between its two best tokens."""
    projections = model.config.projections()
    loaded = [Adapter.from_directory(each, projections=projections, max_rank=8) for each in directories]
    weights = [adapter.to_weights() for adapter in loaded]
    prompt, rows = codec.encode(PROMPT), len(directories)
    cache = KeyValueCache(model.config, rows=rows, length=len(prompt) + TOKENS)
    tokens = np.array([prompt] * rows)
    positions = np.broadcast_to(np.arange(len(prompt)), tokens.shape)
    chosen, margins = [], np.full(rows, np.inf)
    for number in range(TOKENS):
        scores = model.logits(model.forward(tokens, positions, cache, 0, weights)[:, -1])
        two_best = np.sort(scores, -1)[:, -2:]
        margins = np.minimum(margins, two_best[:, 1] - two_best[:, 0])
        chosen.append(scores.argmax(-1))
        tokens, positions = chosen[-1][:, None], np.full((rows, 1), len(prompt) + number)
    (end,) = model.config.stop_tokens
    texts = [codec.decode([*row, end]).partition("</s>")[0] for row in np.array(chosen).T.tolist()]
    return list(zip(texts, margins.tolist(), strict=True))
