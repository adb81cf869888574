"""How the update of a base component replaces its copies: DeploymentConfig of UpdateInferenceComponent.

[V InferenceComponentRollingUpdatePolicy] A batch is 5 to 50 % of the copies. After each batch, the service
watches the alarms for WaitIntervalInSeconds. If one rings, or if the update takes longer than
MaximumExecutionTimeoutInSeconds, the old copies come back: in batches of RollbackMaximumBatchSize, by default
all at once.
"""

from dataclasses import dataclass
from typing import Any

from local_sagemaker.errors import validation_exception

_LEAST_PERCENT, _MOST_PERCENT = 5, 50


@dataclass(frozen=True, kw_only=True)
class RollingUpdate:
    """The batches of an update: copies in each, seconds after each, and what ends it early."""

    batch: int
    rollback_batch: int
    wait_seconds: float = 0.0
    timeout_seconds: float | None = None
    alarms: tuple[str, ...] = ()

    @classmethod
    def of(cls, config: dict[str, Any] | None, copies: int) -> "RollingUpdate":
        """The batches for a number of copies; without a configuration, all copies are one batch [I]."""
        everything = max(1, copies)
        if config is None:
            return cls(batch=everything, rollback_batch=everything)
        policy = config["RollingUpdatePolicy"]
        rollback = policy.get("RollbackMaximumBatchSize")
        alarms = config.get("AutoRollbackConfiguration", {}).get("Alarms", [])
        return cls(
            batch=_copies(policy["MaximumBatchSize"], everything),
            rollback_batch=everything if rollback is None else _copies(rollback, everything),
            wait_seconds=policy["WaitIntervalInSeconds"],
            timeout_seconds=policy.get("MaximumExecutionTimeoutInSeconds"),
            alarms=tuple(alarm["AlarmName"] for alarm in alarms if "AlarmName" in alarm),
        )


def _copies(size: dict[str, Any], copies: int) -> int:
    """How many copies a size of a batch is. [I] A share is rounded down, to at least one copy."""
    value: int = size["Value"]
    if size["Type"] == "CAPACITY_PERCENT":
        value = copies * value // 100
    return max(1, min(value, copies))


def check_batches(config: dict[str, Any], copies: int) -> None:
    """Raise a ValidationException for batches that the service does not take; the words are ours [I].

    [T AWS's blog on rolling updates] A component with one copy is updated with a batch of one.
    """
    policy = config["RollingUpdatePolicy"]
    size = policy["MaximumBatchSize"]
    value: int = size["Value"]
    if size["Type"] == "CAPACITY_PERCENT":
        fits = _LEAST_PERCENT <= value <= _MOST_PERCENT
    else:
        fits = value <= max(1, copies * _MOST_PERCENT // 100)
    if not fits:
        raise validation_exception(
            f"MaximumBatchSize should be {_LEAST_PERCENT} % to {_MOST_PERCENT} % of the {copies} copies of"
            f" the inference component, got {value} with type {size['Type']}."
        )
    rollback = policy.get("RollbackMaximumBatchSize", {"Type": "COPY_COUNT", "Value": 1})
    if rollback["Type"] == "CAPACITY_PERCENT" and rollback["Value"] > 100:
        raise validation_exception(
            f"RollbackMaximumBatchSize should be at most 100 %, got {rollback['Value']}."
        )
