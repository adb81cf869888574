"""Places copies of base components on the instances of a variant, by the accelerators that they need."""

import math
import re
from collections.abc import Iterable
from typing import Any

from local_sagemaker.errors import HostingError

# The index of a copy's instance, and the accelerators that the copy takes there.
Placement = tuple[int, float]

# Accelerators of the instance types for multi-adapter endpoints [V, EC2's pages].
_ACCELERATORS = {
    **dict.fromkeys(("g4dn.xlarge", "g4dn.2xlarge", "g4dn.4xlarge", "g4dn.8xlarge", "g4dn.16xlarge"), 1),
    "g4dn.12xlarge": 4,
    **{
        f"{family}.{size}": count
        for family in ("g5", "g6", "g6e")
        for size, count in {
            **dict.fromkeys(("xlarge", "2xlarge", "4xlarge", "8xlarge", "16xlarge"), 1),
            **dict.fromkeys(("12xlarge", "24xlarge"), 4),
            "48xlarge": 8,
        }.items()
    },
    **dict.fromkeys(("p4d.24xlarge", "p4de.24xlarge", "p5.48xlarge", "p5e.48xlarge", "p5en.48xlarge"), 8),
    **dict.fromkeys(("p6-b200.48xlarge", "p6-b300.48xlarge"), 8),
    "p5.4xlarge": 1,
}

# [V] The SDK looks for "CapacityError" in the reason; the sentence is the one AWS's forums quote [T].
NO_ROOM = (
    "CapacityError: There are not enough hardware resources on the instances for this endpoint to create a "
    "copy of the inference component. Please ensure you have enough available resources or add more "
    "instances to your endpoint."
)


def accelerators(instance_type: str) -> float:
    """Number of accelerators of an instance type ("ml.g5.12xlarge"); infinite if unknown."""
    name = instance_type.removeprefix("ml.")
    if re.match(r"[cmrt]\d", name):
        # CPU families.
        return 0
    return _ACCELERATORS.get(name, math.inf)


def instance_count(variant: dict[str, Any]) -> int:
    """Largest number of instances of a production variant: with managed scaling, its maximum."""
    initial: int = variant.get("InitialInstanceCount", 1)
    if not scales_instances(variant):
        return initial
    most: int = variant["ManagedInstanceScaling"].get("MaxInstanceCount", initial)
    return max(initial, most)


def scales_instances(variant: dict[str, Any]) -> bool:
    """Whether the instances of a production variant follow its copies."""
    return bool(variant.get("ManagedInstanceScaling", {}).get("Status") == "ENABLED")


def needed_accelerators(specification: dict[str, Any]) -> float:
    """Number of accelerators that one copy of a base component reserves."""
    needed: float = specification["ComputeResourceRequirements"].get("NumberOfAcceleratorDevicesRequired", 0)
    return needed


def place(
    variant: dict[str, Any], needed: float, *, copies: int, taken: Iterable[Placement]
) -> list[Placement]:
    """Place new copies beside the `taken` placements; each needs `needed` accelerators.

    With managed scaling, a copy gets a new instance only if those with copies have no room. HostingError if
    there is no room.
    """
    free = _free_accelerators(variant)
    used: set[int] = set()
    for instance, count in taken:
        used.add(instance)
        if instance < len(free):
            free[instance] -= count
    placed = []
    for _ in range(copies):
        roomy = [instance for instance, room in enumerate(free) if room >= needed]
        if not roomy:
            raise HostingError(NO_ROOM)
        if scales_instances(variant):
            roomy = [instance for instance in roomy if instance in used] or roomy
        instance = max(roomy, key=free.__getitem__)
        free[instance] -= needed
        used.add(instance)
        placed.append((instance, needed))
    return placed


def move(variant: dict[str, Any], placements: list[Placement]) -> list[Placement]:
    """Place existing copies on another variant: on the same instance where there is room.

    HostingError if there is no room.
    """
    free = _free_accelerators(variant)
    moved = list(placements)
    displaced = []
    for index, (instance, needed) in enumerate(placements):
        if instance < len(free) and free[instance] >= needed:
            free[instance] -= needed
        else:
            displaced.append(index)
    for index in displaced:
        needed = placements[index][1]
        taken = [other for at, other in enumerate(moved) if at not in displaced or at < index]
        (moved[index],) = place(variant, needed, copies=1, taken=taken)
    return moved


def _free_accelerators(variant: dict[str, Any]) -> list[float]:
    return [accelerators(variant["InstanceType"])] * instance_count(variant)
