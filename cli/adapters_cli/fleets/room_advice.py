"""How many adapters a base model has room for, what a working set has of it, and the setting to change."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapter_fleet.common.counts import counted
from adapter_fleet.serving.engine_settings import (
    LMI_VARIABLES,
    VLLM_VARIABLES,
    EngineSettings,
    EngineVariables,
)
from adapter_fleet.usage.working_set import NEAR, Room, WorkingSet
from adapters_cli.aws.account import Account


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


def advice(working: WorkingSet, limits: LoraLimits, adapters: int) -> Mapping[str, tuple[Room, str]]:
    """Return for each limit what the working set has of it, and the setting to change.

    A limit that holds all of the fleet's adapters has room whatever is asked.
    """
    found = {}
    for setting, limit, variable, wait in (
        ("max_loras", limits.max_loras, limits.variables.max_loras, "a copy from CPU memory"),
        ("max_cpu_loras", limits.max_cpu_loras, limits.variables.max_cpu_loras, "a read from the disk"),
    ):
        room = working.room(limit, adapters)
        usual = counted(working.usual, "adapter")
        if room is Room.FITS:
            text = f"{limit} are enough for {usual} at a time"
        else:
            wanted = min(adapters, math.ceil(working.usual / NEAR))
            text = (
                f"{usual} at a time, and room for {limit}: beyond it, each request waits for {wait}; raise"
                f" {setting} ({variable}) to {wanted}"
            )
        found[setting] = (room, text)
    return found
