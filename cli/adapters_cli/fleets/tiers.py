"""Which tier of memory each adapter should be in, from its last requests.

No container tells it. vLLM evicts the least recently used adapter, so the last ones that were asked are in
GPU memory. With several copies, each has its own, so this is an estimate.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from adapter_fleet.serving.engine_settings import (
    LMI_VARIABLES,
    VLLM_VARIABLES,
    EngineSettings,
    EngineVariables,
)
from adapters_cli.aws.account import Account
from adapters_cli.aws.component_metrics import LoadReading


class Tier(StrEnum):
    """A tier of memory."""

    GPU = "GPU"
    CPU = "CPU"
    DISK = "disk"


@dataclass(frozen=True, kw_only=True)
class LoraLimits:
    """How many adapters a copy has room for, in GPU memory and in CPU memory.

    variables:
        The names of its container's variables.
    """

    max_loras: int
    max_cpu_loras: int
    variables: EngineVariables = LMI_VARIABLES


def lora_limits(account: Account, base: str) -> LoraLimits | None:
    """Return how many adapters a copy of a base has room for; None if it is not known.

    The variables of its container say it, those of the component or of its model.
    """
    client = account.client("sagemaker")
    found = client.describe_inference_component(InferenceComponentName=base)
    # A base on several instance types has a specification for each.
    specification: dict[str, Any] = found.get("Specification") or next(
        iter(found.get("Specifications", ())), {}
    )
    variables = dict(specification.get("Container", {}).get("Environment", {}))
    if (model := specification.get("ModelName")) is not None:
        container = client.describe_model(ModelName=model).get("PrimaryContainer", {})
        variables = container.get("Environment", {}) | variables
    names = VLLM_VARIABLES if set(VLLM_VARIABLES.names) & variables.keys() else LMI_VARIABLES
    lora = EngineSettings.from_environment(variables, names).lora
    slots = lora.get("max_loras")
    if not isinstance(slots, int):
        return None
    in_memory = lora.get("max_cpu_loras")
    # vLLM's own default: as many as there are slots.
    most = in_memory if isinstance(in_memory, int) else slots
    return LoraLimits(max_loras=slots, max_cpu_loras=most, variables=names)


def estimated_tiers(adapters: Iterable[str], reading: LoadReading, limits: LoraLimits) -> dict[str, Tier]:
    """Return the tiers of a base's adapters, the last and most asked ones in GPU memory."""
    asked = [name for name in adapters if name in reading.loads and reading.loads[name].requests]

    def recent_first(name: str) -> tuple[float, float]:
        load = reading.loads[name]
        return -(load.last_request or 0.0), -load.requests

    ordered = sorted(asked, key=recent_first)
    return {
        name: Tier.GPU
        if place < limits.max_loras
        else Tier.CPU
        if place < limits.max_cpu_loras
        else Tier.DISK
        for place, name in enumerate(ordered)
    }
