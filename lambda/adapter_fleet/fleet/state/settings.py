"""How a fleet is kept: the settings of one fleet, as the construct passes them to the Lambda."""

from dataclasses import dataclass
from enum import StrEnum

from adapter_fleet.common.validators import (
    check_choice,
    check_flag,
    check_number,
    check_share,
    check_whole_number,
)
from adapter_fleet.manifest.desired import SmokeRequest

LONGEST_TIMEOUT_SECONDS = 55 * 60
"""CloudFormation gives a custom resource an hour; the rest is for the answer to arrive."""


class UpdateMode(StrEnum):
    """What to do if the service refuses to update an adapter in place.

    Example::

        AdapterFleet(
            stack, "Fleet", endpoint=endpoint, manifest=manifest, update_mode=UpdateMode.REPLACE
        )
    """

    IN_PLACE = "in-place"
    """Report the adapter as failed; its last version goes on serving."""
    REPLACE = "replace"
    """Delete it and create it again: it is away for as long as that takes."""


class OnTimeout(StrEnum):
    """How a deployment ends if adapters are still pending after its timeout.

    Example::

        AdapterFleet(stack, "Fleet", endpoint=endpoint, manifest=manifest, on_timeout=OnTimeout.FAIL)
    """

    SUCCEED = "succeed"
    """It succeeds and says how many are pending; the state machine goes on."""
    FAIL = "fail"
    """It fails, and CloudFormation rolls back."""


class DriftAction(StrEnum):
    """What a scheduled run does about changes made by hand."""

    REPORT = "report"
    """Say so in metrics and in the registry."""
    REPAIR = "repair"
    """Say so, and bring back what the manifest says."""


@dataclass(frozen=True, kw_only=True)
class FailureLimit:
    """How many of the adapters that an event changes may fail before the event does.

    share:
        Of the changed adapters, rounded down.
    count:
        An absolute number, whatever the share.
    """

    share: float = 0.05
    count: int | None = None

    def __post_init__(self) -> None:
        check_share("share", self.share)
        if self.count is not None:
            check_whole_number("count", self.count, at_least=0)

    def allowed(self, changes: int) -> int:
        """Return how many of `changes` may fail."""
        return self.count if self.count is not None else int(self.share * changes + 1e-9)


@dataclass(frozen=True, kw_only=True)
class DeletionLimit:
    """How much of a fleet an event may delete.

    share:
        Of the adapters that the fleet has.
    above:
        A fleet of this many adapters or fewer may lose any of them, but not all.
    allow_empty:
        Whether a manifest without adapters may delete every one.
    """

    share: float = 0.2
    above: int = 10
    allow_empty: bool = False

    def __post_init__(self) -> None:
        check_share("share", self.share)
        check_whole_number("above", self.above, at_least=0)
        check_flag("allow_empty", self.allow_empty)


@dataclass(frozen=True, kw_only=True)
class FleetSettings:
    """Every setting of a fleet that its Lambda goes by.

    request_rate:
        Writes a second to SageMaker at most; halved when the service throttles, and slowly raised again.
    timeout_seconds, on_timeout:
        How long a deployment waits for its adapters, and what happens then.
    drift:
        What a scheduled run does; None where there is none.
    max_lora_rank:
        The endpoint's limit, where it is known.
    base_model:
        The model's name that a manifest has to agree with, where it is known.
    smoke:
        The request for adapters that have none of their own in the manifest.
    """

    failures: FailureLimit = FailureLimit()
    deletions: DeletionLimit = DeletionLimit()
    update_mode: UpdateMode = UpdateMode.IN_PLACE
    request_rate: float = 5.0
    timeout_seconds: int = 3000
    on_timeout: OnTimeout = OnTimeout.SUCCEED
    drift: DriftAction | None = None
    allow_base_replacement: bool = False
    max_lora_rank: int | None = None
    base_model: str | None = None
    smoke: SmokeRequest | None = None

    def __post_init__(self) -> None:
        check_choice("update_mode", self.update_mode, UpdateMode)
        check_choice("on_timeout", self.on_timeout, OnTimeout)
        check_flag("allow_base_replacement", self.allow_base_replacement)
        check_number("request_rate", self.request_rate)
        if self.request_rate <= 0:
            raise ValueError(f"'request_rate' should be above 0, got {self.request_rate}")
        if not 0 < self.timeout_seconds <= LONGEST_TIMEOUT_SECONDS:
            raise ValueError(
                f"'timeout' should be above 0 and at most {LONGEST_TIMEOUT_SECONDS // 60} minutes, as"
                " CloudFormation waits an hour for a custom resource, got"
                f" {self.timeout_seconds / 60:g} minutes"
            )
