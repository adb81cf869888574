"""An inference component as it is kept: its states, what is deployed, and how listings see it."""

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from local_sagemaker.capacity import Placement
from local_sagemaker.hosting import Copy


class State(StrEnum):
    """Internal states, which refusals name [T]; the API shows the status of each."""

    CREATING = "CREATE_IN_PROGRESS"
    CREATE_FAILED = "CREATE_FAILED"
    IN_SERVICE = "IN_SERVICE"
    UPDATING = "UPDATE_IN_PROGRESS"
    UPDATING_COPIES = "UPDATE_RC_IN_PROGRESS"
    DELETING = "DELETE_IN_PROGRESS"

    @property
    def status(self) -> str:
        """The InferenceComponentStatus of the API."""
        return _STATUSES[self]

    @property
    def in_transition(self) -> bool:
        """Whether writes are refused for now."""
        return self not in (State.IN_SERVICE, State.CREATE_FAILED)

    @property
    def serves(self) -> bool:
        """Whether invocations reach it."""
        return self in (State.IN_SERVICE, State.UPDATING, State.UPDATING_COPIES)


_STATUSES = {
    State.CREATING: "Creating",
    State.CREATE_FAILED: "Failed",
    State.IN_SERVICE: "InService",
    State.UPDATING: "Updating",
    State.UPDATING_COPIES: "Updating",
    State.DELETING: "Deleting",
}


@dataclass(frozen=True)
class _Seen:
    """What a listing that looks at some moment sees."""

    moment: float
    status: str | None
    modified: float


@dataclass(kw_only=True, eq=False)
class Component:
    """A base component, or an adapter component when `base` names its base.

    registered_as is the name under which containers know an adapter; directory holds the deployed model or
    adapter. placements are the instance and the accelerators of each copy, those of the copies that run
    first; they are kept until deletion, if it failed too.
    """

    name: str
    arn: str
    endpoint: str
    variant: str
    specification: dict[str, Any]
    created: float
    modified: float
    base: str | None = None
    desired_copies: int = 0
    state: State = State.CREATING
    failure_reason: str | None = None
    copies: list[Copy] = field(default_factory=list)
    placements: list[Placement] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    directory: Path | None = None
    registered_as: str | None = None
    generation: int = 1
    # Held while the copies, or what is registered on them, change; never while waiting for requests.
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    # Held while copies are started or chosen to go, so that one such change knows what the last one left.
    rollout: asyncio.Lock = field(default_factory=asyncio.Lock)
    _seen: list[_Seen] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._seen.append(_Seen(self.created, self.state.status, self.modified))

    @property
    def artifact_url(self) -> str:
        """Where an adapter's archive is."""
        url: str = self.specification["Container"]["ArtifactUrl"]
        return url

    @property
    def running_copies(self) -> list[Copy]:
        """The copies that have not ended; one that has is about to be replaced."""
        return [copy for copy in self.copies if copy.running]

    def enter(self, state: State, moment: float) -> None:
        """Change the state."""
        self.state = state
        self.modified = moment
        self._seen.append(_Seen(moment, state.status, moment))

    def vanish(self, moment: float) -> None:
        """Note the end of the component, for listings that lag behind."""
        self._seen.append(_Seen(moment, None, moment))

    def seen_at(self, moment: float) -> tuple[str, float] | None:
        """The status and the last-modified time at a moment, None when it was not there."""
        for seen in reversed(self._seen):
            if seen.moment <= moment:
                return None if seen.status is None else (seen.status, seen.modified)
        return None

    def forget_before(self, moment: float) -> None:
        """Drop what no listing looks back to any more."""
        while len(self._seen) > 1 and self._seen[1].moment <= moment:
            del self._seen[0]
