"""The configuration of an adapter, PEFT's `adapter_config.json`, and the rules that it has to keep.

Their source is vLLM's `vllm/lora/peft_helper.py`, where no other is named.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from adapter_fleet import strict_json
from adapter_fleet.base_model import BaseModelFacts
from adapter_fleet.findings import Finding
from adapter_fleet.serving import LoraServing

MAX_CONFIG_BYTES = 1024 * 1024

# These train on a base that they have changed (`init_lora_weights` of LoraConfig in PEFT's documentation).
# PEFT writes true instead when it converts such an adapter to fit the original base.
_BASE_CHANGING_INITIALISATIONS = ("corda", "loftq", "olora", "pissa")


@dataclass(frozen=True, kw_only=True)
class AdapterConfig:
    """What the configuration says, as far as serving depends on it."""

    rank: int
    alpha: float
    target_modules: tuple[str, ...] | str
    """Names of modules, or one regular expression."""
    has_target_parameters: bool
    """Whether single parameters are adapted as well, such as the experts of a mixture."""
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
        """Whether the patterns leave all modules the scale of the whole adapter."""
        whole = self._scale(self.alpha, self.rank)
        return all(
            math.isclose(
                whole,
                self._scale(self.alpha_pattern.get(key, self.alpha), self.rank_pattern.get(key, self.rank)),
            )
            for key in self.rank_pattern | self.alpha_pattern
        )

    def _scale(self, alpha: float, rank: int) -> float:
        return alpha / (math.sqrt(rank) if self.use_rslora else rank)

    def findings(
        self, where: str, *, lora: LoraServing | None, base: BaseModelFacts | None
    ) -> Iterator[Finding]:
        """Compare with the engine and the base model that are to serve the adapter."""
        rank = max(self.ranks)
        if lora is not None and rank > lora.max_lora_rank:
            yield Finding.error(
                "lora-rank",
                where,
                f"the rank should be at most {lora.max_lora_rank} ('max_lora_rank'), got {rank}",
            )
        if not self.has_one_scale:
            # peft_helper.py has one `vllm_lora_scaling_factor` and does not read the patterns.
            yield Finding.warning(
                "lora-scaling",
                where,
                "'rank_pattern' and 'alpha_pattern' give some modules another scale, but vLLM gives them"
                f" all that of 'lora_alpha' {self.alpha:g} and 'r' {self.rank}",
            )
        if base is not None and self.base_model and not base.is_named(self.base_model):
            yield Finding.warning(
                "base-model-name",
                where,
                f"it was trained for {self.base_model!r:.200}, and is to run on {base.name!r}",
            )


def read_config(text: bytes, where: str) -> tuple[AdapterConfig | None, list[Finding]]:
    """Parse the text of a configuration; return it, unless it cannot be read, and what is wrong with it."""
    if len(text) > MAX_CONFIG_BYTES:
        return None, [
            Finding.error("config-readable", where, f"it should have at most {MAX_CONFIG_BYTES} bytes")
        ]
    try:
        document = strict_json.loads(text)
    except ValueError as error:
        return None, [Finding.error("config-readable", where, f"it is not valid JSON: {error}")]
    if not isinstance(document, dict):
        return None, [Finding.error("config-readable", where, "it should be a JSON object")]
    fields = _Fields(document)
    config = fields.adapter_config()
    return None if fields.problems else config, [
        *(Finding.error("lora-method", where, problem) for problem in _method_problems(document)),
        *(
            Finding.warning("lora-initialisation", where, problem)
            for problem in _initialisation_problems(document)
        ),
        *(Finding.error("config-fields", where, problem) for problem in fields.problems),
    ]


def _method_problems(document: dict[str, Any]) -> Iterator[str]:
    """What the engine cannot serve (`_validate_features`), or does not even look at."""
    method = document.get("peft_type", "LORA")
    if method != "LORA":
        yield f"'peft_type' should be 'LORA', got {method!r:.200}"
    if document.get("use_dora"):
        yield "'use_dora' should be false: vLLM serves no DoRA adapters"
    bias = document.get("bias", "none")
    if bias != "none":
        yield f"'bias' should be 'none': vLLM serves no adapters with biases, got {bias!r:.200}"
    if document.get("lora_bias"):
        yield "'lora_bias' should be false: vLLM serves no adapters with biases"
    # Whole layers of the base, or rows of one, that were trained beside the LoRA matrices.
    for field in ("modules_to_save", "trainable_token_indices"):
        if value := document.get(field):
            yield f"'{field}' should be empty: vLLM serves no changed layers, got {value!r:.200}"
    if document.get("layer_replication"):
        yield "'layer_replication' should be empty: such an adapter fits a base with other layers"


def _initialisation_problems(document: dict[str, Any]) -> Iterator[str]:
    method = document.get("init_lora_weights")
    if isinstance(method, str) and method.startswith(_BASE_CHANGING_INITIALISATIONS):
        yield (
            f"'init_lora_weights' is {method!r:.200}, which trains on a changed base; save the adapter with"
            " path_initial_model_for_weight_conversion to make it fit the original one"
        )


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
            has_target_parameters=bool(self._document.get("target_parameters")),
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
    return type(value) is int and 0 < value < 2**31


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 2**31


def _are_modules(value: Any) -> bool:
    names = [value] if isinstance(value, str) else value
    return isinstance(names, list) and bool(names) and all(isinstance(name, str) and name for name in names)
