"""The base component of a fleet, from SageMaker itself: is it gone or failed, and has it a copy?"""

from dataclasses import dataclass

from adapter_fleet.fleet.planning.observe import base_trouble
from adapter_fleet.fleet.state.components import Status
from adapter_fleet.fleet.state.generations import Generation, Source
from adapter_fleet.fleet.state.sagemaker_port import MissingError, ServiceError
from adapters_cli.fleets.fleet_lookup import Fleet

_OUTAGES = (Status.FAILED, Status.DELETING)

NO_COPY = (
    "the base model has no copy; no adapter answers before it has one, and the fleet asks its adapters then"
)


@dataclass(frozen=True, kw_only=True)
class BaseState:
    """The state of a base component.

    outage:
        Why no adapter answers; None if the component is there, or is created.
    copies:
        How many copies there are now; None if nothing is known of them.
    """

    outage: str | None = None
    copies: int | None = None

    @property
    def note(self) -> str | None:
        """What to say first where there is no copy; None where there is one, or no component at all."""
        return NO_COPY if self.copies == 0 and self.outage is None else None


def read_base(fleet: Fleet, active: Generation) -> BaseState:
    """Read the state of a fleet's base component.

    A pass may be hours ago, so the registry does not know of a base component that was deleted since, or that
    lost its last copy. Without the permission to describe it, or without an answer, the registry's number of
    copies counts.
    """
    base = active.request.target.base
    if active.request.source is Source.DELETION:
        return BaseState()
    try:
        found = fleet.account.service.describe_base(base)
    except MissingError:
        return BaseState(outage=f"{base_trouble(base, None)}; no adapter answers", copies=0)
    except ServiceError:
        return BaseState(copies=fleet.record.base_copies)
    if found.live.status not in _OUTAGES:
        return BaseState(copies=found.running)
    why = f": {found.live.failure_reason}" if found.live.failure_reason else ""
    return BaseState(outage=f"{base_trouble(base, found.live)}{why}; no adapter answers", copies=0)
