"""PEFT LoRA adapters: their configuration, and their weights on a base model."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np

from local_sagemaker.model_server.errors import AdapterLoadError, NoAdapterFilesError
from local_sagemaker.model_server.llama_config import Projection
from local_sagemaker.model_server.tensors import Array, StoredTensor, read_tensors

# By projection: (A transposed, B transposed times the scale) of its modules, ready to apply to rows. The As
# stand side by side, and the Bs along the diagonal.
LoraWeights: TypeAlias = Mapping[str, tuple[Array, Array]]

TENSOR_NAME = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<side>[AB])\.weight")


@dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """The parts of `adapter_config.json` that change what an adapter computes."""

    rank: int
    alpha: float
    rank_stabilized: bool
    target_modules: str | tuple[str, ...]
    rank_pattern: Mapping[str, int]

    @classmethod
    def from_directory(cls, directory: Path) -> Self:
        """Read and check the configuration; ValueError if it cannot be served."""
        path = directory / "adapter_config.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            reason = f"cannot read adapter_config.json: {error.strerror}"
            raise NoAdapterFilesError(directory, reason) from error
        except OSError as error:
            raise ValueError(f"cannot read adapter_config.json: {error.strerror}") from error
        except ValueError as error:
            raise ValueError(f"adapter_config.json is no JSON: {error}") from error
        if not isinstance(content, dict):
            raise ValueError("adapter_config.json should hold an object")
        for key in ("r", "lora_alpha", "target_modules"):
            if content.get(key) is None:
                raise ValueError(f"adapter_config.json has no '{key}'")
        for key, served in SERVED_VALUES.items():
            if content.get(key) not in served:
                raise ValueError(
                    f"'{key}' should be {json.dumps(served[0])}, got {json.dumps(content.get(key))}"
                )
        return cls(
            rank=positive_integer("r", content["r"]),
            alpha=number("lora_alpha", content["lora_alpha"]),
            rank_stabilized=bool(content.get("use_rslora")),
            target_modules=module_names(content["target_modules"]),
            rank_pattern=rank_pattern(content.get("rank_pattern")),
        )

    @property
    def largest_rank(self) -> int:
        """The highest rank any module may have."""
        return max(self.rank, *self.rank_pattern.values(), 0)

    def targets(self, module: str) -> bool:
        """Whether PEFT would put LoRA on a module; a string is a regular expression, or `all-linear`."""
        if isinstance(self.target_modules, str):
            return self.target_modules == "all-linear" or bool(re.fullmatch(self.target_modules, module))
        return any(module == name or module.endswith(f".{name}") for name in self.target_modules)

    def rank_of(self, module: str) -> int:
        """The rank of one module."""
        for pattern, rank in self.rank_pattern.items():  # the first that matches the name's end, as in PEFT
            if re.match(rf"(.*\.)?({pattern})$", module):
                return rank
        return self.rank

    @property
    def scale(self) -> float:
        """The factor of B·A: alpha / r, or alpha / √r for a rank-stabilized adapter.

        The same for all modules, whatever the patterns say, as in vLLM's `PEFTHelper`.
        """
        return self.alpha / self.rank**0.5 if self.rank_stabilized else self.alpha / self.rank


# Values of a plain LoRA adapter. vLLM's `PEFTHelper` requires those of 'bias', 'use_dora' and
# 'modules_to_save' and ignores the others. `adapters check` reports the others as errors, and this server
# refuses them: a failed load names the setting, while wrong text would not.
SERVED_VALUES: dict[str, tuple[Any, ...]] = {
    "peft_type": ("LORA",),
    "bias": ("none", None),
    "use_dora": (False, None),
    "lora_bias": (False, None),
    "modules_to_save": (None, []),
    "layer_replication": (None, []),
    "trainable_token_indices": (None, []),
    "alora_invocation_tokens": (None, []),
    "arrow_config": (None, {}),
    "kasa_config": (None, {}),
    "use_bdlora": (None, {}),
    "use_qalora": (False, None),
}


def positive_integer(key: str, value: object) -> int:
    """Return a rank, or raise ValueError."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"'{key}' should be a positive integer, got {json.dumps(value)}")
    return value


def number(key: str, value: object) -> float:
    """Return an alpha, or raise ValueError."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"'{key}' should be a number, got {json.dumps(value)}")
    return value


def expression(key: str, text: str) -> str:
    """Return a regular expression, or raise ValueError."""
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(
            f"'{key}' should be a regular expression, got {json.dumps(text)}: {error}"
        ) from error
    return text


def module_names(value: object) -> str | tuple[str, ...]:
    """Return `target_modules`, or raise ValueError."""
    if isinstance(value, str):
        return expression("target_modules", value)
    if isinstance(value, list) and value and all(isinstance(name, str) for name in value):
        return tuple(value)
    raise ValueError(f"'target_modules' should be a list of names or one string, got {json.dumps(value)}")


def rank_pattern(value: object) -> dict[str, int]:
    """Return `rank_pattern`, or raise ValueError."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"'rank_pattern' should be an object, got {json.dumps(value)}")
    return {
        expression("rank_pattern", name): positive_integer(f"rank_pattern.{name}", rank)
        for name, rank in value.items()
    }


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """An adapter in CPU memory: checked against the base, its tensors as stored."""

    config: LoraConfig
    pairs: Mapping[str, tuple[StoredTensor, StoredTensor]]
    projections: Sequence[Projection]

    @classmethod
    def from_directory(cls, directory: Path, *, projections: Sequence[Projection], max_rank: int) -> Self:
        """Load an extracted archive for a base model with these projections.

        AdapterLoadError if the archive does not fit.
        """
        modules = {name: size for projection in projections for name, size in projection.modules.items()}
        try:
            config = LoraConfig.from_directory(directory)
            if config.largest_rank > max_rank:
                raise ValueError(
                    f"the adapter's rank {config.largest_rank} is above OPTION_MAX_LORA_RANK={max_rank}"
                )
            pairs = pair_tensors(read_tensors(directory / "adapter_model.safetensors"))
            for module, pair in pairs.items():
                check_pair(config, modules, module, pair)
        except ValueError as error:
            raise AdapterLoadError(str(error)) from error
        return cls(config=config, pairs=pairs, projections=projections)

    def to_weights(self) -> LoraWeights:
        """Widen, transpose, scale and join the tensors for the forward pass: the adapter in GPU memory."""
        return {
            projection.name: self._joined(projection)
            for projection in self.projections
            if any(module in self.pairs for module in projection.modules)
        }

    def _joined(self, projection: Projection) -> tuple[Array, Array]:
        downs, ups = [], []
        outputs = sum(output for _, output in projection.modules.values())
        first = 0
        for module, (_, output) in projection.modules.items():
            if module in self.pairs:
                down, up = self.pairs[module]
                downs.append(down.to_float32().T)
                row = np.zeros((down.shape[0], outputs), np.float32)
                row[:, first : first + output] = up.to_float32().T * np.float32(self.config.scale)
                ups.append(row)
            first += output
        return np.concatenate(downs, 1), np.concatenate(ups)


def pair_tensors(tensors: Mapping[str, StoredTensor]) -> dict[str, tuple[StoredTensor, StoredTensor]]:
    """Pair each module's A with its B; ValueError for any other tensor and for a single one."""
    sides: dict[str, dict[str, StoredTensor]] = {}
    for name, tensor in sorted(tensors.items()):
        match = TENSOR_NAME.fullmatch(name)
        if not match:
            raise ValueError(f"unexpected tensor '{name}'")
        sides.setdefault(match["module"], {})[match["side"]] = tensor
    if not sides:
        raise ValueError("adapter_model.safetensors holds no LoRA tensors")
    for module, found in sides.items():
        if len(found) < 2:
            raise ValueError(f"'{module}' has lora_{next(iter(found))} only")
    return {module: (found["A"], found["B"]) for module, found in sides.items()}


def check_pair(
    config: LoraConfig,
    modules: Mapping[str, tuple[int, int]],
    module: str,
    pair: tuple[StoredTensor, StoredTensor],
) -> None:
    """Check one module's tensors against the configuration and the base model."""
    if module not in modules:
        raise ValueError(f"the base model has no module '{module}' that can carry LoRA")
    if not config.targets(module):
        raise ValueError(f"'{module}' has tensors but is not among the target_modules")
    inputs, outputs = modules[module]
    rank = config.rank_of(module)
    for side, tensor, shape in (("A", pair[0], (rank, inputs)), ("B", pair[1], (outputs, rank))):
        if tensor.shape != shape:
            raise ValueError(f"'{module}' lora_{side} should have shape {shape}, got {tensor.shape}")
        if tensor.dtype not in ("F32", "F16", "BF16"):
            raise ValueError(f"'{module}' lora_{side} should be F32, F16 or BF16, got {tensor.dtype}")
