"""Places copies of base components on the instances of a variant, by what each copy reserves."""

import logging
import math
import re
from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

from local_sagemaker.errors import HostingError

_log = logging.getLogger(__name__)


class Resources(NamedTuple):
    """Accelerators, MiB of memory and vCPUs: what an instance has, or what a copy reserves."""

    accelerators: float = 0
    memory: float = 0
    vcpus: float = 0

    def hold(self, needed: "Resources") -> bool:
        """Whether these resources are enough for a copy."""
        return all(has >= need for has, need in zip(self, needed, strict=True))

    def without(self, taken: "Resources") -> "Resources":
        """What is left of these resources."""
        return Resources(*(has - took for has, took in zip(self, taken, strict=True)))


# The index of a copy's instance, and what the copy reserves there.
Placement = tuple[int, Resources]

_GIB = 1024
_G_SIZES = {
    "xlarge": (1, 16, 4),
    "2xlarge": (1, 32, 8),
    "4xlarge": (1, 64, 16),
    "8xlarge": (1, 128, 32),
    "12xlarge": (4, 192, 48),
    "16xlarge": (1, 256, 64),
    "24xlarge": (4, 384, 96),
    "48xlarge": (8, 768, 192),
}
# Accelerators, GiB of memory and vCPUs of the instance types for multi-adapter endpoints [V, EC2's pages].
_INSTANCES = {
    **{f"g4dn.{size}": has for size, has in _G_SIZES.items() if size not in ("24xlarge", "48xlarge")},
    **{f"{family}.{size}": has for family in ("g5", "g6") for size, has in _G_SIZES.items()},
    **{f"g6e.{size}": (count, 2 * memory, vcpus) for size, (count, memory, vcpus) in _G_SIZES.items()},
    **dict.fromkeys(("p4d.24xlarge", "p4de.24xlarge"), (8, 1152, 96)),
    **dict.fromkeys(("p5.48xlarge", "p5e.48xlarge", "p5en.48xlarge", "p6-b200.48xlarge"), (8, 2048, 192)),
    "p6-b300.48xlarge": (8, 4096, 192),
    "p5.4xlarge": (1, 256, 16),
}
# CPU families: GiB of memory for each vCPU [V, EC2's pages]. The oldest (c4, r4) have a little less.
_CPU_TYPE = re.compile(r"([cmr])\d[a-z]*\.(?:medium|large|(\d*)xlarge)")
_GIB_PER_VCPU = {"c": 2, "m": 4, "r": 8}

# [V] The SDK looks for "CapacityError" in the reason; the sentence is the one AWS's forums quote [T].
NO_ROOM = (
    "CapacityError: There are not enough hardware resources on the instances for this endpoint to create a "
    "copy of the inference component. Please ensure you have enough available resources or add more "
    "instances to your endpoint."
)


@cache
def instance_resources(instance_type: str) -> Resources:
    """What an instance type ("ml.g5.12xlarge") has; infinite if unknown, with one warning in the log."""
    name = instance_type.removeprefix("ml.")
    if name in _INSTANCES:
        accelerators, gib, vcpus = _INSTANCES[name]
        return Resources(accelerators, gib * _GIB, vcpus)
    if match := _CPU_TYPE.fullmatch(name):
        vcpus = {"medium": 1, "large": 2}.get(name.partition(".")[2]) or 4 * int(match[2] or 1)
        return Resources(0, vcpus * _GIB_PER_VCPU[match[1]] * _GIB, vcpus)
    _log.warning("instance type %s is not known here: it has room for every copy", instance_type)
    # Of burstable types, the memory for each vCPU differs from size to size.
    return Resources(0 if re.match(r"t\d", name) else math.inf, math.inf, math.inf)


def instance_count(variant: dict[str, Any]) -> int:
    """Largest number of instances of a production variant: with managed scaling, its maximum."""
    initial: int = variant.get("InitialInstanceCount", 1)
    if not scales_instances(variant):
        return initial
    most: int = variant["ManagedInstanceScaling"].get("MaxInstanceCount", initial)
    return most


def scales_instances(variant: dict[str, Any]) -> bool:
    """Whether the instances of a production variant follow its copies."""
    return bool(variant.get("ManagedInstanceScaling", {}).get("Status") == "ENABLED")


def needed_resources(specification: dict[str, Any]) -> Resources:
    """What one copy of a base component reserves. [I] NumberOfCpuCoresRequired counts vCPUs."""
    compute = specification["ComputeResourceRequirements"]
    return Resources(
        compute.get("NumberOfAcceleratorDevicesRequired", 0),
        compute["MinMemoryRequiredInMb"],
        compute.get("NumberOfCpuCoresRequired", 0),
    )


def place_copies(
    variant: dict[str, Any], needed: Resources, *, copies: int, taken: Iterable[Placement], kept: float = 0.0
) -> list[Placement]:
    """Place new copies beside the `taken` placements.

    `kept` is the share of each instance's memory that no copy gets. With managed scaling, a copy gets a new
    instance only if those with copies have no room. HostingError if there is no room.
    """
    free = _free(variant, kept)
    used: set[int] = set()
    for instance, reserved in taken:
        used.add(instance)
        if instance < len(free):
            free[instance] = free[instance].without(reserved)
    placed = []
    for _ in range(copies):
        roomy = [instance for instance, room in enumerate(free) if room.hold(needed)]
        if not roomy:
            raise HostingError(NO_ROOM)
        if scales_instances(variant):
            roomy = [instance for instance in roomy if instance in used] or roomy
        instance = max(roomy, key=free.__getitem__)
        free[instance] = free[instance].without(needed)
        used.add(instance)
        placed.append((instance, needed))
    return placed


def room_beyond(reserved: Iterable[Placement], wanted: Iterable[Placement]) -> list[Placement]:
    """What `wanted` placements take of each instance beyond what the `reserved` ones take."""
    own, more = _by_instance(reserved), _by_instance(wanted)
    return [
        (instance, Resources(*(max(0, rest) for rest in needed.without(own.get(instance, Resources())))))
        for instance, needed in more.items()
    ]


def _by_instance(placements: Iterable[Placement]) -> dict[int, Resources]:
    totals: dict[int, Resources] = {}
    for instance, needed in placements:
        sums = zip(totals.get(instance, Resources()), needed, strict=True)
        totals[instance] = Resources(*map(sum, sums))
    return totals


def move_copies(
    variant: dict[str, Any], placements: list[Placement], *, kept: float = 0.0
) -> list[Placement]:
    """Place existing copies on another variant: on the same instance where there is room.

    `kept` is as for `place_copies`. HostingError if there is no room.
    """
    free = _free(variant, kept)
    moved = list(placements)
    displaced = []
    for index, (instance, needed) in enumerate(placements):
        if instance < len(free) and free[instance].hold(needed):
            free[instance] = free[instance].without(needed)
        else:
            displaced.append(index)
    for index in displaced:
        needed = placements[index][1]
        taken = [other for at, other in enumerate(moved) if at not in displaced or at < index]
        (moved[index],) = place_copies(variant, needed, copies=1, taken=taken, kept=kept)
    return moved


def room_on(instance_type: str, kept: float) -> Resources:
    """What an instance has for copies."""
    has = instance_resources(instance_type)
    return has._replace(memory=has.memory * (1 - kept))


def _free(variant: dict[str, Any], kept: float) -> list[Resources]:
    return [room_on(variant["InstanceType"], kept)] * instance_count(variant)
