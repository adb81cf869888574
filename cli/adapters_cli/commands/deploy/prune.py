"""`adapters prune`: list or delete orphans of a fleet, or previews that were left on an endpoint."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from adapter_fleet.common.counts import counted
from adapter_fleet.common.naming import did_you_mean
from adapter_fleet.fleet.state.records import Order, OrderKind
from adapters_cli.artifacts.temporary_component import delete_component, leftovers
from adapters_cli.aws.account import Account, account_of
from adapters_cli.aws.components import EndpointComponents, no_endpoint
from adapters_cli.fleets.adapter_states import StateGroup
from adapters_cli.fleets.fleet_lookup import Fleet, find_fleet
from adapters_cli.fleets.fleet_status import read_status
from adapters_cli.fleets.orders import FOLLOW_HINT, check_takes_orders
from adapters_cli.fleets.versions import version_document
from adapters_cli.output.confirmation import confirm
from adapters_cli.output.errors import CommandError, UsageError
from adapters_cli.output.results import JsonOption, print_result
from adapters_cli.output.tables import RowTable
from adapters_cli.output.text import duration, few, print_note, timestamp

EXAMPLES = """
# List the orphans.
adapters prune --stack Tenants

# Delete one of them, and ask nothing.
adapters prune tenants-acme --yes --stack Tenants

# Delete the previews that killed commands left on an endpoint.
adapters prune --all --endpoint my-endpoint
"""


def prune(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="COMPONENT", help="Components to delete; else they are listed."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Delete every one that is listed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List or delete orphans: components with the fleet's tag that no manifest declares.

    No pass deletes an orphan by itself; the next deployment or manifest does, within the deletion guard. To
    keep an orphan, declare it in the manifest or remove its tag.

    With --endpoint, it lists or deletes previews of killed commands that are more than an hour old. The key
    of an unreadable order, as `adapters status` shows it, removes that order.
    """
    if (everything and names) or (yes and not everything and not names):
        raise UsageError("give components, or --all")
    account = account_of(context)
    endpoint = account.endpoint_alone
    if endpoint is not None:
        _prune_previews(account, endpoint, names or (), everything=everything, yes=yes, as_json=as_json)
    else:
        _prune_orphans(find_fleet(account), names or (), everything=everything, yes=yes, as_json=as_json)


def _prune_orphans(fleet: Fleet, names: Sequence[str], *, everything: bool, yes: bool, as_json: bool) -> None:
    seen = read_status(fleet)
    orders = seen.unreadable_orders.keys() & set(names)
    if orders:
        fleet.registry.orders.withdraw(orders)
        print_note(f"{counted(len(orders), 'order')} removed")
        names = [name for name in names if name not in orders]
        if not names and not as_json:
            return
    check_takes_orders(fleet, seen.newest)
    orphans = {state.component: state for state in seen.adapters if state.group is StateGroup.ORPHAN}
    what = f"fleet '{fleet.record.name}' has no orphan"
    chosen = _chosen(names, orphans, what, everything=everything, yes=yes)
    if chosen:
        now = fleet.account.now()
        fleet.order(
            [
                Order(kind=OrderKind.PRUNE, component=name, at=now, created=orphans[name].since)
                for name in chosen
            ]
        )
    document = {
        "fleet": fleet.record.name,
        "orphans": [
            {
                "component": name,
                "version": version_document(state.artifact),
                "since": timestamp(state.since),
            }
            for name, state in orphans.items()
        ],
        "deleted": chosen,
    }
    rows = [(name, state.version or "-", timestamp(state.since) or "-") for name, state in orphans.items()]
    deleted = f"{counted(len(chosen), 'component')} will be deleted; {FOLLOW_HINT}" if chosen else ""
    table = RowTable(headings=("COMPONENT", "VERSION", "SINCE"), rows=rows, styled=1)
    print_result(document, deleted or table, as_json=as_json)
    if not orphans and not as_json:
        print_note("there are no orphans")


def _prune_previews(
    account: Account, endpoint: str, names: Sequence[str], *, everything: bool, yes: bool, as_json: bool
) -> None:
    left = {found.component: found for found in leftovers(account, endpoint)}
    if not left and not EndpointComponents(account, endpoint).listed():
        raise no_endpoint(account, endpoint)
    what = f"endpoint '{endpoint}' has no preview more than an hour old"
    chosen = _chosen(names, left, what, everything=everything, yes=yes)
    for name in chosen:
        delete_component(account, name)
    document = {
        "endpoint": endpoint,
        "previews": [asdict(found) for found in left.values()],
        "deleted": chosen,
    }
    rows = [(name, duration(found.age_seconds)) for name, found in left.items()]
    deleted = f"{counted(len(chosen), 'component')} deleted" if chosen else ""
    table = RowTable(headings=("COMPONENT", "AGE"), rows=rows, styled=None)
    print_result(document, deleted or table, as_json=as_json)
    if not left and not as_json:
        print_note(what)


def _chosen(
    names: Sequence[str], known: Collection[str], what: str, *, everything: bool, yes: bool
) -> list[str]:
    """Return the components to delete, after a confirmation. Raises CommandError for unknown names.

    `what` begins the error of an unknown name.
    """
    if unknown := [name for name in names if name not in known]:
        raise CommandError("\n".join(f"{what} '{name}'{did_you_mean(name, known)}" for name in unknown))
    chosen = list(known) if everything else list(dict.fromkeys(names))
    if chosen:
        confirm(f"Delete {counted(len(chosen), 'component')} ({few(chosen)})?", "nothing is deleted", yes=yes)
    return chosen
