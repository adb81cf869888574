"""What a container's environment says about memory."""

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

# One stage has all layers, every module has its slots, and nothing else is in the memory.
_PLAIN = {
    "OPTION_PIPELINE_PARALLEL_DEGREE": "1",
    "OPTION_LORA_TARGET_MODULES": "",
    "OPTION_CPU_OFFLOAD_GB": "0",
    "OPTION_KV_CACHE_MEMORY_BYTES": "",
    "OPTION_SPECULATIVE_CONFIG": "",
}

COUNTED = (
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
    *_PLAIN,
)
"""The variables that `EngineSettings` looks at."""


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """The settings of vLLM, in LMI's `OPTION_…` variables, that decide what takes how much memory.

    tensor_parallel:
        Accelerators over which a copy is split; None for all that it has, LMI's `max`, which is its default
        (LmiConfigRecommender in djl-serving).
    number_bytes:
        Bytes of a number in the model: 2 for float16, bfloat16 and `auto`, as vLLM halves float32 models.
    cache_bytes:
        Bytes of a number in the key-value cache; None for those of the model.
    utilization:
        The share of an accelerator's memory that vLLM takes. Its default was 0.9 for years and is 0.92 in
        vLLM 0.26 (vllm/config/cache.py): the lower one is counted with.
    max_model_len:
        The longest sequence in tokens; None for the model's own.
    quantize_bits:
        Bits of a linear parameter where the engine quantizes the model when it loads it.
    lora:
        What is set of `LoraServing`, by the names of its settings. The library sets these itself, so they are
        in no environment that it takes.
    not_understood:
        Variables with a value that cannot be counted with, as `NAME=value`.
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
        """Read them from a container's environment. Nothing in it is an error."""
        reader = _Reader(environment)
        # The names are those that `LmiVersion.environment` gives them.
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


class _Reader:
    """Reads variables, and remembers those with a value that it does not understand."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._bad: list[str] = []

    def whole(self, name: str, *, unset: tuple[str, ...] = ()) -> int | None:
        text = self._text(name, unset)
        # Not int() alone: it takes "1_000" and other digits than these.
        if text is not None and not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
            self._bad.append(self._shown(name))
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
        self._bad.append(self._shown(name))
        return None

    def one_of(self, name: str, values: Mapping[str, _T], *, unset: tuple[str, ...] = ()) -> _T | None:
        text = self._text(name, unset)
        if text is not None and text not in values:
            self._bad.append(self._shown(name))
        return values.get(text or "")

    def not_understood(self) -> tuple[str, ...]:
        """Return those, and those of `_PLAIN` with another value than the one that changes nothing."""
        others = [
            self._shown(name) for name, value in _PLAIN.items() if self._text(name, (value,)) is not None
        ]
        return (*self._bad, *others)

    def _text(self, name: str, unset: tuple[str, ...]) -> str | None:
        text = self._environment.get(name, "").strip().lower()
        return None if text in ("", *unset) else text

    def _shown(self, name: str) -> str:
        return f"{name}={self._environment[name]:.80}"
