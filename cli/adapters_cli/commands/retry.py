"""`adapters retry`: try failed adapters again without a change of the manifest."""

import json
from collections.abc import Mapping
from typing import Annotated

import typer

from adapter_fleet.common.counts import counted
from adapter_fleet.fleet.state.orders import Order, OrderKind
from adapters_cli.aws.account import account_of
from adapters_cli.fleets.adapter_lookup import AdapterLookup
from adapters_cli.fleets.fleet_lookup import (
    Fleet,
    FleetOption,
    StackOption,
    TableOption,
    find_fleet,
    newest_generation,
)
from adapters_cli.fleets.fleet_status import FleetStatus, StateGroup, read_status
from adapters_cli.fleets.name_completion import complete_adapter
from adapters_cli.fleets.orders import FOLLOW_HINT, check_takes_orders
from adapters_cli.output.errors import CommandError, reported_errors

EXAMPLES = """
# Try one adapter again.
adapters retry acme --stack Tenants

# Try all that failed.
adapters retry --failed --stack Tenants
"""


def retry(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Adapters to try again.", autocompletion=complete_adapter),
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Every adapter that failed.")] = False,
    stack: StackOption = None,
    fleet: FleetOption = None,
    table_name: TableOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON document.")] = False,
) -> None:
    """Try failed adapters again, without changing the manifest. Give names, or --failed.

    The name of a pending adapter starts the fleet's state machine again, in case it has stopped.

    Ends with 1 and orders nothing if one of the named adapters has neither failed nor is pending.
    """
    if failed == bool(names):
        raise typer.BadParameter("give names, or --failed")
    with reported_errors():
        account = account_of(context)
        found = find_fleet(account, stack=stack, name=fleet, table=table_name)
        newest = newest_generation(found)
        check_takes_orders(newest)
        named = AdapterLookup(found, newest).find(names) if names else {}
        seen = read_status(found, named or None)
        components = _failed_or_pending(found, seen, named) if names else _failed(seen)
        now = account.now()
        if components:
            found.order(
                [Order(kind=OrderKind.RETRY, component=component, at=now) for component in components]
            )
        pending = seen.counts[StateGroup.PENDING]
    if as_json:
        retried = [{"name": name, "component": component} for component, name in components.items()]
        typer.echo(json.dumps({"fleet": found.record.name, "retried": retried}, indent=2))
    elif components:
        typer.echo(f"{counted(len(components), 'adapter')} will be tried again; {FOLLOW_HINT}")
    else:
        typer.echo(f"no adapter has failed; {pending} pending" if pending else "no adapter has failed")


def _failed(seen: FleetStatus) -> dict[str, str]:
    """Return the names of the adapters that failed, by component."""
    return {
        adapter.component: adapter.name for adapter in seen.adapters if adapter.group is StateGroup.FAILED
    }


def _failed_or_pending(fleet: Fleet, seen: FleetStatus, named: Mapping[str, str]) -> dict[str, str]:
    """Return failed or pending adapters' names by component. Raises CommandError with all others."""
    states = {adapter.component: adapter for adapter in seen.adapters}
    components: dict[str, str] = {}
    others = []
    for component, name in named.items():
        state = states.get(component)
        # An adapter in service may have a failure, too: of an artifact that was taken back since.
        if (state is not None and state.group is not StateGroup.IN_SERVICE) or _has_failure(fleet, component):
            components[component] = name
        else:
            others.append(f"adapter '{name}' has not failed; it is {state.state if state else 'gone'}")
    if others:
        raise CommandError("\n".join(others))
    return components


def _has_failure(fleet: Fleet, component: str) -> bool:
    record = fleet.registry.record(component)
    return record is not None and record.failure is not None
