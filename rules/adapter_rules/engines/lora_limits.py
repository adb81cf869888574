"""The limits of a base model's engine on LoRA adapters: their number and their rank."""

from dataclasses import dataclass

from adapter_fleet.common.validators import check_whole_number

LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""The maximum ranks that vLLM accepts (`MaxLoRARanks` in vllm/config/lora.py). Newer engines accept 1."""


@dataclass(frozen=True, kw_only=True)
class LoraServing:
    """The engine's limits for LoRA adapters.

    max_loras:
        Adapters in GPU memory, and so the most different adapters in one batch. At start-up, the engine takes
        memory for this many adapters of `max_lora_rank`, whatever their real ranks.
    max_cpu_loras:
        Adapters in CPU memory, *including* those in GPU memory: at least `max_loras`. Others are read from
        disk when called.
    max_lora_rank:
        The highest rank of any adapter: 8, 16, 32, 64, 128, 256, 320 or 512. From LMI 17 on, and in every
        `VllmVersion`, it may be 1.

    Example::

        LoraServing(max_loras=30, max_cpu_loras=70, max_lora_rank=64)
    """

    max_loras: int
    max_cpu_loras: int
    max_lora_rank: int

    def __post_init__(self) -> None:
        # vLLM checks the same when the container starts, minutes later (LoRAConfig in vllm/config/lora.py).
        for setting in ("max_loras", "max_cpu_loras", "max_lora_rank"):
            check_whole_number(setting, getattr(self, setting), at_least=1)
        if self.max_cpu_loras < self.max_loras:
            raise ValueError(
                f"'max_cpu_loras' should be at least {self.max_loras}, as it includes those of 'max_loras',"
                f" got {self.max_cpu_loras}"
            )
        if self.max_lora_rank not in (1, *LORA_RANKS):
            raise ValueError(
                f"'max_lora_rank' should be one of {', '.join(map(str, LORA_RANKS))}"
                f" (or 1 from LMI 17 on), got {self.max_lora_rank}"
            )
