"""`adapters prune`: list or delete components with the fleet's tag that no manifest declares."""

import json
from collections.abc import Collection
from typing import Annotated

import typer

from adapter_fleet.common.counts import counted
from adapter_fleet.common.near_names import did_you_mean
from adapter_fleet.fleet.state.orders import Order, OrderKind
from adapters_cli.aws.account import account_of
from adapters_cli.fleets.fleet_lookup import Fleet, FleetOption, StackOption, TableOption, find_fleet
from adapters_cli.fleets.fleet_status import AdapterState, StateGroup, read_status
from adapters_cli.fleets.orders import FOLLOW_HINT, check_takes_orders
from adapters_cli.fleets.versions import version_document
from adapters_cli.output.confirmation import confirm
from adapters_cli.output.errors import CommandError, reported_errors
from adapters_cli.output.tables import print_rows
from adapters_cli.output.text import few, print_note, timestamp

EXAMPLES = """
# List the orphans.
adapters prune --stack Tenants

# Delete one of them.
adapters prune tenants-acme --stack Tenants

# Delete them all, and ask nothing.
adapters prune --all --yes --stack Tenants
"""


def prune(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="COMPONENT", help="Orphans to delete; else they are listed.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Delete every orphan.")] = False,
    stack: StackOption = None,
    fleet: FleetOption = None,
    table_name: TableOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON document.")] = False,
) -> None:
    """List or delete orphans: components with the fleet's tag that no manifest declares.

    The fleet does not delete them by itself: someone may have tagged them, or the registry may be older than
    they are. To keep an orphan, declare it in the manifest or remove its tag.

    The key of an order that cannot be read, as `adapters status` shows it, removes that order.
    """
    if everything and names:
        raise typer.BadParameter("give components, or --all")
    with reported_errors():
        account = account_of(context)
        found = find_fleet(account, stack=stack, name=fleet, table=table_name)
        seen = read_status(found)
        orders = seen.unreadable_orders.keys() & set(names or ())
        if orders:
            found.registry.withdraw_orders(orders)
            print_note(f"{counted(len(orders), 'order')} removed")
            names = [name for name in names or () if name not in orders]
            if not names and not as_json:
                return
        check_takes_orders(seen.newest)
        orphans = {state.component: state for state in seen.adapters if state.group is StateGroup.ORPHAN}
        if not names and not everything:
            _print(found, orphans.values(), (), as_json=as_json)
            return
        if unknown := [name for name in names or () if name not in orphans]:
            no_orphan = f"fleet '{found.record.name}' has no orphan"
            raise CommandError(
                "\n".join(f"{no_orphan} '{name}'{did_you_mean(name, orphans)}" for name in unknown)
            )
        chosen = [orphans[name] for name in dict.fromkeys(names or orphans)]
        if chosen:
            listed = few([state.component for state in chosen])
            confirm(f"Delete {counted(len(chosen), 'component')} ({listed})?", "nothing is deleted", yes=yes)
            now = account.now()
            found.order(
                [
                    Order(kind=OrderKind.PRUNE, component=state.component, at=now, created=state.since)
                    for state in chosen
                ]
            )
        _print(found, orphans.values(), chosen, as_json=as_json)


def _print(
    fleet: Fleet, orphans: Collection[AdapterState], deleted: Collection[AdapterState], *, as_json: bool
) -> None:
    """Print what is deleted, or else the orphans that there are."""
    if as_json:
        document = {
            "fleet": fleet.record.name,
            "orphans": [
                {
                    "component": state.component,
                    "version": version_document(state.artifact),
                    "since": timestamp(state.since),
                }
                for state in orphans
            ],
            "deleted": [state.component for state in deleted],
        }
        typer.echo(json.dumps(document, indent=2))
    elif deleted:
        typer.echo(f"{counted(len(deleted), 'component')} will be deleted; {FOLLOW_HINT}")
    elif not orphans:
        print_note("there are no orphans")
    else:
        rows = [(state.component, state.version or "-", timestamp(state.since) or "-") for state in orphans]
        print_rows(("COMPONENT", "VERSION", "SINCE"), rows, styled=1)
