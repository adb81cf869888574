"""Comparing the adapters that the registry has in service with the components that SageMaker has."""

from dataclasses import replace

from adapter_fleet.fleet.state.components import ObservedComponent, Status
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.sagemaker_port import ServiceError
from adapters_cli.aws.components import EndpointComponents
from adapters_cli.fleets.adapter_states import MENDED_BY_DEPLOYMENT, MENDED_BY_ORDER, StateGroup
from adapters_cli.fleets.fleet_lookup import Fleet
from adapters_cli.fleets.fleet_status import MOST_READ_BY_NAME, FleetStatus


def compare_with_endpoint(fleet: Fleet, seen: FleetStatus, *, lists: bool) -> FleetStatus:
    """Return the status after a look at the components of the adapters in service.

    lists:
        True to list the endpoint, a call for 100 components. What a listing leaves out is described, as a
        listing may be late. False to describe each.
    """
    serving = {one.component for one in seen.adapters if one.group is StateGroup.IN_SERVICE}
    endpoint = EndpointComponents(fleet.account, seen.active.request.target.endpoint)
    try:
        found: dict[str, ObservedComponent | None] = dict(endpoint.listed()) if serving and lists else {}
        found |= endpoint.described(sorted(serving - found.keys())[:MOST_READ_BY_NAME])
    except ServiceError as error:
        return replace(seen, not_compared=str(error))
    if more := len(serving - found.keys()):
        seen = replace(seen, not_compared=f"{more} more that the listing lacks")
    problems = {name: _problem(found[name], seen.owned.get(name)) for name in serving & found.keys()}
    # Orders are refused after a generation that failed.
    remedy = MENDED_BY_DEPLOYMENT if seen.active.outcome is Outcome.FAILED else MENDED_BY_ORDER
    return seen.with_states(
        [
            one if (problem := problems.get(one.component)) is None else one.out_of_service(problem, remedy)
            for one in seen.adapters
        ]
    )


def _problem(live: ObservedComponent | None, created: float | None) -> str | None:
    """Return the state of a component that does not serve as the registry says; None if it does."""
    if live is None:
        return "missing"
    if live.status is Status.FAILED:
        return "failed"
    return "replaced" if created not in (None, live.created) else None
