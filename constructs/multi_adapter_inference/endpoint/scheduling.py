"""On which instances the copies of a base model are placed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from aws_cdk import aws_sagemaker as sagemaker

from adapter_fleet.common.validators import check_whole_number
from multi_adapter_inference.arguments.argument_types import checked

# MaxImbalance in the botocore service model
_MOST_IMBALANCE = 100


class PlacementStrategy(StrEnum):
    """How copies are placed on the instances, within each Availability Zone.

    Example::

        CopyScheduling(strategy=PlacementStrategy.BINPACK)
    """

    SPREAD = "SPREAD"
    """Evenly over the instances: one that fails takes fewer copies with it."""
    BINPACK = "BINPACK"
    """On as few instances as possible."""


@checked
@dataclass(frozen=True, kw_only=True)
class CopyScheduling:
    """On which instances the copies are placed when copies are added or removed.

    strategy:
        Over all instances, or on few.
    max_zone_imbalance:
        By how many copies any two Availability Zones may differ, if the capacity allows it: from 0 to 100.
        Default: 0.

    Example::

        CopyScheduling(strategy=PlacementStrategy.SPREAD, max_zone_imbalance=1)
    """

    strategy: PlacementStrategy
    max_zone_imbalance: int = 0

    def __post_init__(self) -> None:
        check_whole_number("max_zone_imbalance", self.max_zone_imbalance, at_least=0)
        if self.max_zone_imbalance > _MOST_IMBALANCE:
            raise ValueError(
                f"'max_zone_imbalance' should be at most {_MOST_IMBALANCE}, got {self.max_zone_imbalance}"
            )

    @property
    def _property(self) -> sagemaker.CfnInferenceComponent.InferenceComponentSchedulingConfigProperty:
        """The property of the component."""
        cfn = sagemaker.CfnInferenceComponent
        return cfn.InferenceComponentSchedulingConfigProperty(
            placement_strategy=self.strategy.value,
            # CloudFormation requires it; PERMISSIVE is the only mode.
            availability_zone_balance=cfn.InferenceComponentAvailabilityZoneBalanceProperty(
                enforcement_mode="PERMISSIVE", max_imbalance=self.max_zone_imbalance
            ),
        )
