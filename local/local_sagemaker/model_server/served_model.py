"""The parts of the base model that requests refer to."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_sagemaker.container_protocol import SERVED_NAME
from local_sagemaker.model_server.sampling import Sampling
from local_sagemaker.model_server.text import TextCodec


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """The name, the context length and the tokenizer of the base model, and its sampling defaults."""

    name: str
    context: int
    codec: TextCodec
    default_sampling: Sampling

    @property
    def names(self) -> tuple[str, str]:
        """The names of the base model in a body's `model`: LMI's, and the one in its config.json."""
        return SERVED_NAME, self.name


def default_sampling(directory: Path) -> Sampling:
    """Read the model's own defaults from `generation_config.json`, as vLLM does."""
    path = directory / "generation_config.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    given = {key: content[key] for key in ("temperature", "top_p", "top_k") if content.get(key) is not None}
    return Sampling(**given)
