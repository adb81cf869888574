"""The record of an inference component: its states, what is deployed, and what listings see of it."""

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from local_sagemaker.control_plane.capacity import Placement
from local_sagemaker.control_plane.endpoint_record import EndpointRecord
from local_sagemaker.control_plane.ports import Copy


class State(StrEnum):
    """Internal states, which refusals name [T]; the API shows the status of each."""

    CREATING = "CREATE_IN_PROGRESS"
    CREATE_FAILED = "CREATE_FAILED"
    IN_SERVICE = "IN_SERVICE"
    UPDATING = "UPDATE_IN_PROGRESS"
    UPDATING_COPIES = "UPDATE_RC_IN_PROGRESS"
    # [I] No source has its name.
    ROLLING_BACK = "UPDATE_ROLLBACK_IN_PROGRESS"
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
        """Whether the component answers invocations."""
        return self in (State.IN_SERVICE, State.UPDATING, State.UPDATING_COPIES, State.ROLLING_BACK)


_STATUSES = {
    State.CREATING: "Creating",
    State.CREATE_FAILED: "Failed",
    State.IN_SERVICE: "InService",
    State.UPDATING: "Updating",
    State.UPDATING_COPIES: "Updating",
    State.ROLLING_BACK: "Updating",
    State.DELETING: "Deleting",
}


@dataclass(frozen=True)
class _Snapshot:
    """The listed state from a moment on; status None means that the component is deleted."""

    moment: float
    status: str | None


@dataclass(kw_only=True, eq=False)
class Component:
    """The common part of base components and adapters.

    directory holds the deployed model or adapter.
    """

    name: str
    arn: str
    endpoint: EndpointRecord
    variant: str
    specification: dict[str, Any]
    created: float
    state: State = State.CREATING
    failure_reason: str | None = None
    directory: Path | None = None
    _history: list[_Snapshot] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.enter(self.state, self.created)

    @property
    def modified(self) -> float:
        """The moment of the last change of the state."""
        return self._history[-1].moment

    def enter(self, state: State, moment: float) -> None:
        """Change the state."""
        self.state = state
        self._history.append(_Snapshot(moment, state.status))

    def vanish(self, moment: float) -> None:
        """Record the end of the component, for listings that lag behind."""
        self._history.append(_Snapshot(moment, None))

    def seen_at(self, moment: float) -> tuple[str, float] | None:
        """The status and the last-modified time at a moment, None if the component did not exist."""
        for snapshot in reversed(self._history):
            if snapshot.moment <= moment:
                return None if snapshot.status is None else (snapshot.status, snapshot.moment)
        return None

    def forget_before(self, moment: float) -> None:
        """Drop the snapshots that no listing of this moment or later shows."""
        while len(self._history) > 1 and self._history[1].moment <= moment:
            del self._history[0]


@dataclass(kw_only=True, eq=False)
class BaseComponent(Component):
    """A base model with its copies.

    desired_copies is how many the last change left, requested_copies how many a change in progress asks for.
    deployment is how its last update was to go. placements are the instance and the reservation of each copy,
    in the order of the copies. They stay reserved until deletion, even if the component failed. rolling is
    True during a rolling update.
    specifications has one specification for each instance type, if the component was given several;
    specification is then the one in force.
    """

    desired_copies: int
    requested_copies: int
    specifications: list[dict[str, Any]] | None = None
    deployment: dict[str, Any] | None = None
    copies: list[Copy] = field(default_factory=list)
    placements: list[Placement] = field(default_factory=list)
    rolling: bool = False
    environment: dict[str, str] = field(default_factory=dict)
    # Held while the copies, or the adapters on them, change. Never held while waiting for requests.
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    # Held while copies are started or chosen to end, so that such changes come one after the other.
    rollout: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def production_variant(self) -> dict[str, Any]:
        """The production variant that the copies run on."""
        variant = self.endpoint.variant(self.variant)
        assert variant is not None  # an endpoint keeps the variants that have components
        return variant

    @property
    def running_copies(self) -> list[Copy]:
        """The copies that have not ended; an ended copy is about to be replaced."""
        return [copy for copy in self.copies if copy.running]


@dataclass(kw_only=True, eq=False)
class AdapterComponent(Component):
    """An adapter on the copies of its base.

    registered_as is the adapter's name in the containers, None before the first registration. version counts
    the archives that it has been updated to.
    """

    base: BaseComponent
    registered_as: str | None = None
    version: int = 1

    @property
    def artifact_url(self) -> str:
        """The URL of the adapter's archive."""
        url: str = self.specification["Container"]["ArtifactUrl"]
        return url


def base_of(component: Component) -> BaseComponent:
    """The base component of an adapter; a base component itself."""
    base = component.base if isinstance(component, AdapterComponent) else component
    assert isinstance(base, BaseComponent)  # there is no third kind
    return base
