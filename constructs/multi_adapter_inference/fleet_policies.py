"""What a fleet does when something goes wrong, or looks as if it had."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import Duration

from adapter_fleet import fleet_settings
from adapter_fleet.fleet_settings import DeletionLimit, FailureLimit

_SHORTEST_DRIFT_SECONDS = 60
"""EventBridge's rate expressions have no seconds."""


@dataclass(frozen=True)
class FailurePolicy:
    """How many adapters may fail before the deployment does. Made by one of its methods.

    Counted are the adapters that a deployment changes, not those it leaves alone. A deployment that fails is
    rolled back: the adapters that it did change are brought back to what they were.
    """

    limit: FailureLimit

    @staticmethod
    def share(share: float) -> FailurePolicy:
        """Allow this share of the changed adapters, from 0 to 1, rounded down."""
        return FailurePolicy(FailureLimit(share=share))

    @staticmethod
    def at_most(count: int) -> FailurePolicy:
        """Allow this many, whatever the number of changed adapters."""
        return FailurePolicy(FailureLimit(count=count))

    @staticmethod
    def strict() -> FailurePolicy:
        """Allow none."""
        return FailurePolicy(FailureLimit(count=0))


@dataclass(frozen=True)
class DeletionGuard:
    """How much of a fleet one deployment, or one new manifest, may delete. Made by one of its methods.

    It stops the manifest that lost its second half. Deleting the stack and rolling back are never stopped.
    """

    limit: DeletionLimit

    @staticmethod
    def share(share: float, *, above: int = 10, allow_empty: bool = False) -> DeletionGuard:
        """Allow this share of the adapters, from 0 to 1.

        A fleet of `above` adapters or fewer may lose any of them. `allow_empty` allows a manifest without
        adapters as well.
        """
        return DeletionGuard(DeletionLimit(share=share, above=above, allow_empty=allow_empty))

    @staticmethod
    def off() -> DeletionGuard:
        """Allow any number, and all of them."""
        return DeletionGuard(DeletionLimit(share=1, allow_empty=True))


@dataclass(frozen=True)
class DriftCheck:
    """How often to look for what someone changed by hand, and what to do then. Made by one of its methods."""

    action: fleet_settings.DriftCheck
    every: Duration

    def __post_init__(self) -> None:
        if not self.every.is_unresolved() and self.every.to_seconds() < _SHORTEST_DRIFT_SECONDS:
            raise ValueError(f"'every' should be at least a minute, got {self.every.to_human_string()}")

    @staticmethod
    def report(*, every: Duration) -> DriftCheck:
        """Say so in the registry and in `metric_drifted`."""
        return DriftCheck(fleet_settings.DriftCheck.REPORT, every)

    @staticmethod
    def repair(*, every: Duration) -> DriftCheck:
        """Say so, and bring back what the manifest says."""
        return DriftCheck(fleet_settings.DriftCheck.REPAIR, every)
