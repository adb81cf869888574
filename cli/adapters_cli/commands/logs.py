"""`adapters logs`: what an adapter's container, its base's and its fleet's functions log."""

import json
import re
import sys
from collections.abc import Iterator
from shutil import get_terminal_size
from typing import Annotated, Any

import typer

from adapters_cli.aws.account import Account, account_of
from adapters_cli.aws.log_events import LogEvent, LogReader
from adapters_cli.fleets.adapter_lookup import AdapterLookup
from adapters_cli.fleets.fleet_lookup import (
    FleetOption,
    StackOption,
    TableOption,
    find_fleet,
    newest_generation,
)
from adapters_cli.fleets.log_groups import LogGroup, component_group, fleet_groups
from adapters_cli.fleets.name_completion import complete_adapter
from adapters_cli.output.errors import NoAnswerError, UsageError, option_errors, reported_errors
from adapters_cli.output.look_back import look_back_seconds
from adapters_cli.output.text import few, folded, one_line, print_note, timestamp

_READ_EVERY_SECONDS = 2.0
_PLATFORM = re.compile(
    r'(START|END|REPORT) RequestId: |INIT_START |\{"_aws":|\{"time":"[^"]*","type":"platform\.'
)
"""What Lambda itself writes around the lines of a function, as text or JSON, and the metrics among them."""
_EXPECTED_ERROR = "FleetError"
"""The exception that fails a deployment. Its message is the reason; its stack does not help."""
_SOURCE_WIDTH = 7
_COLOURS = {"adapter": "green", "base": "blue", "fleet": "yellow"}
# Fields that Powertools adds to each line. None of them is about an adapter.
_PLUMBING = frozenset(
    {
        "level",
        "location",
        "message",
        "errorMessage",
        "requestId",
        "timestamp",
        "service",
        "cold_start",
        "function_name",
        "function_memory_size",
        "function_arn",
        "function_request_id",
        "xray_trace_id",
    }
)

EXAMPLES = """
# What one adapter logged in the last hour.
adapters logs acme --since 1h --stack Tenants

# What the fleet logs, until Ctrl-C.
adapters logs --follow --stack Tenants

# Errors, with all lines of the base model.
adapters logs acme --base --filter 'ERROR|WARN' --stack Tenants
"""


def logs(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            help="The adapter's name, or its component's; without it, the fleet's own lines.",
            autocompletion=complete_adapter,
        ),
    ] = None,
    component: Annotated[
        str | None,
        typer.Option("--component", "-c", metavar="NAME", help="A component, also of no fleet."),
    ] = None,
    base: Annotated[bool, typer.Option("--base", help="Every line of the base model, too.")] = False,
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help="How far to look back: 30s, 15m, 1h, 7d.")
    ] = "1h",
    pattern: Annotated[
        str | None,
        typer.Option(
            "--filter", metavar="REGEX", help="Only lines in which this is found.", show_default=False
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    stack: StackOption = None,
    fleet: FleetOption = None,
    table_name: TableOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write each one as a line of JSON.")] = False,
) -> None:
    """Show what an adapter, its base model and its fleet log.

    These are the lines of the adapter's own log group, and those of the base model and of the fleet's
    functions that name its component: an adapter runs in its base's container, which logs for all of them.
    What Lambda writes around each call is left out, and so are metrics.

    Ends with 4 if none of the log groups is there.
    """
    with reported_errors():
        account = account_of(context)
        with option_errors():
            seconds = look_back_seconds(since, units="smhd", such_as="30s, 15m, 1h or 7d")
            wanted = _compiled(pattern)
        if name is not None and component is not None:
            raise UsageError("--component takes the place of the adapter's name; give one of them")
        if component is not None:
            groups = _of_component(account, component, base=base)
        else:
            groups = _of_fleet(account, name, stack=stack, fleet=fleet, table=table_name, base=base)
        sources = {group.name: group.source for group in groups}
        reader = LogReader(
            account, [(group.name, group.about) for group in groups], since=account.now() - seconds
        )
        printer = _Printer(sources, as_json=as_json)
        for event in _events(account, reader, sources, follow=follow):
            if _PLATFORM.match(event.message):
                continue
            if wanted is None or wanted.search(event.message):
                printer.print(event)
        if not printer.printed:
            print_note(
                f"nothing was logged within {since}{'' if pattern is None else ' that matches --filter'}"
            )


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(f"'--filter' should be a regular expression, got {pattern!r}: {error}") from None


def _of_component(account: Account, component: str, *, base: bool) -> list[LogGroup]:
    """Return the groups of a component, and of its base if it is an adapter."""
    live = account.service.describe(component)
    if live is None:
        raise NoAnswerError(f"there is no component '{component}'")
    groups = [component_group(component, "base" if live.base is None else "adapter")]
    if live.base is not None:
        groups.append(component_group(live.base, "base", None if base else component))
    return groups


def _of_fleet(
    account: Account,
    name: str | None,
    *,
    stack: str | None,
    fleet: str | None,
    table: str | None,
    base: bool,
) -> list[LogGroup]:
    """Return the groups of an adapter of a fleet, or else those of the fleet itself."""
    found = find_fleet(account, stack=stack, name=fleet, table=table)
    newest = newest_generation(found)
    component = None if name is None else AdapterLookup(found, newest).component_of_events(name)
    groups = [] if component is None else [component_group(component, "adapter")]
    if component is not None or base:
        groups.append(component_group(newest.request.target.base, "base", None if base else component))
    return [*groups, *fleet_groups(found, component)]


def _events(
    account: Account, reader: LogReader, sources: dict[str, str], *, follow: bool
) -> Iterator[LogEvent]:
    """Yield the events there are, and with `follow` those to come."""
    yield from reader.read()
    if reader.missing == sources.keys() and not follow:
        raise NoAnswerError(f"there is no log group {few(sorted(reader.missing))}")
    # An adapter has no log group of its own while its base's container logs for it.
    if missing := sorted(group for group in reader.missing if sources[group] != "adapter"):
        print_note(f"there is no log group {few(missing)} yet")
    try:
        while follow:
            account.sleep(_READ_EVERY_SECONDS)
            yield from reader.read()
    except KeyboardInterrupt:
        raise typer.Exit from None


class _Printer:
    """Prints events: on a terminal with the day above its first line, in a pipe with tabs between fields."""

    def __init__(self, sources: dict[str, str], *, as_json: bool) -> None:
        self._sources, self._as_json = sources, as_json
        self._on_terminal = sys.stdout.isatty()
        self._day = ""
        self.printed = 0

    def print(self, event: LogEvent) -> None:
        """Print one event."""
        self.printed += 1
        at, source = timestamp(event.at) or "", self._sources[event.group]
        if self._as_json:
            document = {
                "at": at,
                "source": source,
                "group": event.group,
                "stream": event.stream,
                "message": event.message,
            }
            typer.echo(json.dumps(document))
        elif not self._on_terminal:
            typer.echo("\t".join([at, source, _readable(event.message)]))
        else:
            day, _, clock = at.rstrip("Z").partition("T")
            if day != self._day:
                self._day = day
                typer.secho(f"{day}, UTC", bold=True)
            indent = len(clock) + _SOURCE_WIDTH + 2
            room = max(_SOURCE_WIDTH, get_terminal_size().columns - indent)
            first, *more = folded(_readable(event.message), room)
            shown = typer.style(f"{source:<{_SOURCE_WIDTH}}", fg=_COLOURS[source])
            typer.echo(f"{clock} {shown} {first}")
            for line in more:
                typer.echo(f"{'':<{indent}}{line}")


def _readable(message: str) -> str:
    """Return a message on one line: a line of the fleet's functions without their plumbing."""
    try:
        document: Any = json.loads(message)
    except ValueError:
        return one_line(message)
    if not isinstance(document, dict) or "level" not in document:
        return one_line(message)
    said = document.get("message", document.get("errorMessage"))
    if said is None:
        return one_line(message)
    expected = document.get("errorType") == _EXPECTED_ERROR
    hidden = _PLUMBING | {"errorType", "stackTrace"} if expected else _PLUMBING
    fields = [f"{key}={value}" for key, value in document.items() if key not in hidden and value is not None]
    return one_line(" ".join([str(document["level"]), str(said), *fields]))
