"""Adapters made up for one test each, in the form in which PEFT saves them."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

HIDDEN = 32


@dataclass
class SyntheticAdapter:
    """A LoRA adapter for `layers` layers of attention; change it, then `save` it.

    folder:
        Where it is saved, if nothing else is said.
    """

    rank: int = 8
    layers: int = 2
    targets: tuple[str, ...] = ("q_proj", "v_proj")
    seed: int = 0
    folder: Path = Path()
    config: dict[str, Any] = field(init=False)
    tensors: dict[str, np.ndarray[Any, np.dtype[Any]]] = field(init=False)

    def __post_init__(self) -> None:
        self.config = {
            "peft_type": "LORA",
            "base_model_name_or_path": "acme/tiny-base",
            "bias": "none",
            "modules_to_save": None,
            "use_dora": False,
            "use_rslora": False,
            "rank_pattern": {},
            "alpha_pattern": {},
            "r": self.rank,
            "lora_alpha": 16,
            "target_modules": list(self.targets),
        }
        random = np.random.default_rng(self.seed)
        self.tensors = {}
        for layer in range(self.layers):
            for target in self.targets:
                self.add(f"model.layers.{layer}.self_attn.{target}", random=random)

    def add(self, module: str, *, rank: int | None = None, random: np.random.Generator | None = None) -> None:
        """Add the two matrices of a module, square as all of this small base."""
        random = random or np.random.default_rng(self.seed)
        rank = rank or self.rank
        name = f"base_model.model.{module}"
        self.tensors[f"{name}.lora_A.weight"] = random.standard_normal((rank, HIDDEN), dtype=np.float32)
        self.tensors[f"{name}.lora_B.weight"] = random.standard_normal((HIDDEN, rank), dtype=np.float32)

    def save(self, directory: Path | None = None) -> Path:
        directory = directory or self.folder
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "adapter_config.json").write_text(json.dumps(self.config))
        save_file(self.tensors, directory / "adapter_model.safetensors", metadata={"format": "pt"})
        return directory
