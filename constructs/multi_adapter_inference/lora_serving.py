"""The engine's limits for adapters, as an app gives them."""

from __future__ import annotations

from dataclasses import dataclass, fields

from aws_cdk import Token

from adapter_fleet.serving import lora_limits as serving
from multi_adapter_inference.arguments import checked


@checked
@dataclass(frozen=True, kw_only=True)
class LoraServing(serving.LoraServing):
    """Limits of the engine for LoRA adapters."""

    def __post_init__(self) -> None:
        for setting in fields(self):
            if Token.is_unresolved(getattr(self, setting.name)):
                raise ValueError(f"'{setting.name}' should be known at synth, got a token")
        super().__post_init__()
