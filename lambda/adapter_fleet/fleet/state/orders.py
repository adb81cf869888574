"""Orders: what a person asks of one adapter, in addition to the manifest."""

from dataclasses import dataclass
from enum import StrEnum

from adapter_fleet.manifest.desired import Artifact


class OrderKind(StrEnum):
    """The kinds of orders."""

    RETRY = "retry"
    """Forget the failure and try again."""
    PIN = "pin"
    """Serve `artifact` instead of `replaces`, until the manifest names another artifact than `replaces`."""
    UNPIN = "unpin"
    """End a pin."""
    CLAIM = "claim"
    """Take over the component with creation time `created`, which has no fleet tag."""
    PRUNE = "prune"
    """Delete the orphan with creation time `created`."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """One order. It is kept until a pass has carried it out; a pin is kept until it is void."""

    kind: OrderKind
    component: str
    at: float
    artifact: Artifact | None = None
    replaces: Artifact | None = None
    created: float | None = None
