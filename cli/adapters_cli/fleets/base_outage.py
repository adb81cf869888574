"""Whether the base component of a fleet is gone or failed, from SageMaker itself."""

from adapter_fleet.fleet.planning.observe import base_trouble
from adapter_fleet.fleet.state.components import Status
from adapter_fleet.fleet.state.generations import Generation, Source
from adapter_fleet.fleet.state.sagemaker_port import ServiceError
from adapters_cli.fleets.fleet_lookup import Fleet

_OUTAGES = (Status.FAILED, Status.DELETING)


def base_outage(fleet: Fleet, active: Generation) -> str | None:
    """Return why no adapter of a fleet answers; None if its base component is there, or is created.

    A pass may be hours ago, so the registry does not know of a base component that was deleted since. Without
    the permission to describe the component, or without an answer, nothing is known and None is returned.
    """
    base = active.request.target.base
    if active.request.source is Source.DELETION:
        return None
    try:
        live = fleet.account.service.describe(base)
    except ServiceError:
        return None
    if live is not None and live.status not in _OUTAGES:
        return None
    why = f": {live.failure_reason}" if live is not None and live.failure_reason else ""
    return f"{base_trouble(base, live)}{why}; no adapter answers"
