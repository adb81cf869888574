"""`adapters history`: what became of one adapter, newest first."""

import json
import time
from dataclasses import asdict
from typing import Annotated

import typer

from adapter_fleet.record import Event
from adapters_cli.account import account_of, errors_told
from adapters_cli.fleet import FleetOption, StackOption, TableOption, find_fleet
from adapters_cli.lookup import component_of
from adapters_cli.rows import show
from adapters_cli.text import tell

_HEADINGS = ("WHEN", "WHAT", "GENERATION", "FROM", "TO", "SECONDS", "WHY")
_SPARE = ("SECONDS", "GENERATION", "FROM", "TO")


def history(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The adapter's name, or its component's.")],
    stack: StackOption = None,
    fleet: FleetOption = None,
    table_name: TableOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many events at most.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Write each event as a line of JSON.")] = False,
) -> None:
    """Show what became of an adapter, newest first. Events are kept for 400 days."""
    with errors_told():
        found = find_fleet(account_of(context), stack=stack, name=fleet, table=table_name)
        events = found.registry.history(component_of(found, name), limit)
        if as_json:
            for event in events:
                typer.echo(json.dumps(asdict(event)))
        elif not events:
            tell(f"nothing is known of an adapter '{name}'")
        else:
            show(_HEADINGS, [_row(event) for event in events], styled=1, spare=_SPARE)


def _row(event: Event) -> tuple[str, ...]:
    return (
        time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(event.at)),
        event.what,
        str(event.generation),
        event.before or "-",
        event.after or "-",
        "-" if event.seconds is None else f"{event.seconds:.1f}",
        event.cause or "",
    )
