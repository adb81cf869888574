"""What a fleet's working set has of its base model's room, and the setting to change."""

import math
from collections.abc import Mapping

from adapter_fleet.common.counts import counted
from adapter_fleet.usage.working_set import NEAR, Room, WorkingSet
from adapters_cli.fleets.tiers import LoraLimits


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
