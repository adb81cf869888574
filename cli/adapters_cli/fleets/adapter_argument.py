"""The argument that names an adapter or its component, and the completion of names in a shell."""

from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.fleet.state.registry import UnreadableError
from adapters_cli.aws.account import account_of
from adapters_cli.fleets.fleet_lookup import find_fleet
from adapters_cli.output.errors import CommandError


def complete_adapter(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of a fleet's adapters that begin so; none if no fleet is named or AWS gives none."""
    try:
        fleet = find_fleet(account_of(context))
        names = {record.name for record in fleet.registry.records().values()}
    except (CommandError, BotoCoreError, ClientError, UnreadableError):
        return []
    return sorted(name for name in names if name.startswith(incomplete))


AdapterArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME", help="The adapter's name, or its component's.", autocompletion=complete_adapter
    ),
]
OneComponentOption = Annotated[
    str | None,
    typer.Option("--component", "-c", metavar="NAME", help="A component, also of no fleet."),
]
