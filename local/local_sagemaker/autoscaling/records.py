"""What Application Auto Scaling keeps: targets, policies, scheduled actions and activities."""

import uuid
from dataclasses import dataclass, field
from typing import Any

NAMESPACE = "sagemaker"
COPIES = "sagemaker:inference-component:DesiredCopyCount"


@dataclass(frozen=True)
class Capacity:
    """The capacity of a resource: wanted, and there now.

    changing says whether a change of the resource is in progress. failure is the reason of its last failure.
    """

    desired: int
    current: int
    changing: bool
    failure: str | None


@dataclass(kw_only=True)
class Target:
    """A registered resource with its bounds."""

    resource: str
    arn: str
    minimum: int
    maximum: int
    created: float

    @property
    def name(self) -> str:
        """The name of the component."""
        return self.resource.partition("/")[2]

    def bounded(self, count: int) -> int:
        """A number of copies within the bounds."""
        return max(self.minimum, min(self.maximum, count))


@dataclass(kw_only=True)
class Policy:
    """A scaling policy of a target; configuration is that of its type, alarms are by kind ("Low")."""

    name: str
    arn: str
    resource: str
    type: str
    configuration: dict[str, Any]
    created: float
    alarms: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def tracks(self) -> bool:
        """Whether it is a target-tracking policy."""
        return self.type == "TargetTrackingScaling"


@dataclass(kw_only=True)
class Schedule:
    """A scheduled action of a target; fired is the moment up to which it has been carried out."""

    name: str
    arn: str
    resource: str
    expression: str
    timezone: str | None
    start: float | None
    end: float | None
    action: dict[str, int]
    created: float
    fired: float


@dataclass(kw_only=True)
class Activity:
    """One change of a resource's capacity, in progress until it has an end."""

    resource: str
    wanted: int
    cause: str
    started: float
    status: str = "InProgress"
    message: str | None = None
    ended: float | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
