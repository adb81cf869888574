"""The accelerated instance types that the LMI container's vLLM runs on, and their resources.

The source is the EC2 page of each family (g4dn, g5, g6, g6e, p4, p5). SageMaker puts `ml.` before the name.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from adapter_fleet.common.naming import near_names
from adapter_fleet.common.validators import holds_token

_MOST_SUGGESTIONS = 3

_WITHOUT_GPUS = {
    **dict.fromkeys(("c", "m", "r", "t"), "no accelerators"),
    "dl": "Gaudi accelerators",
    "inf": "Inferentia accelerators",
    "p2": "K80 GPUs",
    "trn": "Trainium accelerators",
}
"""What the families have that vLLM's CUDA build does not run on, by their name or its first letters.

vLLM needs a compute capability of 7.0 (its installation guide), and a K80 has 3.7.
"""


@dataclass(frozen=True, kw_only=True)
class Accelerator:
    """A kind of accelerator.

    memory_gib:
        The memory on the page of the instance type.
    visible_gib:
        The memory that a program sees. The driver and, on some, error correction keep the rest. It is the
        lowest "GPU 0 has a total capacity of …" of PyTorch in public issues, rounded down, so less certain.
    """

    name: str
    memory_gib: int
    visible_gib: float


T4 = Accelerator(name="T4", memory_gib=16, visible_gib=14.5)
A10G = Accelerator(name="A10G", memory_gib=24, visible_gib=22.0)
L4 = Accelerator(name="L4", memory_gib=24, visible_gib=22.0)
L40S = Accelerator(name="L40S", memory_gib=48, visible_gib=44.4)
A100_40 = Accelerator(name="A100", memory_gib=40, visible_gib=39.3)
A100_80 = Accelerator(name="A100", memory_gib=80, visible_gib=79.1)
H100 = Accelerator(name="H100", memory_gib=80, visible_gib=79.1)
H200 = Accelerator(name="H200", memory_gib=141, visible_gib=139.7)


@dataclass(frozen=True, kw_only=True)
class Instance:
    """An instance type and its resources."""

    name: str
    accelerator: Accelerator
    accelerators: int
    memory_gib: int
    vcpus: int

    @property
    def family(self) -> str:
        """The part of the name before the size: `ml.g5`."""
        return self.name.rpartition(".")[0]

    @property
    def accelerators_gib(self) -> float:
        """The memory of all accelerators that programs see."""
        return self.accelerators * self.accelerator.visible_gib


def _family(
    name: str, accelerator: Accelerator, sizes: Mapping[str, tuple[int, int, int]]
) -> dict[str, Instance]:
    """Return the types of a family by name. Each size has accelerators, GiB of memory and vCPUs."""
    return {
        f"ml.{name}.{size}": Instance(
            name=f"ml.{name}.{size}",
            accelerator=accelerator,
            accelerators=accelerators,
            memory_gib=memory_gib,
            vcpus=vcpus,
        )
        for size, (accelerators, memory_gib, vcpus) in sizes.items()
    }


_G5_SIZES = {
    "xlarge": (1, 16, 4),
    "2xlarge": (1, 32, 8),
    "4xlarge": (1, 64, 16),
    "8xlarge": (1, 128, 32),
    "12xlarge": (4, 192, 48),
    "16xlarge": (1, 256, 64),
    "24xlarge": (4, 384, 96),
    "48xlarge": (8, 768, 192),
}

INSTANCES: Mapping[str, Instance] = {
    **_family(
        "g4dn",
        T4,
        {
            "xlarge": (1, 16, 4),
            "2xlarge": (1, 32, 8),
            "4xlarge": (1, 64, 16),
            "8xlarge": (1, 128, 32),
            "12xlarge": (4, 192, 48),
            "16xlarge": (1, 256, 64),
        },
    ),
    **_family("g5", A10G, _G5_SIZES),
    **_family("g6", L4, _G5_SIZES),
    **_family(
        "g6e",
        L40S,
        {
            "xlarge": (1, 32, 4),
            "2xlarge": (1, 64, 8),
            "4xlarge": (1, 128, 16),
            "8xlarge": (1, 256, 32),
            "12xlarge": (4, 384, 48),
            "16xlarge": (1, 512, 64),
            "24xlarge": (4, 768, 96),
            "48xlarge": (8, 1536, 192),
        },
    ),
    **_family("p4d", A100_40, {"24xlarge": (8, 1152, 96)}),
    **_family("p4de", A100_80, {"24xlarge": (8, 1152, 96)}),
    **_family("p5", H100, {"4xlarge": (1, 256, 16), "48xlarge": (8, 2048, 192)}),
    **_family("p5e", H200, {"48xlarge": (8, 2048, 192)}),
    **_family("p5en", H200, {"48xlarge": (8, 2048, 192)}),
}
"""The instance types by name. A newer type is left out rather than guessed."""


def check_runs_vllm(setting: str, name: str) -> None:
    """Raise ValueError for an instance type without GPUs for the LMI and vLLM containers."""
    has = _instead_of_gpus(name)
    if has is not None:
        raise ValueError(
            f"'{setting}' should be an instance type with GPUs that vLLM runs on, such as ml.g5.xlarge, got"
            f" {name!r}, which has {has}"
        )


def _instead_of_gpus(name: str) -> str | None:
    family = name.removeprefix("ml.").partition(".")[0]
    return _WITHOUT_GPUS.get(family) or _WITHOUT_GPUS.get(re.split("[0-9]", family)[0])


def check_instance_type(setting: str, name: str) -> None:
    """Raise ValueError for an instance type without GPUs for vLLM, or, with similar names, an unknown one.

    A name without `ml.` passes: `InstanceType` has a message of its own for it.
    """
    check_runs_vllm(setting, name)
    if name in INSTANCES or not name.startswith("ml.") or holds_token(name):
        return
    if name in (known := _hosting_instance_types()):
        return
    similar = near_names(name, known, most=_MOST_SUGGESTIONS)
    hint = f"did you mean {', '.join(map(repr, similar))}?" if similar else "none is near"
    raise ValueError(
        f"'{setting}' should be a hosting instance type ({hint}), got {name!r}; of a type that is newer than"
        " botocore, give what it has, such as 'accelerators'"
    )


@cache
def _hosting_instance_types() -> frozenset[str]:
    """Return the hosting instance types in botocore's API model that may have GPUs for vLLM."""
    # Imported here: it takes long, and most of the command line does without.
    from botocore.loaders import Loader

    model = Loader().load_service_model("sagemaker", "service-2")
    known = model["shapes"]["ProductionVariantInstanceType"]["enum"]
    return frozenset(name for name in known if _instead_of_gpus(name) is None)
