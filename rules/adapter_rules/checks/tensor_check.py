"""The rules on the names, types and shapes of an adapter's tensors.

PEFT names the tensors (`get_peft_model_state_dict` in save_and_load.py). vLLM refuses unknown names
(`parse_fine_tuned_lora_name` in vllm/lora/utils.py), and does not compare tensors with the base model.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from adapter_fleet.common.counts import counted, noun_of
from adapter_fleet.common.findings import Finding
from adapter_fleet.serving.base_model import VOCABULARY_MODULES, BaseModelFacts, Dimensions
from adapter_rules.checks.config_check import AdapterConfig
from adapter_rules.checks.requirements_and_remedies import CheckRule
from adapter_rules.checks.safetensors_header import Tensor
from adapter_rules.engines.container_releases import NEWEST_LMI, ContainerRelease

# Linear modules and embeddings have names of different forms. vLLM accepts both forms for any module, and of
# two it keeps the last. The embeddings are the `embedding_modules` in vllm/model_executor/models.
_NAME = re.compile(
    r"base_model\.model\.(?P<module>.+)\."
    r"(?:lora_(?P<linear>[AB])\.weight(?<!\.embed_tokens\.lora_[AB]\.weight)(?<!\.wte\.lora_[AB]\.weight)"
    r"|(?:(?<=\.embed_tokens\.)|(?<=\.wte\.))lora_embedding_(?P<embedding>[AB]))"
)
_MAX_NAME_LENGTH = 256
_MAX_NAME_PARTS = 32
"""Three times what mixtures of experts need. The cost of a name grows with the square of its parts."""
_DTYPES = ("BF16", "F16", "F32")
# The modules that vLLM looks for below a mixture's layer (`_stack_moe_lora_weights` in
# vllm/lora/model_manager.py): the first is down, the second gate and up. PEFT stacks the experts of
# `target_parameters` (ParamWrapper in tuners/lora/layer.py): A has the shape (rank * experts, inputs), B has
# (outputs, rank * experts).
_STACKED_EXPERTS = (".experts", ".experts.base_layer")
# Whole embeddings, which PEFT saves beside an adapter that changes them (save_embedding_layers="auto").
_EMBEDDINGS = (".embed_tokens.base_layer.weight", ".lm_head.base_layer.weight")

_WRAPPERS = {
    "_orig_mod.": "which torch.compile puts there: save the unwrapped model"
    " (model._orig_mod.save_pretrained)",
    "_fsdp_wrapped_module.": "which FSDP puts there: save the unwrapped model"
    " (accelerator.unwrap_model(model).save_pretrained, with state_dict=accelerator.get_state_dict(model))",
}
_LAYER = re.compile(r"\.layers\.(\d+)\.")


@dataclass(slots=True)
class _Pair:
    """The two matrices of a module; A has the shape (rank, inputs), B (outputs, rank)."""

    a: Tensor | None = None
    b: Tensor | None = None


def _is_whole_model(tensors: Collection[Tensor]) -> bool:
    of_layers = sum(".layers." in tensor.name for tensor in tensors)
    return of_layers > 1 and not any(
        "lora_" in tensor.name or tensor.name.startswith("base_model.model.") for tensor in tensors
    )


def tensor_findings(
    tensors: Iterable[Tensor],
    where: str,
    *,
    config: AdapterConfig | None,
    base: BaseModelFacts | None,
    version: ContainerRelease = NEWEST_LMI,
) -> Iterator[Finding]:
    """Check the tensors, and compare them with the configuration and the base model if these are given."""
    tensors = list(tensors)
    empty = sum(tensor.shape == (0,) for tensor in tensors)
    wrapper = next((one for one in _WRAPPERS for tensor in tensors if one in tensor.name), None)
    if _is_whole_model(tensors):
        yield CheckRule.FILE_CONTENT.finding(
            where,
            "it has the weights of a whole model, and no LoRA matrix: publish the adapter as it was before it"
            " was merged",
        )
    elif empty:
        yield CheckRule.FILE_CONTENT.finding(
            where,
            f"it has {counted(empty, 'tensor')} without elements, as DeepSpeed ZeRO-3 leaves them: gather the"
            " weights (stage3_gather_16bit_weights_on_model_save, or zero_to_fp32.py), and save it again",
        )
    elif wrapper is not None:
        yield CheckRule.TENSOR_NAME.finding(where, f"the names have '{wrapper}', {_WRAPPERS[wrapper]}")
    else:
        yield from _findings_of_adapter(tensors, where, config=config, base=base, version=version)


def _findings_of_adapter(
    tensors: Iterable[Tensor],
    where: str,
    *,
    config: AdapterConfig | None,
    base: BaseModelFacts | None,
    version: ContainerRelease,
) -> Iterator[Finding]:
    pairs: dict[str, _Pair] = {}
    refused = False
    for tensor in tensors:
        if tensor.dtype not in _DTYPES:
            yield CheckRule.TENSOR_DTYPE.finding(
                where, f"tensor {tensor.name!r:.200} should be of {', '.join(_DTYPES)}, got {tensor.dtype}"
            )
        match = None if _is_long(tensor.name) else _NAME.fullmatch(tensor.name)
        if match is None:
            if (refusal := _problem_of_name(tensor.name, version)) is not None:
                rule, problem = refusal
                refused = True
                yield rule.finding(where, f"tensor {tensor.name!r:.200} {problem}")
            continue
        pair = pairs.setdefault(match["module"], _Pair())
        if (match["linear"] or match["embedding"]) == "A":
            pair.a = tensor
        else:
            pair.b = tensor
    if not (pairs or refused):
        yield CheckRule.TENSOR_NONE.finding(where, "it has no LoRA matrices")
    rank_problem = _rank_problem(config, version)
    is_target = _is_target(config)
    fits = True
    for module, pair in sorted(pairs.items()):
        for rule, problem in _pair_problems(pair, module, rank_problem, base, version):
            fits = False
            yield rule.finding(where, f"module {module!r:.200} {problem}")
        if not is_target(module):
            yield CheckRule.TENSOR_CONFIG.finding(
                where, f"module {module!r:.200} is not among the configuration's 'target_modules'"
            )
    yield from _layer_findings(pairs if fits else (), where, config, base)


def _layer_findings(
    modules: Iterable[str], where: str, config: AdapterConfig | None, base: BaseModelFacts | None
) -> Iterator[Finding]:
    """Find layers of the base model that have no tensor, as if a part of the weights was lost."""
    if config is None or config.leaves_out_layers or base is None or base.dimensions is None:
        return
    known = (module for module in modules if base.dimensions.shape_of(module) is not None)
    present = {int(layer[1]) for module in known if (layer := _LAYER.search(module)) is not None}
    count = base.dimensions.layers
    lacking = count - len(present)
    if not present or lacking == 0:
        return
    first = next(layer for layer in range(count) if layer not in present)
    last = next(layer for layer in reversed(range(count)) if layer not in present)
    which = f"layer {first}" if lacking == 1 else f"layers {first} to {last}"
    if last - first + 1 > lacking:
        which = f"{lacking} layers, such as layer {first}"
    yield CheckRule.BASE_LAYERS.finding(
        where, f"no tensors of {which}, which 'layers_to_transform' does not leave out: is a shard missing?"
    )


def not_compared(tensors: Iterable[Tensor], where: str, base: BaseModelFacts | None) -> Iterator[Finding]:
    """Find modules that could not be compared with the base model, if one is given."""
    if base is None:
        return
    whose = f"the base model {base.name!r:.200}"
    if base.dimensions is None:
        why = "only its name is known" if base.kind is None else f"a {base.kind!r:.100} is not known"
        yield CheckRule.BASE_COMPARED.finding(where, f"no module was compared with {whose}: {why}")
        return
    if base.dimensions.whole:
        return
    matches = [_NAME.fullmatch(tensor.name) for tensor in tensors if not _is_long(tensor.name)]
    modules = sorted({match["module"] for match in matches if match is not None})
    others = [module for module in modules if not base.dimensions.knows(module)]
    if not others:
        return
    compared = len(modules) - len(others)
    of = f"{compared} of {len(modules)} {noun_of(len(modules), 'module')}" if compared else "no module"
    were = "was" if compared <= 1 else "were"
    yield CheckRule.BASE_COMPARED.finding(
        where, f"{of} {were} compared with {whose}: not known are such as {others[0]!r:.200}"
    )


def _is_long(name: str) -> bool:
    return len(name) > _MAX_NAME_LENGTH or name.count(".") >= _MAX_NAME_PARTS


def _problem_of_name(name: str, version: ContainerRelease) -> tuple[CheckRule, str] | None:
    """Return why a tensor is no LoRA matrix: rule and problem. None if the engine serves or skips it."""
    if _is_long(name):
        return (
            CheckRule.TENSOR_NAME,
            f"should have a name of at most {_MAX_NAME_LENGTH} characters and {_MAX_NAME_PARTS} parts",
        )
    if "lora_magnitude_vector" in name:
        return CheckRule.LORA_METHOD, "is of DoRA, which vLLM does not serve"
    if name.endswith(".bias"):
        if version.engine.may_serve_biases:
            return None
        return CheckRule.LORA_BIAS, "is a bias, and vLLM serves no adapters with biases"
    if name.endswith(_EMBEDDINGS):
        if version.engine.skips_embeddings:
            return None
        return (
            CheckRule.TENSOR_OF_BASE,
            f"is a whole embedding of the base model, which the engine of {version.title} refuses; save"
            " the adapter with save_embedding_layers=False",
        )
    if "lora_" not in name:
        return CheckRule.TENSOR_OF_BASE, "is a layer of the base model; save the adapter without it"
    return (
        CheckRule.TENSOR_NAME,
        "should be named base_model.model.<module>.lora_A.weight or lora_B.weight, and of an embedding"
        " (embed_tokens, wte) lora_embedding_A or lora_embedding_B",
    )


def _pair_problems(
    pair: _Pair,
    module: str,
    rank_problem: Callable[[str, int], str | None],
    base: BaseModelFacts | None,
    version: ContainerRelease,
) -> Iterator[tuple[CheckRule, str]]:
    """Find the problems of a module's matrices: rule and problem."""
    if pair.a is None or pair.b is None:
        have, lack = ("A", "B") if pair.b is None else ("B", "A")
        yield CheckRule.TENSOR_SHAPE, f"has lora_{have} but no lora_{lack}"
        return
    match pair.a.shape, pair.b.shape:
        case (rank, inputs), (outputs, same) if rank == same and rank > 0:
            pass
        case a, b:
            yield (
                CheckRule.TENSOR_SHAPE,
                "should have lora_A of (rank, inputs) and lora_B of (outputs, rank),"
                f" got {a!r:.100} and {b!r:.100}",
            )
            return
    if (problem := rank_problem(module, rank)) is not None:
        yield CheckRule.TENSOR_CONFIG, problem
    if base is not None and base.dimensions is not None and base.dimensions.knows(module):
        yield from _base_problems(module, inputs, outputs, base, base.dimensions, version)


def _base_problems(
    module: str,
    inputs: int,
    outputs: int,
    base: BaseModelFacts,
    dimensions: Dimensions,
    version: ContainerRelease,
) -> Iterator[tuple[CheckRule, str]]:
    """Compare a module with the base model."""
    shape, kind = dimensions.shape_of(module), dimensions.kind
    if shape is None:
        yield CheckRule.BASE_MODULE, f"is not in the base model {base.name!r:.200}"
    elif module in VOCABULARY_MODULES and not version.engine.adapts_vocabulary(kind):
        yield (
            CheckRule.BASE_MODULE,
            f"is in the base model {base.name!r:.200}, but the engine of {version.title} has no LoRA for"
            f" the embedding and the head of a {kind!r}",
        )
    elif (inputs, outputs) != (shape.inputs, shape.outputs):
        yield (
            CheckRule.BASE_MODULE,
            f"should have {shape.inputs} inputs and {shape.outputs} outputs as in the base model"
            f" {base.name!r:.200}, got {inputs} and {outputs}",
        )


def _rank_problem(
    config: AdapterConfig | None, version: ContainerRelease
) -> Callable[[str, int], str | None]:
    """Return a function that checks a module's rank against the configuration's ranks."""
    if config is None:
        return lambda _module, _rank: None
    ranks = config.ranks
    wanted = " or ".join(map(str, sorted(ranks)))
    has_experts = config.has_target_parameters and version.engine.adapts_stacked_experts

    def problem(module: str, rank: int) -> str | None:
        if rank in ranks:
            return None
        if has_experts and module.endswith(_STACKED_EXPERTS):
            if any(rank % of_expert == 0 for of_expert in ranks):
                return None
            return f"should have the configuration's rank {wanted:.100} for each expert, got {rank} in all"
        return f"should have the configuration's rank {wanted:.100}, got {rank}"

    return problem


def _is_target(config: AdapterConfig | None) -> Callable[[str], bool]:
    """Return a function that tells whether PEFT adapts a module (`check_target_module_exists`).

    `target_modules` has the module's name or the end of it. A regular expression is not run: it is untrusted,
    and may be made to never end.
    """
    if config is None or config.has_target_parameters or isinstance(config.target_modules, str):
        return lambda _: True
    targets = frozenset(config.target_modules)

    def is_target(module: str) -> bool:
        dot = len(module)
        while (dot := module.rfind(".", 0, dot)) >= 0:
            if module[dot + 1 :] in targets:
                return True
        return module in targets

    return is_target
