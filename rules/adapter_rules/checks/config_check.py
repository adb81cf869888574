"""The configuration of an adapter, PEFT's `adapter_config.json`, and the rules on it.

The source of a rule is vLLM's `vllm/lora/peft_helper.py`, unless another one is named.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from adapter_fleet.artifacts.foreign_content import foreign_config, foreign_keys
from adapter_fleet.common.bounded_text import short_repr
from adapter_fleet.common.findings import Finding, Severity
from adapter_fleet.documents import strict_json
from adapter_fleet.serving.base_model import BaseModelFacts
from adapter_rules.checks.requirements_and_remedies import CheckRule
from adapter_rules.engines.container_releases import NEWEST_LMI, ContainerRelease
from adapter_rules.engines.lora_limits import LORA_RANKS, LoraServing

MAX_CONFIG_BYTES = 1024 * 1024

# These methods change the base before training (`init_lora_weights` of LoraConfig in PEFT's documentation).
# When PEFT converts such an adapter to fit the original base, it writes true instead.
_BASE_CHANGING_INITIALISATIONS = ("corda", "loftq", "lora_ga", "olora", "pissa")

# With these settings PEFT computes something else than B·A of the input (`is_lora_variant` and `use_qalora`
# of LoraConfig in PEFT's tuners/lora/config.py, and lora/variants.py; VeLoRA, MonteCLoRA and MiCA differ in
# training only). vLLM's `from_dict` drops unknown keys and serves plain LoRA.
_VARIANTS = ("alora_invocation_tokens", "arrow_config", "kasa_config", "use_bdlora", "use_qalora")


@dataclass(frozen=True, kw_only=True)
class AdapterConfig:
    """The parts of the configuration that serving depends on."""

    rank: int
    alpha: float
    target_modules: tuple[str, ...] | str
    """Names of modules, or one regular expression; empty if only parameters are adapted."""
    has_target_parameters: bool
    """True if single parameters are adapted too, such as the experts of a mixture."""
    rank_pattern: dict[str, int]
    alpha_pattern: dict[str, float]
    use_rslora: bool
    base_model: str | None
    leaves_out_layers: bool
    """True if the settings may leave out some layers of the base model."""

    @property
    def ranks(self) -> frozenset[int]:
        """Every rank that a module of the adapter may have."""
        return frozenset({self.rank, *self.rank_pattern.values()})

    @property
    def has_one_scale(self) -> bool:
        """Whether the patterns leave every module the scale of the whole adapter.

        Each key counts as a module. Of several keys, PEFT applies the first that matches a module
        (`get_pattern_key` in PEFT's utils/other.py), so two patterns need the same keys in the same order. No
        key is run as the regular expression that it is: it is untrusted, and may be made to never end.
        """
        alphas, ranks = self.alpha_pattern, self.rank_pattern
        if alphas and ranks and list(alphas) != list(ranks):
            return False
        whole = self._scale(self.alpha, self.rank)
        return all(
            math.isclose(whole, self._scale(alphas.get(key, self.alpha), ranks.get(key, self.rank)))
            for key in alphas | ranks
        )

    def _scale(self, alpha: float, rank: float) -> float:
        return alpha / (math.sqrt(rank) if self.use_rslora else rank)

    def findings(
        self,
        where: str,
        *,
        lora: LoraServing | None,
        base: BaseModelFacts | None,
    ) -> Iterator[Finding]:
        """Compare the configuration with the limits and the base model that will serve the adapter."""
        rank = max(self.ranks)
        if lora is not None:
            limit, source = lora.max_lora_rank, "'max_lora_rank'"
        else:
            limit, source = max(LORA_RANKS), "the highest 'max_lora_rank'"
        if rank > limit:
            yield CheckRule.RANK_LIMIT.finding(
                where, f"the rank should be at most {limit} ({source}), got {rank}"
            )
        if not self.alpha:
            yield CheckRule.TENSOR_TRAINED.finding(
                where, "'lora_alpha' is 0, so that the adapter changes nothing"
            )
        if not self.has_one_scale:
            # peft_helper.py has a single `vllm_lora_scaling_factor`, and does not read the patterns.
            yield CheckRule.LORA_SCALING.finding(
                where,
                "'rank_pattern' and 'alpha_pattern' give some modules another scale, but vLLM gives them"
                f" all that of 'lora_alpha' {self.alpha:g} and 'r' {self.rank}",
            )
        if base is not None and self.base_model and not base.is_named(self.base_model):
            finding = CheckRule.BASE_NAME.finding(
                where, f"it was trained for {self.base_model!r:.200}, and is to run on {base.name!r:.200}"
            )
            yield replace(finding, severity=Severity.ERROR) if base.declared else finding


_COMMENT = re.compile(rb"^\s*(//|#|/\*)|[\[{,]\s*(//|/\*)", re.MULTILINE)


def read_config(
    text: bytes, where: str, *, version: ContainerRelease = NEWEST_LMI
) -> tuple[AdapterConfig | None, list[Finding]]:
    """Parse a configuration; return it, or None if it cannot be read, and the findings."""
    if len(text) > MAX_CONFIG_BYTES:
        message = f"it should have at most {MAX_CONFIG_BYTES} bytes"
        return None, [CheckRule.CONFIG_JSON.finding(where, message)]
    try:
        document = strict_json.loads(text)
    except ValueError as error:
        if (foreign := foreign_config(text)) is not None:
            return None, [CheckRule.FILE_CONTENT.finding(where, foreign)]
        hint = "; JSON has no comments" if _COMMENT.search(text) else ""
        return None, [CheckRule.CONFIG_JSON.finding(where, f"it is not valid JSON: {error}{hint}")]
    if not isinstance(document, dict):
        return None, [CheckRule.CONFIG_JSON.finding(where, "it should be a JSON object")]
    if (foreign := foreign_keys(document)) is not None:
        return None, [CheckRule.FILE_CONTENT.finding(where, foreign)]
    if (method := document.get("peft_type", "LORA")) != "LORA":
        # The keys of another method say nothing.
        message = (
            f"'peft_type' should be 'LORA', got {short_repr(method)}: it is another method, and the engines"
            " serve LoRA alone"
        )
        return None, [CheckRule.LORA_METHOD.finding(where, message)]
    fields = _FieldReader(document)
    config = fields.adapter_config()
    problems = [
        *_method_problems(document, version),
        *_initialisation_problems(document),
        *((CheckRule.CONFIG_KEY, problem) for problem in fields.problems),
    ]
    return None if fields.problems else config, [rule.finding(where, problem) for rule, problem in problems]


_Problem = tuple[CheckRule, str]


def _method_problems(document: dict[str, Any], version: ContainerRelease) -> Iterator[_Problem]:
    """Find settings that the engine cannot serve (`_validate_features`) or ignores."""
    if document.get("use_dora"):
        yield CheckRule.LORA_METHOD, "'use_dora' should be false: vLLM serves no DoRA adapters"
    bias = document.get("bias", "none")
    if bias != "none":
        yield _bias_problem("'bias' should be 'none'", version, f", got {short_repr(bias)}")
    if document.get("lora_bias"):
        yield _bias_problem("'lora_bias' should be false", version)
    # Whole layers of the base, or rows of a layer, that were trained beside the LoRA matrices.
    for field in ("modules_to_save", "trainable_token_indices"):
        if value := document.get(field):
            yield (
                CheckRule.LORA_METHOD,
                f"'{field}' should be empty: vLLM serves no changed layers, got {short_repr(value)}",
            )
    for field in _VARIANTS:
        if value := document.get(field):
            yield (
                CheckRule.LORA_METHOD,
                f"'{field}' should be empty: vLLM does not know it and serves plain LoRA,"
                f" got {short_repr(value)}",
            )
    if document.get("layer_replication"):
        yield (
            CheckRule.LORA_METHOD,
            "'layer_replication' should be empty: such an adapter fits a base with other layers",
        )


def _bias_problem(asked: str, version: ContainerRelease, got: str = "") -> _Problem:
    if version.engine.may_serve_biases:
        return (
            CheckRule.LORA_BIAS_SETTING,
            f"{asked}: the engine of {version.title} serves adapters with biases only where"
            f" OPTION_ENABLE_LORA_BIAS is on{got}",
        )
    return CheckRule.LORA_BIAS, f"{asked}: vLLM serves no adapters with biases{got}"


def _initialisation_problems(document: dict[str, Any]) -> Iterator[_Problem]:
    method = document.get("init_lora_weights")
    if isinstance(method, str) and method.startswith(_BASE_CHANGING_INITIALISATIONS):
        yield (
            CheckRule.LORA_INITIALISATION,
            f"'init_lora_weights' is {short_repr(method)}, which trains on a changed base; save the adapter"
            " with path_initial_model_for_weight_conversion to make it fit the original one",
        )


class _FieldReader:
    """Reads the fields of a configuration, and collects their problems."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self.problems: list[str] = []

    def adapter_config(self) -> AdapterConfig:
        """Return the configuration. It is meaningless if there are problems."""
        return AdapterConfig(
            rank=self._required("r", "a whole number above 0", _is_rank, 1),
            alpha=self._required("lora_alpha", "a number", _is_number, 1.0),
            target_modules=self._target_modules(),
            has_target_parameters=self._has_target_parameters,
            rank_pattern=self._pattern("rank_pattern", "whole numbers above 0", _is_rank),
            alpha_pattern=self._pattern("alpha_pattern", "numbers", _is_number),
            use_rslora=bool(self._document.get("use_rslora")),
            base_model=self._base_model(),
            leaves_out_layers=self._leaves_out_layers,
        )

    def _required(self, field: str, kind: str, is_valid: Callable[[Any], bool], otherwise: Any) -> Any:
        if field not in self._document:
            self.problems.append(f"'{field}' is missing")
        elif is_valid(self._document[field]):
            return self._document[field]
        else:
            self._add_problem(field, kind)
        return otherwise

    @property
    def _has_target_parameters(self) -> bool:
        return bool(self._document.get("target_parameters"))

    def _target_modules(self) -> tuple[str, ...] | str:
        # PEFT writes null or an empty list. vLLM requires the key, with any value.
        if self._has_target_parameters and self._document.get("target_modules", ()) in (None, []):
            return ()
        modules = self._required("target_modules", "module names or a regular expression", _are_modules, ())
        return modules if isinstance(modules, str) else tuple(modules)

    @property
    def _leaves_out_layers(self) -> bool:
        fields = ("layers_to_transform", "exclude_modules", "target_parameters")
        if any(self._document.get(field) not in (None, [], "") for field in fields):
            return True
        # An expression is not run, and a number in a name may be that of a layer.
        modules = self._document.get("target_modules")
        return isinstance(modules, str) or re.search(r"\d", str(modules)) is not None

    def _pattern(self, field: str, kind: str, is_valid: Callable[[Any], bool]) -> dict[str, Any]:
        pattern = self._document.get(field) or {}
        if isinstance(pattern, dict) and all(map(is_valid, pattern.values())):
            return pattern
        self._add_problem(field, f"an object of {kind}")
        return {}

    def _base_model(self) -> str | None:
        name = self._document.get("base_model_name_or_path")
        if name is None or isinstance(name, str):
            return name
        self._add_problem("base_model_name_or_path", "a string")
        return None

    def _add_problem(self, field: str, kind: str) -> None:
        self.problems.append(f"'{field}' should be {kind}, got {short_repr(self._document[field])}")


def _is_rank(value: Any) -> bool:
    return type(value) is int and 0 < value < 2**31


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 2**31


def _are_modules(value: Any) -> bool:
    names = [value] if isinstance(value, str) else value
    return isinstance(names, list) and bool(names) and all(isinstance(name, str) and name for name in names)
