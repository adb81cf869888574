"""Routes that a person changes: which version of an adapter answers its callers."""

from collections.abc import Sequence

from adapter_fleet.fleet.state.components import Status
from adapter_fleet.fleet.state.records import Order
from adapter_fleet.fleet.state.routes import Route, RoutedVersion
from adapters_cli.fleets.fleet_lookup import Fleet
from adapters_cli.output.errors import CommandError


def write_route(fleet: Fleet, route: Route, orders: Sequence[Order] = ()) -> None:
    """Write a route, and the orders for it at once. Raises CommandError if it was changed meanwhile."""
    if not fleet.registry.route_by_hand(route, orders):
        raise CommandError(f"the route of adapter '{route.adapter}' was changed meanwhile; try again")


def is_proven(fleet: Fleet, version: RoutedVersion) -> bool:
    """Return True if a version that stays is as it was when it answered, as far as anybody knows.

    Its last-modified time may have moved by itself since a pass looked; the description says what it serves.
    """
    record = fleet.registry.record(version.component)
    live = fleet.account.service.describe(version.component)
    return (
        record is not None
        and live is not None
        and live.status is Status.IN_SERVICE
        and (live.created, live.artifact_uri) == (record.owned, version.artifact.uri)
        and version.artifact.same_as(record.serving)
        and (record.failure, record.recheck, record.drifted) == (None, None, None)
        and (record.intent, record.counted) == (None, None)
        and version.artifact.same_as(record.last_good)
    )
