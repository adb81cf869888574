"""Settings from the environment variables that LMI and vLLM containers read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

# vLLM's `MaxLoRARanks`.
LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)

# [V djl-serving] Some releases of LMI drop the value "false" of an option. They pass any other value on to
# vLLM as a flag of its own.
NO_PREFIX_CACHING = "--no-enable-prefix-caching"


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """The settings of a container; the defaults are LMI's.

    max_cpu_loras counts the adapters in GPU memory too, as vLLM does; None means max_loras. max_model_len is
    at most the model's own context length; None means that length. Above it vLLM refuses to start, but here
    the settings of a large model also work for a small one. prefix_caching is on unless a variable turns it
    off, as in vLLM; how the cache is keyed is no setting of a container.
    """

    enable_lora: bool = False
    max_loras: int = 4
    max_cpu_loras: int | None = None
    max_lora_rank: int = 16
    max_batch_size: int = 32
    max_model_len: int | None = None
    prefix_caching: bool = True

    def __post_init__(self) -> None:
        for name in ("max_loras", "max_batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"'{name}' should be at least 1, got {getattr(self, name)}")
        if self.max_cpu_loras is not None and self.max_cpu_loras < self.max_loras:
            raise ValueError(
                f"'max_cpu_loras' should be at least 'max_loras' ({self.max_loras}), got {self.max_cpu_loras}"
            )
        if self.max_lora_rank not in LORA_RANKS:
            ranks = ", ".join(map(str, LORA_RANKS))
            raise ValueError(f"'max_lora_rank' should be one of {ranks}, got {self.max_lora_rank}")
        if self.max_model_len is not None and self.max_model_len < 2:
            raise ValueError(f"'max_model_len' should be at least 2, got {self.max_model_len}")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read LMI's `OPTION_…` variables, or the AWS vLLM image's `SM_VLLM_…`."""

        def integer(*names: str) -> int | None:
            for name in names:
                if name in environment:
                    try:
                        return int(environment[name])
                    except ValueError:
                        raise ValueError(
                            f"'{name}' should be an integer, got '{environment[name]}'"
                        ) from None
            return None

        numbers = {
            "max_loras": integer("OPTION_MAX_LORAS", "SM_VLLM_MAX_LORAS"),
            "max_cpu_loras": integer("OPTION_MAX_CPU_LORAS", "SM_VLLM_MAX_CPU_LORAS"),
            "max_lora_rank": integer("OPTION_MAX_LORA_RANK", "SM_VLLM_MAX_LORA_RANK"),
            "max_batch_size": integer("OPTION_MAX_ROLLING_BATCH_SIZE", "SM_VLLM_MAX_NUM_SEQS"),
            "max_model_len": integer("OPTION_MAX_MODEL_LEN", "SM_VLLM_MAX_MODEL_LEN"),
        }

        def flag(name: str, default: bool) -> bool:
            value = environment.get(name, str(default)).lower()
            if value not in ("true", "false"):
                raise ValueError(f"'{name}' should be true or false, got '{environment[name]}'")
            return value == "true"

        return cls(
            enable_lora=flag("OPTION_ENABLE_LORA", flag("SM_VLLM_ENABLE_LORA", False)),
            prefix_caching=environment.get("OPTION_ENABLE_PREFIX_CACHING") != NO_PREFIX_CACHING
            and flag("OPTION_ENABLE_PREFIX_CACHING", True)
            and flag("SM_VLLM_ENABLE_PREFIX_CACHING", True)
            and not flag("SM_VLLM_NO_ENABLE_PREFIX_CACHING", False),
            **{name: number for name, number in numbers.items() if number is not None},
        )
