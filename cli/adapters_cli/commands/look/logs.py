"""`adapters logs`: what an adapter's container, its base's and its fleet's functions log."""

import json
import os
import re
import sys
from collections.abc import Iterator
from shutil import get_terminal_size
from typing import Annotated, Any

import typer

from adapters_cli.aws.account import Account, account_of
from adapters_cli.aws.components import described_component
from adapters_cli.aws.log_events import LogEvent, LogReader
from adapters_cli.fleets.adapter_lookup import AdapterArgument, AdapterLookup, OneComponentOption
from adapters_cli.fleets.fleet_lookup import find_fleet, newest_generation
from adapters_cli.fleets.log_groups import LogGroup, component_group, fleet_groups
from adapters_cli.output.errors import NoAnswerError, UsageError, option_errors
from adapters_cli.output.results import JsonOption, print_result
from adapters_cli.output.text import few, folded, look_back_seconds, one_line, print_note, timestamp

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

# Every line of a component, such as the base model.
adapters logs -c llm-base
"""


def logs(
    context: typer.Context,
    name: AdapterArgument = None,
    component: OneComponentOption = None,
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help="How far to look back: 30s, 15m, 1h, 7d.")
    ] = "1h",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what an adapter, its base model and its fleet log.

    These are the lines of the adapter's own log group, and those of the base model and of the fleet's
    passes that name its component. Without a name, it shows the fleet's own lines.

    Ends with 1 if the fleet never had the adapter, and with 4 if none of the log groups is there.
    """
    if follow and as_json:
        raise UsageError("--follow never ends by itself; give it without --json")
    account = account_of(context)
    with option_errors():
        seconds = look_back_seconds(since, units="smhd", such_as="30s, 15m, 1h or 7d")
    if name is not None and component is not None:
        raise UsageError("--component takes the place of the adapter's name; give one of them")
    groups = _of_fleet(account, name) if component is None else _of_component(account, component)
    sources = {group.name: group.source for group in groups}
    reader = LogReader(
        account, [(group.name, group.about) for group in groups], since=account.now() - seconds
    )
    printer, documents, printed = _Printer(), [], 0
    for event in _events(account, reader, sources, follow=follow):
        if _PLATFORM.match(event.message):
            continue
        if as_json:
            documents.append(_document(event, sources[event.group]))
        else:
            printer.print(event, sources[event.group])
            printed += 1
    if as_json:
        print_result({"events": documents}, "", as_json=True)
    elif not printed:
        print_note(f"nothing was logged within {since}")


def _document(event: LogEvent, source: str) -> dict[str, Any]:
    return {
        "at": timestamp(event.at),
        "source": source,
        "group": event.group,
        "stream": event.stream,
        "message": event.message,
    }


def _of_component(account: Account, component: str) -> list[LogGroup]:
    """Return the groups of a component, and of its base if it is an adapter."""
    live = described_component(account, component)
    groups = [component_group(component, "base" if live.base is None else "adapter")]
    if live.base is not None:
        groups.append(component_group(live.base, "base", component))
    return groups


def _of_fleet(account: Account, name: str | None) -> list[LogGroup]:
    """Return the groups of an adapter of a fleet, or else those of the fleet itself."""
    fleet = find_fleet(account)
    newest = newest_generation(fleet)
    component = None if name is None else AdapterLookup(fleet, newest).component_of_events(name)
    groups = []
    if component is not None:
        base = newest.request.target.base
        groups = [component_group(component, "adapter"), component_group(base, "base", component)]
    return [*groups, *fleet_groups(fleet, component)]


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

    def __init__(self) -> None:
        self._on_terminal = sys.stdout.isatty()
        self._styles = not os.environ.get("NO_COLOR")
        self._day = ""

    def print(self, event: LogEvent, source: str) -> None:
        """Print one event."""
        at = timestamp(event.at) or ""
        if not self._on_terminal:
            typer.echo("\t".join([at, source, _readable(event.message)]))
        else:
            day, _, clock = at.rstrip("Z").partition("T")
            if day != self._day:
                self._day = day
                typer.echo(self._styled(f"{day}, UTC", bold=True))
            indent = len(clock) + _SOURCE_WIDTH + 2
            room = max(_SOURCE_WIDTH, get_terminal_size().columns - indent)
            first, *more = folded(_readable(event.message), room)
            shown = self._styled(f"{source:<{_SOURCE_WIDTH}}", fg=_COLOURS[source])
            typer.echo(f"{clock} {shown} {first}")
            for line in more:
                typer.echo(f"{'':<{indent}}{line}")

    def _styled(self, text: str, **style: Any) -> str:
        return typer.style(text, **style) if self._styles else text


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
