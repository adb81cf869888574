"""How a change of the base model or its container replaces the copies: a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_sagemaker as sagemaker

from adapter_fleet.common.validators import check_whole_number
from multi_adapter_inference.arguments.argument_types import checked
from multi_adapter_inference.arguments.durations import whole_seconds

# InferenceComponentRollingUpdatePolicy in the botocore service model: a batch is 5 to 50 % of the copies.
_PERCENT = (5, 50)
_MOST_WAIT = Duration.hours(1)
_MOST_ALARMS = 10


@checked
@dataclass(frozen=True, kw_only=True)
class BatchSize:
    """How many copies one batch of a rolling update has. Made by one of its methods.

    Example::

        half, one = BatchSize.percent(50), BatchSize.copies(1)
    """

    type: Literal["COPY_COUNT", "CAPACITY_PERCENT"]
    value: int

    def __post_init__(self) -> None:
        check_whole_number("value", self.value, at_least=1)

    @staticmethod
    def copies(value: int) -> BatchSize:
        """Replace this many copies at a time."""
        return BatchSize(type="COPY_COUNT", value=value)

    @staticmethod
    def percent(value: int) -> BatchSize:
        """Replace this share of the copies at a time, from 5 to 50 %."""
        return BatchSize(type="CAPACITY_PERCENT", value=value)

    @property
    def in_copies(self) -> bool:
        """Whether it is a number of copies."""
        return self.type == "COPY_COUNT"

    @property
    def _property(self) -> sagemaker.CfnInferenceComponent.InferenceComponentCapacitySizeProperty:
        """The property of the component."""
        return sagemaker.CfnInferenceComponent.InferenceComponentCapacitySizeProperty(
            type=self.type, value=self.value
        )


@dataclass(frozen=True, kw_only=True)
class RollingUpdate:
    """The settings of `roll_updates` of an endpoint. Raises ValueError for what SageMaker refuses."""

    batch_size: BatchSize
    wait: Duration
    alarms: Sequence[cloudwatch.IAlarm]

    def __post_init__(self) -> None:
        size = self.batch_size
        if not size.in_copies and not _PERCENT[0] <= size.value <= _PERCENT[1]:
            raise ValueError(
                f"'batch_size' should be from {_PERCENT[0]} to {_PERCENT[1]} percent, got {size.value}"
            )
        if not 0 <= self.wait_seconds <= _MOST_WAIT.to_seconds():
            raise ValueError(f"'wait' should be at most an hour, got {self.wait.to_human_string()}")
        self._check_alarms()

    def _check_alarms(self) -> None:
        if len(self.alarms) > _MOST_ALARMS:
            raise ValueError(f"'alarms' should be at most {_MOST_ALARMS}, got {len(self.alarms)}")
        # The name is the property. One that the CDK makes is a token of its own.
        names = [alarm.alarm_name for alarm in self.alarms]
        twice = next((alarm for alarm in self.alarms if names.count(alarm.alarm_name) > 1), None)
        if twice is not None:
            raise ValueError(f"'alarms' should differ from each other, got '{twice.node.path}' twice")
        if self.alarms and not self.wait_seconds:
            raise ValueError(
                "'wait' should be above 0 with 'alarms', as SageMaker watches them for so long after each"
                " batch, got 0"
            )

    @property
    def wait_seconds(self) -> int:
        """The wait after each batch."""
        return whole_seconds("wait", self.wait)

    def check_copies(self, fewest: int) -> None:
        """Raise ValueError if a batch is more than half of the fewest copies that may run."""
        largest = max(1, fewest * _PERCENT[1] // 100)
        if self.batch_size.in_copies and self.batch_size.value > largest:
            raise ValueError(
                f"'batch_size' should be at most {largest}, half of the {fewest} copies that may run, got"
                f" {self.batch_size.value}; BatchSize.percent follows the copies"
            )

    @property
    def _property(self) -> sagemaker.CfnInferenceComponent.InferenceComponentDeploymentConfigProperty:
        """The property of the component."""
        cfn = sagemaker.CfnInferenceComponent
        return cfn.InferenceComponentDeploymentConfigProperty(
            rolling_update_policy=cfn.InferenceComponentRollingUpdatePolicyProperty(
                maximum_batch_size=self.batch_size._property,
                wait_interval_in_seconds=self.wait_seconds,
            ),
            auto_rollback_configuration=cfn.AutoRollbackConfigurationProperty(
                alarms=[cfn.AlarmProperty(alarm_name=alarm.alarm_name) for alarm in self.alarms]
            )
            if self.alarms
            else None,
        )
