"""Reads the settings about memory in a container's environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from adapter_fleet.serving.lora_limits import LoraDtype

_T = TypeVar("_T")

_NUMBER_BYTES = {
    **dict.fromkeys(("auto", "fp16", "float16", "half", "bf16", "bfloat16"), 2),
    **dict.fromkeys(("fp32", "float32", "float"), 4),
}
_CACHE_BYTES = {**_NUMBER_BYTES, **dict.fromkeys(("fp8", "fp8_e4m3", "fp8_e5m2", "fp8_inc"), 1)}

_DEFAULT_UTILIZATION = 0.9

# The values with which the computation of `gpu_memory` is right: one stage with all layers, slots for every
# module, and nothing else in the memory.
_EXPECTED = {
    "OPTION_PIPELINE_PARALLEL_DEGREE": "1",
    "OPTION_LORA_TARGET_MODULES": "",
    "OPTION_CPU_OFFLOAD_GB": "0",
    "OPTION_KV_CACHE_MEMORY_BYTES": "",
    "OPTION_SPECULATIVE_CONFIG": "",
}

MEMORY_VARIABLES = (
    "OPTION_TENSOR_PARALLEL_DEGREE",
    "TENSOR_PARALLEL_DEGREE",
    "OPTION_DTYPE",
    "OPTION_KV_CACHE_DTYPE",
    "OPTION_GPU_MEMORY_UTILIZATION",
    "OPTION_MAX_MODEL_LEN",
    "OPTION_QUANTIZE",
    "OPTION_MAX_LORAS",
    "OPTION_MAX_CPU_LORAS",
    "OPTION_MAX_LORA_RANK",
    "OPTION_LORA_DTYPE",
    "OPTION_FULLY_SHARDED_LORAS",
    *_EXPECTED,
)
"""The environment variables that `EngineSettings` reads."""


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """The settings of vLLM that decide the use of memory, from LMI's `OPTION_…` variables.

    tensor_parallel:
        Accelerators over which a copy is split; None for all of the copy's. None is LMI's `max`, its default
        (LmiConfigRecommender in djl-serving).
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
    lora:
        The settings of `LoraServing` in the environment, by name. The library sets these variables itself,
        and refuses an environment that has them.
    not_understood:
        Variables whose value the computation does not support, as `NAME=value`.
    """

    tensor_parallel: int | None = None
    number_bytes: int = 2
    cache_bytes: int | None = None
    utilization: float = _DEFAULT_UTILIZATION
    max_model_len: int | None = None
    quantize_bits: float | None = None
    lora: Mapping[str, object] = field(default_factory=dict)
    not_understood: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "EngineSettings":
        """Read the settings from a container's environment. No value is an error."""
        reader = _VariableReader(environment)
        # `LmiVersion.environment` writes these variables.
        lora = {
            "max_loras": reader.whole("OPTION_MAX_LORAS"),
            "max_cpu_loras": reader.whole("OPTION_MAX_CPU_LORAS"),
            "max_lora_rank": reader.whole("OPTION_MAX_LORA_RANK"),
            "lora_dtype": reader.one_of("OPTION_LORA_DTYPE", {dtype.value: dtype for dtype in LoraDtype}),
            "fully_sharded": reader.one_of("OPTION_FULLY_SHARDED_LORAS", {"true": True, "false": False}),
        }
        return cls(
            tensor_parallel=reader.whole("OPTION_TENSOR_PARALLEL_DEGREE", unset=("max",))
            or reader.whole("TENSOR_PARALLEL_DEGREE", unset=("max",)),
            number_bytes=reader.one_of("OPTION_DTYPE", _NUMBER_BYTES) or 2,
            cache_bytes=reader.one_of("OPTION_KV_CACHE_DTYPE", _CACHE_BYTES, unset=("auto",)),
            utilization=reader.share("OPTION_GPU_MEMORY_UTILIZATION") or _DEFAULT_UTILIZATION,
            max_model_len=reader.whole("OPTION_MAX_MODEL_LEN"),
            quantize_bits=reader.one_of("OPTION_QUANTIZE", {"fp8": 8}, unset=("awq", "gptq")),
            lora={setting: value for setting, value in lora.items() if value is not None},
            not_understood=reader.not_understood(),
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

    def not_understood(self) -> tuple[str, ...]:
        """Return the variables with an unsupported value, those of `_EXPECTED` included."""
        others = [
            self._assignment(name)
            for name, value in _EXPECTED.items()
            if self._text(name, (value,)) is not None
        ]
        return (*self._unsupported, *others)

    def _text(self, name: str, unset: tuple[str, ...]) -> str | None:
        text = self._environment.get(name, "").strip().lower()
        return None if text in ("", *unset) else text

    def _assignment(self, name: str) -> str:
        return f"{name}={self._environment[name]:.80}"
