"""Reads the settings about memory in a container's environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from adapter_rules.engines.lora_limits import LoraServing

_T = TypeVar("_T")

_NUMBER_BYTES = {
    **dict.fromkeys(("auto", "fp16", "float16", "half", "bf16", "bfloat16"), 2),
    **dict.fromkeys(("fp32", "float32", "float"), 4),
}
_CACHE_BYTES = {**_NUMBER_BYTES, **dict.fromkeys(("fp8", "fp8_e4m3", "fp8_e5m2", "fp8_inc"), 1)}
_LORA_BYTES = {"float16": 2, "bfloat16": 2}
"""The data types of adapters but for `auto`, which is the model's (`LoRADType` in vllm/config/lora.py)."""

_DEFAULT_UTILIZATION = 0.9


_SETTINGS = (
    "DTYPE",
    "KV_CACHE_DTYPE",
    "GPU_MEMORY_UTILIZATION",
    "MAX_MODEL_LEN",
    "QUANTIZATION",
    "LORA_DTYPE",
    "FULLY_SHARDED_LORAS",
)
"""What `EngineSettings` reads, by vLLM's own names, beside the number of accelerators."""

_EXPECTED = {
    "PIPELINE_PARALLEL_SIZE": "1",
    "LORA_TARGET_MODULES": "",
    "CPU_OFFLOAD_GB": "0",
    "KV_CACHE_MEMORY_BYTES": "",
    "SPECULATIVE_CONFIG": "",
}
"""The values with which the computation of `gpu_memory` is right: one stage with all layers, slots for every
module, and nothing else in the memory."""


@dataclass(frozen=True, kw_only=True)
class EngineVariables:
    """The names of a container's environment variables for vLLM's settings.

    prefix:
        What is before vLLM's own name of a setting.
    renamed:
        The settings that have another name after the prefix.
    tensor_parallel:
        The names for the number of accelerators, the first one preferred.
    all_accelerators:
        The values of these for all accelerators of a copy.
    default_accelerators:
        Accelerators without such a variable; None for all of the copy's.
    """

    prefix: str
    renamed: Mapping[str, str] = field(default_factory=dict)
    tensor_parallel: tuple[str, ...]
    all_accelerators: tuple[str, ...] = ()
    default_accelerators: int | None

    def name(self, setting: str) -> str:
        """Return the variable of a setting, such as MAX_MODEL_LEN."""
        return f"{self.prefix}{self.renamed.get(setting, setting)}"

    @property
    def names(self) -> tuple[str, ...]:
        """Every variable that `EngineSettings` reads."""
        return (*self.tensor_parallel, *map(self.name, (*_SETTINGS, *_EXPECTED)))

    def for_lora(self, lora: LoraServing) -> dict[str, str]:
        """Return the variables with the limits for adapters."""
        return {
            self.name("MAX_LORAS"): str(lora.max_loras),
            self.name("MAX_CPU_LORAS"): str(lora.max_cpu_loras),
            self.name("MAX_LORA_RANK"): str(lora.max_lora_rank),
        }


LMI_VARIABLES = EngineVariables(
    prefix="OPTION_",
    renamed={"QUANTIZATION": "QUANTIZE", "PIPELINE_PARALLEL_SIZE": "PIPELINE_PARALLEL_DEGREE"},
    tensor_parallel=("OPTION_TENSOR_PARALLEL_DEGREE", "TENSOR_PARALLEL_DEGREE"),
    all_accelerators=("max",),
    # LMI's default is `max` (LmiConfigRecommender in djl-serving).
    default_accelerators=None,
)
"""LMI's variables, which its property names are made of."""

VLLM_VARIABLES = EngineVariables(
    prefix="SM_VLLM_",
    tensor_parallel=("SM_VLLM_TENSOR_PARALLEL_SIZE",),
    # vLLM's own default (vllm/config/parallel.py).
    default_accelerators=1,
)
"""The variables of AWS's vLLM container: SM_VLLM_MAX_MODEL_LEN is vLLM's `--max-model-len`."""


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """The settings of vLLM that decide the use of memory, from a container's environment variables.

    variables:
        The names of these variables. Default: LMI's.
    tensor_parallel:
        Accelerators over which a copy is split; None for all of the copy's.
    number_bytes:
        Bytes of a number in the model: 2 for float16, bfloat16 and `auto`, as vLLM halves float32 models.
    cache_bytes:
        Bytes of a number in the key-value cache; None if it is the model's.
    utilization:
        The share of an accelerator's memory that vLLM takes. Its default was 0.9 for years and is 0.92 in
        vLLM 0.26 (vllm/config/cache.py); the lower one is used here.
    max_model_len:
        The longest sequence in tokens; None for the model's own.
    quantize_bits:
        Bits of a linear parameter if the engine quantizes the model while it loads.
    lora_bytes:
        Bytes of a number in an adapter; None if it is the model's.
    fully_sharded:
        True if both matrices of an adapter are split over the accelerators, not just one.
    not_understood:
        Variables whose value the computation does not support, as `NAME=value`.
    """

    variables: EngineVariables = LMI_VARIABLES
    tensor_parallel: int | None = None
    number_bytes: int = 2
    cache_bytes: int | None = None
    utilization: float = _DEFAULT_UTILIZATION
    max_model_len: int | None = None
    quantize_bits: float | None = None
    lora_bytes: int | None = None
    fully_sharded: bool = False
    not_understood: tuple[str, ...] = ()

    @property
    def adapter_number_bytes(self) -> int:
        """Bytes of a number in an adapter."""
        return self.lora_bytes or self.number_bytes

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str], variables: EngineVariables = LMI_VARIABLES
    ) -> "EngineSettings":
        """Read the settings from a container's environment. No value is an error."""
        reader, name = _VariableReader(environment), variables.name
        degrees = [reader.whole(each, unset=variables.all_accelerators) for each in variables.tensor_parallel]
        return cls(
            variables=variables,
            tensor_parallel=next(filter(None, degrees), variables.default_accelerators),
            number_bytes=reader.one_of(name("DTYPE"), _NUMBER_BYTES) or 2,
            cache_bytes=reader.one_of(name("KV_CACHE_DTYPE"), _CACHE_BYTES, unset=("auto",)),
            utilization=reader.share(name("GPU_MEMORY_UTILIZATION")) or _DEFAULT_UTILIZATION,
            max_model_len=reader.whole(name("MAX_MODEL_LEN")),
            quantize_bits=reader.one_of(name("QUANTIZATION"), {"fp8": 8}, unset=("awq", "gptq")),
            lora_bytes=reader.one_of(name("LORA_DTYPE"), _LORA_BYTES, unset=("auto",)),
            fully_sharded=reader.one_of(name("FULLY_SHARDED_LORAS"), {"true": True}, unset=("false",))
            or False,
            not_understood=reader.not_understood(
                {name(setting): value for setting, value in _EXPECTED.items()}
            ),
        )


class _VariableReader:
    """Reads variables, and collects those with an unsupported value."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._unsupported: list[str] = []

    def whole(self, name: str, *, unset: tuple[str, ...] = ()) -> int | None:
        text = self._text(name, unset)
        # int() alone would accept "1_000" and digits of other scripts.
        if text is not None and not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
            self._unsupported.append(self._assignment(name))
            return None
        return None if text is None else int(text)

    def share(self, name: str) -> float | None:
        text = self._text(name, ())
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if 0 < value <= 1:
            return value
        self._unsupported.append(self._assignment(name))
        return None

    def one_of(self, name: str, values: Mapping[str, _T], *, unset: tuple[str, ...] = ()) -> _T | None:
        text = self._text(name, unset)
        if text is not None and text not in values:
            self._unsupported.append(self._assignment(name))
        return values.get(text or "")

    def not_understood(self, expected: Mapping[str, str]) -> tuple[str, ...]:
        """Return the variables with an unsupported value, or another one than the expected."""
        others = [
            self._assignment(name)
            for name, value in expected.items()
            if self._text(name, (value,)) is not None
        ]
        return (*self._unsupported, *others)

    def _text(self, name: str, unset: tuple[str, ...]) -> str | None:
        text = self._environment.get(name, "").strip().lower()
        return None if text in ("", *unset) else text

    def _assignment(self, name: str) -> str:
        return f"{name}={self._environment[name]:.80}"
