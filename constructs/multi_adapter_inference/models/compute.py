"""What one copy of the base model takes of its instance, and how long it may take to start."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from aws_cdk import Duration, Size, SizeRoundingBehavior

from adapter_fleet.common.validators import holds_token
from multi_adapter_inference.arguments.argument_types import checked
from multi_adapter_inference.arguments.durations import whole_seconds
from multi_adapter_inference.models.instance_type import InstanceType

# StartupParameters of CreateInferenceComponent: both are 60 to 3,600 seconds. So is, from 300 seconds on,
# VariantInstanceProvisionTimeoutInSeconds of CreateEndpointConfig.
_SHORTEST_STARTUP_SECONDS = 60
_SHORTEST_PROVISION_SECONDS = 300
_LONGEST_STARTUP_SECONDS = 3600

Shares = Sequence[Fraction]
"""Parts of an instance's accelerators, vCPUs and memory."""

WHOLE: Shares = (Fraction(1),) * 3
"""All of an instance."""


@checked
@dataclass(frozen=True, kw_only=True)
class ComputeRequirements:
    """What each copy of the base model takes of its instance. The adapters share it.

    accelerators:
        The number of accelerators, at least 1: LMI and vLLM run on GPUs.
    min_memory:
        Memory of the host, not of the accelerators: at least 128 MiB.
    max_memory:
        The most memory of the host. Default: no limit.
    cpu_cores:
        vCPUs, at least 0.25. Default: no minimum.

    Example::

        ComputeRequirements(accelerators=4, min_memory=Size.mebibytes(32000))
    """

    accelerators: int
    min_memory: Size
    max_memory: Size | None = None
    cpu_cores: float | None = None

    def __post_init__(self) -> None:
        if not holds_token(self.accelerators) and self.accelerators < 1:
            raise ValueError(f"'accelerators' should be at least 1, got {self.accelerators}")
        if self.cpu_cores is not None and not holds_token(self.cpu_cores) and self.cpu_cores < 0.25:
            # NumberOfCpuCores in the botocore service model
            raise ValueError(f"'cpu_cores' should be at least 0.25, got {self.cpu_cores}")
        if self._min_mib is not None and self._min_mib < 128:
            # MemoryInMb in the botocore service model
            raise ValueError(f"'min_memory' should be at least 128 MiB, got {self._min_mib} MiB")
        max_mib = None if self.max_memory is None else _known_mib(self.max_memory)
        if max_mib is not None and self._min_mib is not None and max_mib < self._min_mib:
            raise ValueError(
                f"'max_memory' should be at least 'min_memory', {self._min_mib} MiB, got {max_mib} MiB"
            )

    @cached_property
    def _min_mib(self) -> int | None:
        return _known_mib(self.min_memory)

    @property
    def min_memory_mib(self) -> int | float:
        """The minimum in whole MiB, rounded up; may be a token."""
        return self.min_memory.to_mebibytes() if self._min_mib is None else self._min_mib

    @property
    def max_memory_mib(self) -> int | float | None:
        """The maximum in whole MiB, rounded up; may be a token."""
        if self.max_memory is None:
            return None
        known = _known_mib(self.max_memory)
        return self.max_memory.to_mebibytes() if known is None else known

    @cached_property
    def _amounts(self) -> tuple[float | None, ...]:
        """The numbers for comparisons, as the CDK compares no sizes."""
        return self.accelerators, self.min_memory_mib, self.max_memory_mib, self.cpu_cores

    def copies_on(self, instance_type: InstanceType) -> int | None:
        """Return how many copies fit on one instance, or None if nothing is known of the type.

        Raises ValueError with the scarce resource if not even one copy fits.
        """
        shares = self.shares_of(instance_type)
        return None if shares is None else int(1 // max(shares))

    def shares_of(self, instance_type: InstanceType) -> Shares | None:
        """Return which part of an instance's accelerators, vCPUs and memory a copy takes.

        A resource of which nothing is known counts as 0. None if nothing is known of any.

        Raises ValueError with the scarce resource if not even one copy fits.
        """
        shares = []
        for setting, needed, available, unit in (
            ("accelerators", self.accelerators, instance_type.accelerators, "accelerators"),
            ("cpu_cores", self.cpu_cores, instance_type.vcpus, "vCPUs"),
            ("min_memory", self._min_mib, _gib_to_mib(instance_type.memory_gib), "MiB of memory"),
        ):
            if needed is None or available is None or holds_token(needed):
                shares.append(Fraction(0))
                continue
            if needed > available:
                raise ValueError(
                    f"'{setting}' should be at most {available}, as {instance_type.name} has {available}"
                    f" {unit}, got {needed}"
                )
            shares.append(Fraction(needed) / available)
        return tuple(shares) if any(shares) else None


@checked
@dataclass(frozen=True, kw_only=True)
class StartupTimeouts:
    """How long instances and copies of the base model may take to start: at most 1 hour each.

    Default: SageMaker's own limits.

    model_download:
        The time to download the model's files onto the instance, at least 1 minute.
    container_health_check:
        The time until the container has loaded the model and answers its health check, at least 1 minute.
    instance_provision:
        How long SageMaker looks for instances that have capacity, at least 5 minutes. Only for
        `MultiAdapterEndpoint`; `InferenceEndpoint` has `instance_provision_timeout`.

    Example::

        StartupTimeouts(model_download=Duration.minutes(15))
    """

    model_download: Duration | None = None
    container_health_check: Duration | None = None
    instance_provision: Duration | None = None

    def __post_init__(self) -> None:
        for setting, timeout, shortest in (
            ("model_download", self.model_download, _SHORTEST_STARTUP_SECONDS),
            ("container_health_check", self.container_health_check, _SHORTEST_STARTUP_SECONDS),
            ("instance_provision", self.instance_provision, _SHORTEST_PROVISION_SECONDS),
        ):
            _check_timeout(setting, timeout, shortest)

    @property
    def of_copies(self) -> bool:
        """Whether a limit for the start of a copy is given."""
        return self.model_download is not None or self.container_health_check is not None


def check_instance_provision(setting: str, timeout: Duration | None) -> None:
    """Raise ValueError for a time that SageMaker does not look for instances."""
    _check_timeout(setting, timeout, _SHORTEST_PROVISION_SECONDS)


def _check_timeout(setting: str, timeout: Duration | None, shortest: int) -> None:
    if timeout is None:
        return
    seconds = whole_seconds(setting, timeout)
    if not shortest <= seconds <= _LONGEST_STARTUP_SECONDS:
        raise ValueError(
            f"'{setting}' should be between {shortest} and {_LONGEST_STARTUP_SECONDS} seconds, got {seconds}"
        )


def seconds_of(timeout: Duration | None) -> int | float | None:
    """Return a limit of `StartupTimeouts` in seconds; may be a token."""
    return None if timeout is None else timeout.to_seconds()


def _known_mib(size: Size) -> int | None:
    """Return a size in whole MiB, rounded up, or None for a token."""
    if size.is_unresolved():
        return None
    return math.ceil(size.to_mebibytes(rounding=SizeRoundingBehavior.NONE))


def _gib_to_mib(gib: int | None) -> int | None:
    return None if gib is None else gib * 1024
