"""SageMaker hosting instance types, as far as synth needs to know them."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import Size, SizeRoundingBehavior

from adapter_rules.hardware.instance_types import INSTANCES, check_instance_type, check_runs_vllm
from multi_adapter_inference.arguments.argument_types import checked


class _Known:
    """A descriptor: `ML_G5_XLARGE = _Known()` in the class below is the `InstanceType` of `ml.g5.xlarge`."""

    def __set_name__(self, owner: type[InstanceType], attribute: str) -> None:
        self._name = attribute.lower().replace("_", ".")

    def __get__(self, instance: InstanceType | None, owner: type[InstanceType]) -> InstanceType:
        return owner(name=self._name)


@checked
@dataclass(frozen=True, kw_only=True)
class InstanceType:
    """A hosting instance type with GPUs, and what one instance has. Facts given here win over known ones.

    Synth does not check a fact that is neither given nor known. A name that neither this library nor
    botocore's API model has is an error, unless a fact is given with it.

    name:
        The name with `ml.`.
    accelerators:
        The number of accelerators.
    accelerator_memory_gib:
        The memory of one accelerator, in GiB.
    memory_gib:
        The memory of the host, in GiB.
    vcpus:
        The number of vCPUs.
    local_storage:
        Whether the disks are NVMe in the host, which encrypts them in hardware and takes no KMS key.

    Example::

        known = InstanceType.ML_G5_12XLARGE
        newer = InstanceType.of("ml.g9.xlarge", accelerators=1, memory=Size.gibibytes(64))
    """

    name: str
    accelerators: int | None = None
    accelerator_memory_gib: int | None = None
    memory_gib: int | None = None
    vcpus: int | None = None
    local_storage: bool | None = None

    # adapter_rules.hardware.instance_types has their facts. They are written out here for editors.
    ML_G4DN_XLARGE = _Known()
    ML_G4DN_2XLARGE = _Known()
    ML_G4DN_4XLARGE = _Known()
    ML_G4DN_8XLARGE = _Known()
    ML_G4DN_12XLARGE = _Known()
    ML_G4DN_16XLARGE = _Known()
    ML_G5_XLARGE = _Known()
    ML_G5_2XLARGE = _Known()
    ML_G5_4XLARGE = _Known()
    ML_G5_8XLARGE = _Known()
    ML_G5_12XLARGE = _Known()
    ML_G5_16XLARGE = _Known()
    ML_G5_24XLARGE = _Known()
    ML_G5_48XLARGE = _Known()
    ML_G6_XLARGE = _Known()
    ML_G6_2XLARGE = _Known()
    ML_G6_4XLARGE = _Known()
    ML_G6_8XLARGE = _Known()
    ML_G6_12XLARGE = _Known()
    ML_G6_16XLARGE = _Known()
    ML_G6_24XLARGE = _Known()
    ML_G6_48XLARGE = _Known()
    ML_G6E_XLARGE = _Known()
    ML_G6E_2XLARGE = _Known()
    ML_G6E_4XLARGE = _Known()
    ML_G6E_8XLARGE = _Known()
    ML_G6E_12XLARGE = _Known()
    ML_G6E_16XLARGE = _Known()
    ML_G6E_24XLARGE = _Known()
    ML_G6E_48XLARGE = _Known()
    ML_P4D_24XLARGE = _Known()
    ML_P4DE_24XLARGE = _Known()
    ML_P5_4XLARGE = _Known()
    ML_P5_48XLARGE = _Known()
    ML_P5E_48XLARGE = _Known()
    ML_P5EN_48XLARGE = _Known()

    def __post_init__(self) -> None:
        if not self.name.startswith("ml."):
            raise ValueError(
                f"'name' should be a hosting instance type such as 'ml.g5.xlarge', got {self.name!r}"
            )
        check_runs_vllm("name", self.name)
        facts = ("accelerators", "accelerator_memory_gib", "memory_gib", "vcpus", "local_storage")
        missing = [fact for fact in facts if getattr(self, fact) is None]
        if len(missing) == len(facts):
            check_instance_type("name", self.name)
        if (known := INSTANCES.get(self.name)) is None:
            return
        values = (known.accelerators, known.accelerator.memory_gib, known.memory_gib, known.vcpus, True)
        for fact, value in zip(facts, values, strict=True):
            if fact in missing:
                object.__setattr__(self, fact, value)

    @classmethod
    def of(
        cls,
        name: str,
        *,
        accelerators: int | None = None,
        accelerator_memory: Size | None = None,
        memory: Size | None = None,
        vcpus: int | None = None,
        local_storage: bool | None = None,
    ) -> InstanceType:
        """Return the type of that name.

        accelerators, accelerator_memory, memory, vcpus, local_storage:
            The facts of the class.
        """
        return cls(
            name=name,
            accelerators=accelerators,
            accelerator_memory_gib=_gib(accelerator_memory),
            memory_gib=_gib(memory),
            vcpus=vcpus,
            local_storage=local_storage,
        )


def _gib(size: Size | None) -> int | None:
    return None if size is None else int(size.to_gibibytes(rounding=SizeRoundingBehavior.FLOOR))
