"""Inference components as SageMaker reports them. All times are seconds since 1970."""

from dataclasses import dataclass
from enum import StrEnum

from adapter_fleet.common.bounded_text import bound_texts


class Status(StrEnum):
    """The statuses of an inference component (`InferenceComponentStatus` in botocore's service model).

    A status that is not in this list keeps its name and counts as in transition.
    """

    IN_SERVICE = "InService"
    CREATING = "Creating"
    UPDATING = "Updating"
    FAILED = "Failed"
    DELETING = "Deleting"

    @classmethod
    def _missing_(cls, value: object) -> "Status | None":
        if not isinstance(value, str):
            return None
        # SageMaker has added a status. It may refuse writes in that status.
        unknown = str.__new__(cls, value)
        unknown._name_ = unknown._value_ = value
        return unknown

    @property
    def in_transition(self) -> bool:
        """True if SageMaker refuses writes for now."""
        return self not in (Status.IN_SERVICE, Status.FAILED)


@dataclass(frozen=True, kw_only=True)
class ObservedComponent:
    """The newest observation of a component: from a describe, or from a listing.

    artifact_uri, base, failure_reason:
        Only a describe reports them.
    described:
        True if the observation is from a describe.
    doubtful:
        True if a later listing left the component out. Listings may lag behind.
    """

    status: Status
    created: float
    modified: float
    arn: str | None = None
    endpoint: str | None = None
    artifact_uri: str | None = None
    base: str | None = None
    failure_reason: str | None = None
    described: bool = False
    doubtful: bool = False

    def __post_init__(self) -> None:
        bound_texts(self, ("failure_reason",))


@dataclass(frozen=True, kw_only=True)
class ObservedBase:
    """A describe of the base component.

    version:
        A hash that changes when the component gets another model or container.
    copies:
        How many copies there are, or will be once a change of their number has ended. 0 if none answers, or
        if none will.
    running:
        How many copies there are now.
    """

    live: ObservedComponent
    version: str
    copies: int = 1
    running: int = 1
