"""Completion of adapters' names in a shell."""

from botocore.exceptions import BotoCoreError, ClientError
from typer import Context

from adapter_fleet.fleet.state.registry import UnreadableError
from adapters_cli.aws.account import account_of
from adapters_cli.fleets.fleet_lookup import find_fleet
from adapters_cli.output.errors import CommandError


def complete_adapter(context: Context, incomplete: str) -> list[str]:
    """Return the names of a fleet's adapters that begin so; none if no fleet is named or AWS gives none."""
    try:
        fleet = find_fleet(account_of(context))
        names = {record.name for record in fleet.registry.records().values()}
    except (CommandError, BotoCoreError, ClientError, UnreadableError):
        return []
    return sorted(name for name in names if name.startswith(incomplete))
