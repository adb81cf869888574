"""Orders that a person gives a fleet: what every one needs, another attempt, and changes of routes."""

from collections.abc import Mapping, Sequence

from adapter_fleet.fleet.state.components import Status
from adapter_fleet.fleet.state.generations import Generation, Outcome
from adapter_fleet.fleet.state.records import Order, OrderKind
from adapter_fleet.fleet.state.routes import Route, RoutedVersion
from adapters_cli.fleets.adapter_lookup import AdapterLookup
from adapters_cli.fleets.adapter_states import StateGroup
from adapters_cli.fleets.fleet_lookup import Fleet, newest_generation
from adapters_cli.fleets.fleet_status import FleetStatus, in_force, read_status
from adapters_cli.output.errors import CommandError

FOLLOW_HINT = "'adapters status --wait' follows"


def check_takes_orders(fleet: Fleet, newest: Generation) -> None:
    """Raise CommandError if a fleet would carry out no order: it does not continue a failed generation."""
    active = in_force(fleet.registry, newest)
    if active.outcome is Outcome.FAILED:
        raise CommandError(
            f"generation {active.number} has failed, and nothing is done before another deployment or"
            " manifest"
        )


def retry(fleet: Fleet, names: Sequence[str]) -> tuple[dict[str, str], int]:
    """Order another attempt of named adapters, or without names of every one that failed or was changed.

    Returns their names by component, and how many adapters of the fleet are pending. Raises CommandError, and
    orders nothing, if a named adapter is gone.
    """
    newest = newest_generation(fleet)
    check_takes_orders(fleet, newest)
    lookup = AdapterLookup(fleet, newest)
    named, answering = lookup.find(names) if names else {}, {}
    seen = read_status(fleet, named or None)
    if lookup.has_routes:
        # The version that failed is another one than the one that answers: both are meant.
        adapters = {name.partition("@")[0] for name in named.values()}
        answering = dict(named)
        named = {one.component: one.name for one in seen.adapters if one.name in adapters}
        if gone := adapters - set(named.values()):
            raise CommandError("\n".join(f"adapter '{name}' is gone" for name in sorted(gone)))
    components = {**answering, **_named(fleet, seen, named)} if names else _failed(seen)
    now = fleet.account.now()
    if components:
        fleet.order([Order(kind=OrderKind.RETRY, component=component, at=now) for component in components])
    return components, seen.counts[StateGroup.PENDING]


def with_retries(orders: Sequence[Order]) -> list[Order]:
    """Return pins or claims with a retry of each adapter, which restores what people changed by hand."""
    return [*orders, *(Order(kind=OrderKind.RETRY, component=one.component, at=one.at) for one in orders)]


def _failed(seen: FleetStatus) -> dict[str, str]:
    """Return the names of the adapters that failed, or that somebody changed by hand, by component."""
    return {
        adapter.component: adapter.name for adapter in seen.adapters if adapter.group is StateGroup.FAILED
    }


def _named(fleet: Fleet, seen: FleetStatus, named: Mapping[str, str]) -> dict[str, str]:
    """Return named adapters by component: what failed or is pending of them, else what serves.

    Somebody may have changed what serves by hand since the last pass. Raises CommandError for an adapter that
    is gone.
    """
    states = {adapter.component: adapter for adapter in seen.adapters}
    tried = {
        component: name
        for component, name in named.items()
        # An adapter in service may have a failure, too: of an artifact that was taken back since.
        if (component in states and states[component].group is not StateGroup.IN_SERVICE)
        or _has_failure(fleet, component)
    }
    others = {component: name for component, name in named.items() if name not in tried.values()}
    if gone := others.keys() - states.keys():
        raise CommandError("\n".join(f"adapter '{named[component]}' is gone" for component in sorted(gone)))
    return tried | others


def _has_failure(fleet: Fleet, component: str) -> bool:
    record = fleet.registry.records.find(component)
    return record is not None and record.failure is not None


def write_route(fleet: Fleet, route: Route, orders: Sequence[Order] = ()) -> None:
    """Write a route, and the orders for it at once. Raises CommandError if it was changed meanwhile."""
    if not fleet.registry.routes.put_by_hand(route, orders):
        raise CommandError(f"the route of adapter '{route.adapter}' was changed meanwhile; try again")


def is_proven(fleet: Fleet, version: RoutedVersion) -> bool:
    """Return True if a version that stays is as it was when it answered, as far as anybody knows.

    Its last-modified time may have moved by itself since a pass looked; the description says what it serves.
    """
    record = fleet.registry.records.find(version.component)
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
