"""Further instance types of an endpoint, for when the first one has no capacity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import aws_sagemaker as sagemaker

from multi_adapter_inference.arguments.argument_types import checked
from multi_adapter_inference.models.compute import ComputeRequirements
from multi_adapter_inference.models.instance_type import InstanceType

_MOST_POOLS = 5


@checked
@dataclass(frozen=True, kw_only=True)
class InstancePool:
    """Another instance type. SageMaker takes it where the types before it have no capacity.

    instance_type:
        The type of its instances.
    compute:
        What each copy takes there. Default: the same as on the endpoint's `instance_type`.

    Example::

        InstancePool(
            instance_type=InstanceType.ML_G6E_XLARGE,
            compute=ComputeRequirements(accelerators=1, min_memory=Size.gibibytes(16)),
        )
    """

    instance_type: InstanceType
    compute: ComputeRequirements | None = None


@dataclass(frozen=True, kw_only=True)
class InstancePools:
    """Every instance type of an endpoint with what a copy takes there, the first choice first."""

    pools: Sequence[tuple[InstanceType, ComputeRequirements]]

    @classmethod
    def of(
        cls, instance_type: InstanceType, compute: ComputeRequirements, further: Sequence[InstancePool]
    ) -> InstancePools:
        """Return the pools. Raises ValueError for too many of them, or for one type twice."""
        if len(further) >= _MOST_POOLS:
            raise ValueError(f"'instance_pools' should be at most {_MOST_POOLS - 1}, got {len(further)}")
        pools = [(instance_type, compute)]
        pools += [(pool.instance_type, pool.compute or compute) for pool in further]
        names = [type_.name for type_, _ in pools]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(
                "'instance_pools' should each have a type of its own, other than 'instance_type', got"
                f" {twice} twice"
            )
        return cls(pools=pools)

    @property
    def several(self) -> bool:
        """Whether there is more than one type."""
        return len(self.pools) > 1

    @property
    def differ(self) -> bool:
        """Whether a copy takes something else on some type."""
        return any(compute._amounts != self.pools[0][1]._amounts for _, compute in self.pools)

    @property
    def names(self) -> str:
        """The types in words."""
        return ", ".join(type_.name for type_, _ in self.pools)

    @property
    def scarcest(self) -> tuple[InstanceType, ComputeRequirements]:
        """The pool whose instances fit the fewest copies; one of which nothing is known comes first.

        Raises ValueError if a copy does not fit on an instance of some pool.
        """

        def copies(pool: tuple[InstanceType, ComputeRequirements]) -> int:
            fit = pool[1].copies_on(pool[0])
            return -1 if fit is None else fit

        return min(self.pools, key=copies)

    @property
    def resources(self) -> Sequence[sagemaker.CfnEndpointConfig.InstancePoolProperty]:
        """The properties of the production variant."""
        return [
            sagemaker.CfnEndpointConfig.InstancePoolProperty(instance_type=type_.name, priority=priority)
            for priority, (type_, _) in enumerate(self.pools, start=1)
        ]
