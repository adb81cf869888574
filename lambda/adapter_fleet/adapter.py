"""The checks of an adapter before anything is created: its files, its configuration, its tensors.

Every rule has an identifier, which the findings carry:

=====================  ========  ====================================================================
rule                   severity  what it asks for
=====================  ========  ====================================================================
adapter-files          error     the two files and at most a README, at the root, no links, none twice
archive-readable       error     a gzipped tar within `ArchiveLimits`
config-readable        error     `adapter_config.json` is a JSON object with one meaning
config-fields          error     `r`, `lora_alpha` and `target_modules`, of the right types
lora-method            error     plain LoRA: no DoRA, biases, saved modules or replicated layers
lora-rank              error     no rank above the engine's maximum
lora-scaling           warning   one scale for all modules, since vLLM knows no patterns
lora-initialisation    warning   trained on the base's own weights
weights-readable       error     a whole and consistent safetensors file
lora-tensors           error     pairs of A and B, of one rank and a floating type, and nothing else
target-modules         error     tensors for the modules that the configuration names
base-model-name        warning   trained for the base it is to run on
base-model-dimensions  error     modules and widths that this base has
=====================  ========  ====================================================================

The sources of the rules on LoRA are vLLM's `vllm/lora/peft_helper.py` (configuration) and
`vllm/lora/lora_model.py`, `parse_fine_tuned_lora_name` in `vllm/lora/utils.py` (tensors), and PEFT's
`LoraConfig` and `save_and_load.py` for what is written. vLLM applies its own when a request or a
registration loads the adapter, and **none to the base model**.
"""

import math
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from adapter_fleet import strict_json
from adapter_fleet.archive import (
    CONFIG_FILE,
    REQUIRED_FILES,
    WEIGHTS_FILE,
    ArchiveError,
    ArchiveLimits,
    entries,
    problem_of_entry,
)
from adapter_fleet.base_model import BaseModelFacts
from adapter_fleet.findings import Finding, Severity
from adapter_fleet.safetensors_header import HeaderError, Tensor, read_tensors
from adapter_fleet.serving import LoraServing

MAX_CONFIG_BYTES = 1024 * 1024

_TENSOR_NAME = re.compile(
    r"base_model\.model\.(?P<module>.+)\.(?:lora_(?P<linear>[AB])\.weight|lora_embedding_(?P<embedding>[AB]))"
)
_FLOATS = ("BF16", "F16", "F32")
# These write weights that are to be added to a changed base ("LoraConfig.init_lora_weights" in PEFT's
# documentation). PEFT resets the field to true when it converts such an adapter for the original base.
_BASE_CHANGING_INITIALISATIONS = ("corda", "loftq", "olora", "pissa")


@dataclass(frozen=True, kw_only=True)
class AdapterConfig:
    """What PEFT's `adapter_config.json` says, as far as serving depends on it."""

    rank: int
    alpha: float
    target_modules: tuple[str, ...] | str
    """Module names, or one regular expression."""
    rank_pattern: dict[str, int]
    alpha_pattern: dict[str, float]
    use_rslora: bool
    base_model: str | None

    @property
    def ranks(self) -> frozenset[int]:
        """Every rank that a module of the adapter may have."""
        return frozenset({self.rank, *self.rank_pattern.values()})

    @property
    def has_one_scale(self) -> bool:
        """Whether all modules have the scale of the whole adapter, alpha / rank."""
        whole = self._scale(self.alpha, self.rank)
        return all(
            math.isclose(
                self._scale(
                    self.alpha_pattern.get(pattern, self.alpha), self.rank_pattern.get(pattern, self.rank)
                ),
                whole,
            )
            for pattern in self.rank_pattern | self.alpha_pattern
        )

    def _scale(self, alpha: float, rank: int) -> float:
        return alpha / (math.sqrt(rank) if self.use_rslora else rank)


def check_directory(
    directory: Path, *, lora: LoraServing | None = None, base: BaseModelFacts | None = None
) -> list[Finding]:
    """Check an adapter in a directory, as `save_pretrained` wrote it, and return all that is wrong with it.

    Reads the configuration and the header of the weights, whatever the size of the adapter. Without `lora`
    there is no limit on the rank; without `base` nothing is compared with the base model. A bad adapter
    never raises.
    """
    check = _Check(str(directory), lora=lora, base=base)
    try:
        with os.scandir(directory) as found:
            files = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        check.error("adapter-files", f"it should be a readable directory, got: {error.strerror}")
        return check.findings
    for entry in files:
        kind = _kind_of_file(entry)
        if check.takes_entry(entry.name, kind):
            path = directory / entry.name
            try:
                with path.open("rb") as stream:
                    check.read_file(entry.name, os.fstat(stream.fileno()).st_size, stream)
            except OSError as error:
                check.error("adapter-files", f"it is not readable: {error.strerror}", entry.name)
    check.finish()
    return check.findings


def check_archive(
    archive: Path | IO[bytes],
    *,
    lora: LoraServing | None = None,
    base: BaseModelFacts | None = None,
    limits: ArchiveLimits | None = None,
    where: str | None = None,
) -> list[Finding]:
    """Check an adapter in a `.tar.gz`, by the same rules as `check_directory`.

    Reads the archive once, forwards, in bounded memory, so that the object in S3 can be checked as it is
    downloaded. `where` names a stream in the findings. A bad archive never raises.
    """
    if isinstance(archive, Path):
        try:
            with archive.open("rb") as stream:
                return check_archive(stream, lora=lora, base=base, limits=limits, where=where or str(archive))
        except OSError as error:
            check = _Check(where or str(archive), lora=lora, base=base)
            check.error("archive-readable", f"it should be a readable file, got: {error.strerror}")
            return check.findings
    check = _Check(where or "archive", lora=lora, base=base)
    try:
        for entry in entries(archive, limits or ArchiveLimits(), gzip_only=True):
            if check.takes_entry(entry.name, entry.kind) and entry.stream:
                check.read_file(entry.name, entry.size, entry.stream)
    except ArchiveError as error:
        check.error("archive-readable", str(error))
        return check.findings
    check.finish()
    return check.findings


def _kind_of_file(entry: "os.DirEntry[str]") -> str:
    mode = entry.stat(follow_symlinks=False).st_mode
    if stat.S_ISLNK(mode):
        return "link"
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) else "special file"


class _Check:
    """The findings of one adapter, and what was read of it so far."""

    def __init__(self, where: str, *, lora: LoraServing | None, base: BaseModelFacts | None) -> None:
        self.findings: list[Finding] = []
        self._where = where
        self._lora = lora
        self._base = base
        self._seen: set[str] = set()
        self._config: AdapterConfig | None = None
        self._tensors: list[Tensor] | None = None

    def error(self, rule: str, message: str, file: str | None = None) -> None:
        self._add(Severity.ERROR, rule, message, file)

    def warning(self, rule: str, message: str, file: str | None = None) -> None:
        self._add(Severity.WARNING, rule, message, file)

    def _add(self, severity: Severity, rule: str, message: str, file: str | None) -> None:
        where = f"{self._where}/{file}" if file else self._where
        self.findings.append(Finding(rule=rule, severity=severity, where=where, message=message))

    def takes_entry(self, name: str, kind: str) -> bool:
        """Apply the rules on an entry's name and kind; tell whether its content is to be read."""
        problem = problem_of_entry(name, kind, self._seen)
        if problem is not None:
            self.error("adapter-files", problem, name)
        self._seen.add(name)
        return problem is None

    def read_file(self, name: str, size: int, stream: IO[bytes]) -> None:
        if name == CONFIG_FILE:
            self._read_config(stream)
        elif name == WEIGHTS_FILE:
            try:
                self._tensors = read_tensors(stream, size)
            except HeaderError as error:
                self.error("weights-readable", str(error), WEIGHTS_FILE)

    def _read_config(self, stream: IO[bytes]) -> None:
        text = stream.read(MAX_CONFIG_BYTES + 1)
        if len(text) > MAX_CONFIG_BYTES:
            self.error("config-readable", f"it should have at most {MAX_CONFIG_BYTES} bytes", CONFIG_FILE)
            return
        try:
            document = strict_json.loads(text)
        except ValueError as error:
            self.error("config-readable", f"it is not valid JSON: {error}", CONFIG_FILE)
            return
        if not isinstance(document, dict):
            self.error("config-readable", "it should be a JSON object", CONFIG_FILE)
            return
        for problem in _method_problems(document):
            self.error("lora-method", problem, CONFIG_FILE)
        initialisation = document.get("init_lora_weights")
        if isinstance(initialisation, str) and initialisation.startswith(_BASE_CHANGING_INITIALISATIONS):
            self.warning(
                "lora-initialisation",
                f"'init_lora_weights' is {initialisation!r}, which trains on a changed base; save the adapter"
                " with path_initial_model_for_weight_conversion to make it fit the original one",
                CONFIG_FILE,
            )
        fields = _Fields(document)
        config = fields.adapter_config()
        for problem in fields.problems:
            self.error("config-fields", problem, CONFIG_FILE)
        if not fields.problems:
            self._config = config

    def finish(self) -> None:
        """Apply the rules that need the whole adapter."""
        for name in REQUIRED_FILES:
            if name not in self._seen:
                self.error("adapter-files", f"the file {name} is missing")
        if self._config is not None:
            self._check_config(self._config)
        if self._tensors is not None:
            self._check_tensors(self._tensors, self._config)

    def _check_config(self, config: AdapterConfig) -> None:
        if self._lora is not None and max(config.ranks) > self._lora.max_lora_rank:
            self.error(
                "lora-rank",
                f"its rank should be at most {self._lora.max_lora_rank} ('max_lora_rank'),"
                f" got {max(config.ranks)}",
                CONFIG_FILE,
            )
        if not config.has_one_scale:
            # vllm_lora_scaling_factor in peft_helper.py is one number, and the patterns are not read.
            self.warning(
                "lora-scaling",
                "'rank_pattern' and 'alpha_pattern' give some modules another scale, but vLLM applies that of"
                f" 'lora_alpha' {config.alpha:g} and 'r' {config.rank} to all",
                CONFIG_FILE,
            )
        if self._base is not None and config.base_model and not self._base.is_named(config.base_model):
            self.warning(
                "base-model-name",
                f"it was trained for {config.base_model!r}, and is to run on {self._base.name!r}",
                CONFIG_FILE,
            )

    def _check_tensors(self, tensors: list[Tensor], config: AdapterConfig | None) -> None:
        pairs: dict[str, _Pair] = {}
        for tensor in tensors:
            if tensor.dtype not in _FLOATS:
                self.error(
                    "lora-tensors",
                    f"tensor {tensor.name!r} should be {', '.join(_FLOATS)}, got {tensor.dtype}",
                    WEIGHTS_FILE,
                )
            match = _TENSOR_NAME.fullmatch(tensor.name)
            if match is None:
                self.error("lora-tensors", _why_no_lora_tensor(tensor.name), WEIGHTS_FILE)
                continue
            pair = pairs.setdefault(match["module"], _Pair())
            if (match["linear"] or match["embedding"]) == "A":
                pair.a = tensor
            else:
                pair.b = tensor
        if not tensors:
            self.error("lora-tensors", "it has no tensors", WEIGHTS_FILE)
        for module, pair in sorted(pairs.items()):
            for rule, problem in self._pair_problems(module, pair, config):
                self.error(rule, problem, WEIGHTS_FILE)
        if config is not None:
            for problem in _target_problems(config, pairs):
                self.error("target-modules", problem, WEIGHTS_FILE)

    def _pair_problems(
        self, module: str, pair: "_Pair", config: AdapterConfig | None
    ) -> Iterator[tuple[str, str]]:
        if pair.a is None or pair.b is None:
            have, lack = ("B", "A") if pair.a is None else ("A", "B")
            yield "lora-tensors", f"module {module!r} has lora_{have} but no lora_{lack}"
            return
        match pair.a.shape, pair.b.shape:
            case (rank, inputs), (outputs, same) if rank == same and rank > 0:
                pass
            case a, b:
                yield (
                    "lora-tensors",
                    f"module {module!r} should have lora_A of (rank, inputs) and lora_B of (outputs, rank),"
                    f" got {a} and {b}",
                )
                return
        if config is not None and rank not in config.ranks:
            wanted = " or ".join(map(str, sorted(config.ranks)))
            yield "lora-tensors", f"module {module!r} should have rank {wanted} by {CONFIG_FILE}, got {rank}"
        if self._base is None or self._base.dimensions is None:
            return
        shape = self._base.dimensions.shape_of(module)
        if shape is None:
            yield "base-model-dimensions", f"the base model {self._base.name!r} has no module {module!r}"
        elif (inputs, outputs) != (shape.inputs, shape.outputs):
            yield (
                "base-model-dimensions",
                f"module {module!r} should have {shape.inputs} inputs and {shape.outputs} outputs as in the"
                f" base model {self._base.name!r}, got {inputs} and {outputs}",
            )


@dataclass
class _Pair:
    a: Tensor | None = None
    b: Tensor | None = None


def _method_problems(document: dict[str, Any]) -> Iterator[str]:
    """What the engine cannot serve, or would serve as something else (peft_helper.py,
    `_validate_features`)."""
    method = document.get("peft_type", "LORA")
    if method != "LORA":
        yield f"'peft_type' should be 'LORA', got {method!r}"
    if document.get("use_dora"):
        yield "'use_dora' should be false: vLLM serves no DoRA adapters"
    bias = document.get("bias", "none")
    if bias != "none":
        yield f"'bias' should be 'none': vLLM serves no adapters with biases, got {bias!r}"
    if document.get("lora_bias"):
        yield "'lora_bias' should be false: vLLM serves no adapters with biases"
    # Whole copies of layers, or parts of them, beside the LoRA matrices.
    for field in ("modules_to_save", "trainable_token_indices"):
        if document.get(field):
            yield f"'{field}' should be empty: vLLM serves no changed layers, got {document[field]!r}"
    if document.get("layer_replication"):
        yield "'layer_replication' should be empty: the adapter fits a base with other layers"


class _Fields:
    """Reads the fields of a configuration, and keeps what is wrong with them."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self.problems: list[str] = []

    def adapter_config(self) -> AdapterConfig:
        """Return the configuration, which means nothing where there are problems."""
        return AdapterConfig(
            rank=self._required("r", "a whole number above 0", _is_rank, 1),
            alpha=self._required("lora_alpha", "a number", _is_number, 1.0),
            target_modules=self._target_modules(),
            rank_pattern=self._pattern("rank_pattern", "whole numbers above 0", _is_rank),
            alpha_pattern=self._pattern("alpha_pattern", "numbers", _is_number),
            use_rslora=bool(self._document.get("use_rslora")),
            base_model=self._base_model(),
        )

    def _required(self, field: str, kind: str, is_valid: Callable[[Any], bool], otherwise: Any) -> Any:
        if field not in self._document:
            self.problems.append(f"'{field}' is missing")
        elif is_valid(self._document[field]):
            return self._document[field]
        else:
            self._wrong(field, kind)
        return otherwise

    def _target_modules(self) -> tuple[str, ...] | str:
        modules = self._required("target_modules", "module names or a regular expression", _are_modules, ())
        return modules if isinstance(modules, str) else tuple(modules)

    def _pattern(self, field: str, kind: str, is_valid: Callable[[Any], bool]) -> dict[str, Any]:
        pattern = self._document.get(field) or {}
        if isinstance(pattern, dict) and all(map(is_valid, pattern.values())):
            return pattern
        self._wrong(field, f"an object of {kind}")
        return {}

    def _base_model(self) -> str | None:
        name = self._document.get("base_model_name_or_path")
        if name is None or isinstance(name, str):
            return name
        self._wrong("base_model_name_or_path", "a string")
        return None

    def _wrong(self, field: str, kind: str) -> None:
        self.problems.append(f"'{field}' should be {kind}, got {self._document[field]!r:.200}")


def _is_rank(value: Any) -> bool:
    return type(value) is int and value > 0


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _are_modules(value: Any) -> bool:
    names = [value] if isinstance(value, str) else value
    return isinstance(names, list) and bool(names) and all(isinstance(name, str) and name for name in names)


def _why_no_lora_tensor(name: str) -> str:
    if "lora_magnitude_vector" in name:
        return f"tensor {name!r} is of DoRA, which vLLM does not serve"
    if name.endswith(".bias"):
        return f"tensor {name!r} is a bias, and vLLM serves no adapters with biases"
    if ".lora_" not in name:
        return f"tensor {name!r} is a layer of the base model; save the adapter without such"
    return f"tensor {name!r} should be named base_model.model.<module>.lora_A.weight or lora_B.weight"


def _target_problems(config: AdapterConfig, modules: Iterable[str]) -> Iterator[str]:
    """Whether configuration and tensors belong together.

    A regular expression is not tried: it comes from whoever made the adapter, and can be made to run for
    ever.
    """
    if isinstance(config.target_modules, str):
        return
    # check_target_module_exists in PEFT: the whole name or its last parts.
    for module in sorted(modules):
        if not any(module == target or module.endswith(f".{target}") for target in config.target_modules):
            yield f"module {module!r} is not among the 'target_modules' of {CONFIG_FILE}"
