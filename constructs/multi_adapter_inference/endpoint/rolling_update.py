"""How a change of the base model or its container replaces the copies: a batch at a time."""

from __future__ import annotations

import math
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
_TIMEOUT = (Duration.minutes(10), Duration.hours(8))
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

    def of(self, copies: int) -> int:
        """Return how many copies a batch has at most."""
        return self.value if self.in_copies else max(1, copies * self.value // 100)

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
    rollback_batch_size: BatchSize | None
    timeout: Duration | None

    def __post_init__(self) -> None:
        size, rollback = self.batch_size, self.rollback_batch_size
        if not size.in_copies and not _PERCENT[0] <= size.value <= _PERCENT[1]:
            raise ValueError(
                f"'batch_size' should be from {_PERCENT[0]} to {_PERCENT[1]} percent, got {size.value}"
            )
        if rollback is not None and not rollback.in_copies and rollback.value > 100:
            raise ValueError(f"'rollback_batch_size' should be at most 100 percent, got {rollback.value}")
        if not 0 <= self.wait_seconds <= _MOST_WAIT.to_seconds():
            raise ValueError(f"'wait' should be at most an hour, got {self.wait.to_human_string()}")
        if self.timeout is not None and not _in_range(self.timeout):
            raise ValueError(
                f"'timeout' should be from 10 minutes to 8 hours, got {self.timeout.to_human_string()}"
            )
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

    def check_copies(self, fewest: int, most: int) -> None:
        """Raise ValueError if the batches cannot be for so many copies, or take longer than they may."""
        largest = max(1, fewest * _PERCENT[1] // 100)
        if self.batch_size.in_copies and self.batch_size.value > largest:
            raise ValueError(
                f"'batch_size' should be at most {largest}, half of the {fewest} copies that may run, got"
                f" {self.batch_size.value}; BatchSize.percent follows the copies"
            )
        if self.timeout is None:
            return
        batches = math.ceil(most / self.batch_size.of(most))
        waits = batches * self.wait_seconds
        timeout = whole_seconds("timeout", self.timeout)
        if waits >= timeout:
            raise ValueError(
                f"'timeout' should be above {waits} seconds, as {most} copies are {batches} batches with a"
                f" 'wait' of {self.wait_seconds} seconds each, got {timeout}"
            )

    @property
    def _property(self) -> sagemaker.CfnInferenceComponent.InferenceComponentDeploymentConfigProperty:
        """The property of the component."""
        cfn, rollback = sagemaker.CfnInferenceComponent, self.rollback_batch_size
        return cfn.InferenceComponentDeploymentConfigProperty(
            rolling_update_policy=cfn.InferenceComponentRollingUpdatePolicyProperty(
                maximum_batch_size=self.batch_size._property,
                wait_interval_in_seconds=self.wait_seconds,
                rollback_maximum_batch_size=None if rollback is None else rollback._property,
                maximum_execution_timeout_in_seconds=None
                if self.timeout is None
                else whole_seconds("timeout", self.timeout),
            ),
            auto_rollback_configuration=cfn.AutoRollbackConfigurationProperty(
                alarms=[cfn.AlarmProperty(alarm_name=alarm.alarm_name) for alarm in self.alarms]
            )
            if self.alarms
            else None,
        )


def _in_range(timeout: Duration) -> bool:
    least, most = (limit.to_seconds() for limit in _TIMEOUT)
    return least <= whole_seconds("timeout", timeout) <= most
