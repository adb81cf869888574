"""Settings from the environment variables that LMI and vLLM containers read."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from local_sagemaker.container_protocol import ContainerVariables

# vLLM's `MaxLoRARanks`.
LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """The settings of a container; the defaults are LMI's.

    max_cpu_loras counts the adapters in GPU memory too, as vLLM does; None means max_loras. max_model_len is
    at most the model's own context length; None means that length. Above it vLLM refuses to start, but here
    the settings of a large model also work for a small one. prefix_caching is on unless a variable turns it
    off, as in vLLM; how the cache is keyed is no setting of a container. runtime_lora is for vLLM: LMI always
    registers adapters.
    """

    enable_lora: bool = False
    max_loras: int = 4
    max_cpu_loras: int | None = None
    max_lora_rank: int = 16
    max_batch_size: int = 32
    max_model_len: int | None = None
    prefix_caching: bool = True
    runtime_lora: bool = False

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
        given = dataclasses.asdict(ContainerVariables.of(environment))
        return cls(**{name: value for name, value in given.items() if value is not None})
