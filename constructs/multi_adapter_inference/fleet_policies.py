"""What a fleet does when something goes wrong, or looks as if it had."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import Duration

from adapter_fleet.fleet.state import settings as fleet_settings
from adapter_fleet.fleet.state.settings import DeletionLimit, FailureLimit
from multi_adapter_inference.arguments import checked
from multi_adapter_inference.durations import check_minutes


@checked
@dataclass(frozen=True, kw_only=True)
class FailurePolicy:
    """How many adapters may fail before the deployment does. Made by one of its methods.

    Counted are the adapters that a deployment changes, not those it leaves alone. A deployment that fails is
    rolled back: the adapters that it did change are brought back to what they were.

    allowed_share:
        Of the changed adapters, rounded down.
    allowed_count:
        A number, in the place of the share.
    """

    allowed_share: float = 0.05
    allowed_count: int | None = None

    def __post_init__(self) -> None:
        _ = self.limit  # which says what cannot be

    @staticmethod
    def share(share: float) -> FailurePolicy:
        """Allow this share of the changed adapters, from 0 to 1, rounded down."""
        return FailurePolicy(allowed_share=share)

    @staticmethod
    def at_most(count: int) -> FailurePolicy:
        """Allow this many, whatever the number of changed adapters."""
        return FailurePolicy(allowed_count=count)

    @staticmethod
    def strict() -> FailurePolicy:
        """Allow none."""
        return FailurePolicy(allowed_count=0)

    @property
    def limit(self) -> FailureLimit:
        """It, as the Lambda functions take it."""
        return FailureLimit(share=self.allowed_share, count=self.allowed_count)


@checked
@dataclass(frozen=True, kw_only=True)
class DeletionGuard:
    """How much of a fleet one deployment, or one new manifest, may delete. Made by one of its methods.

    It stops the manifest that lost its second half. Deleting the stack and rolling back are never stopped.

    allowed_share:
        Of the adapters that the fleet has.
    above:
        A fleet of this many adapters or fewer may lose any of them, but not all.
    allow_empty:
        Whether a manifest without adapters may delete every one.
    """

    allowed_share: float = 0.2
    above: int = 10
    allow_empty: bool = False

    def __post_init__(self) -> None:
        _ = self.limit  # which says what cannot be

    @staticmethod
    def share(share: float, *, above: int = 10, allow_empty: bool = False) -> DeletionGuard:
        """Allow this share of the adapters, from 0 to 1.

        A fleet of `above` adapters or fewer may lose any of them. `allow_empty` allows a manifest without
        adapters as well.
        """
        return DeletionGuard(allowed_share=share, above=above, allow_empty=allow_empty)

    @staticmethod
    def off() -> DeletionGuard:
        """Allow any number, and all of them."""
        return DeletionGuard(allowed_share=1, allow_empty=True)

    @property
    def limit(self) -> DeletionLimit:
        """It, as the Lambda functions take it."""
        return DeletionLimit(share=self.allowed_share, above=self.above, allow_empty=self.allow_empty)


@checked
@dataclass(frozen=True, kw_only=True)
class DriftCheck:
    """How often to look for what someone changed by hand, and what to do then. Made by one of its methods.

    every:
        How often: in minutes, as EventBridge's rate expressions have no seconds.
    repairs:
        Whether what was changed is brought back, beside saying so.
    """

    every: Duration
    repairs: bool = False

    def __post_init__(self) -> None:
        check_minutes("every", self.every)

    @staticmethod
    def report(*, every: Duration) -> DriftCheck:
        """Say so in the registry and in `metric_drifted`."""
        return DriftCheck(every=every)

    @staticmethod
    def repair(*, every: Duration) -> DriftCheck:
        """Say so, and bring back what the manifest says."""
        return DriftCheck(every=every, repairs=True)

    @property
    def action(self) -> fleet_settings.DriftCheck:
        """What the Lambda functions do."""
        return fleet_settings.DriftCheck.REPAIR if self.repairs else fleet_settings.DriftCheck.REPORT
