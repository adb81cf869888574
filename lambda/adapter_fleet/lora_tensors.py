"""The tensors of an adapter, and the rules on their names, types and shapes.

PEFT names them (`get_peft_model_state_dict` in save_and_load.py), and vLLM refuses what it does not know
(`parse_fine_tuned_lora_name` in vllm/lora/utils.py). It does not compare them with the base model.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from adapter_fleet.adapter_config import AdapterConfig
from adapter_fleet.base_model import BaseModelFacts
from adapter_fleet.findings import Finding
from adapter_fleet.safetensors_header import Tensor

_NAME = re.compile(
    r"base_model\.model\.(?P<module>.+)\.(?:lora_(?P<linear>[AB])\.weight|lora_embedding_(?P<embedding>[AB]))"
)
_DTYPES = ("BF16", "F16", "F32")


@dataclass
class _Pair:
    """The two matrices of a module; A has the shape (rank, inputs), B (outputs, rank)."""

    a: Tensor | None = None
    b: Tensor | None = None


def tensor_findings(
    tensors: Iterable[Tensor], where: str, *, config: AdapterConfig | None, base: BaseModelFacts | None
) -> Iterator[Finding]:
    """Check the tensors, also against the configuration and the base model if there are such."""
    targets = _targets(config)
    pairs: dict[str, _Pair] = {}
    for tensor in tensors:
        if tensor.dtype not in _DTYPES:
            yield Finding.error(
                "lora-tensors",
                where,
                f"tensor {tensor.name!r:.200} should be of {', '.join(_DTYPES)}, got {tensor.dtype}",
            )
        match = _NAME.fullmatch(tensor.name)
        if match is None:
            yield Finding.error(
                "lora-tensors", where, f"tensor {tensor.name!r:.200} {_why_no_matrix(tensor.name)}"
            )
            continue
        pair = pairs.setdefault(match["module"], _Pair())
        if (match["linear"] or match["embedding"]) == "A":
            pair.a = tensor
        else:
            pair.b = tensor
    if not pairs:
        yield Finding.error("lora-tensors", where, "it has no LoRA matrices")
    for module, pair in sorted(pairs.items()):
        for rule, problem in _pair_problems(pair, module, config, base):
            yield Finding.error(rule, where, f"module {module!r:.200} {problem}")
        if targets is not None and not _is_among(module, targets):
            yield Finding.error(
                "target-modules",
                where,
                f"module {module!r:.200} is not among the configuration's 'target_modules'",
            )


def _why_no_matrix(name: str) -> str:
    if "lora_magnitude_vector" in name:
        return "is of DoRA, which vLLM does not serve"
    if name.endswith(".bias"):
        return "is a bias, and vLLM serves no adapters with biases"
    if name.endswith(".base_layer.weight"):
        return "is a whole embedding of the base model; save the adapter with save_embedding_layers=False"
    if "lora_" not in name:
        return "is a layer of the base model; save the adapter without it"
    return "should be named base_model.model.<module>.lora_A.weight or lora_B.weight"


def _pair_problems(
    pair: _Pair, module: str, config: AdapterConfig | None, base: BaseModelFacts | None
) -> Iterator[tuple[str, str]]:
    """Yield the rule and the problem."""
    if pair.a is None or pair.b is None:
        have, lack = ("A", "B") if pair.b is None else ("B", "A")
        yield "lora-tensors", f"has lora_{have} but no lora_{lack}"
        return
    match pair.a.shape, pair.b.shape:
        case (rank, inputs), (outputs, same) if rank == same and rank > 0:
            pass
        case a, b:
            yield (
                "lora-tensors",
                "should have lora_A of (rank, inputs) and lora_B of (outputs, rank),"
                f" got {a!r:.100} and {b!r:.100}",
            )
            return
    if config is not None and rank not in config.ranks:
        wanted = " or ".join(map(str, sorted(config.ranks)))
        yield "lora-tensors", f"should have the configuration's rank {wanted:.100}, got {rank}"
    if base is None or base.dimensions is None:
        return
    shape = base.dimensions.shape_of(module)
    if shape is None:
        yield "base-model-dimensions", f"is not in the base model {base.name!r}"
    elif (inputs, outputs) != (shape.inputs, shape.outputs):
        yield (
            "base-model-dimensions",
            f"should have {shape.inputs} inputs and {shape.outputs} outputs as in the base model"
            f" {base.name!r}, got {inputs} and {outputs}",
        )


def _targets(config: AdapterConfig | None) -> frozenset[str] | None:
    """Return the names that the tensors' modules have to end with, or None for any.

    A regular expression is not tried. It comes from whoever made the adapter, and may be made to never end.
    """
    if config is None or config.has_target_parameters or isinstance(config.target_modules, str):
        return None
    return frozenset(config.target_modules)


def _is_among(module: str, targets: frozenset[str]) -> bool:
    """Whether PEFT adapts the module (`check_target_module_exists`): a target is its name or its end."""
    parts = module.split(".")
    return any(".".join(parts[start:]) in targets for start in range(len(parts)))
