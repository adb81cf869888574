"""`adapters status`: how every adapter of a fleet is."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from adapter_fleet.record import Generation, Outcome, Source
from adapters_cli import overview as states
from adapters_cli.account import NoFleetError, account_of, errors_told
from adapters_cli.fleet import Fleet, FleetOption, StackOption, TableOption, find_fleet
from adapters_cli.overview import AdapterState, Overview, overview
from adapters_cli.rows import show, table
from adapters_cli.text import complain, counted, duration, one_line, printable, tell

_HEADINGS = ("ADAPTER", "STATE", "VERSION", "AGE", "REASON")
_SPARE = ("AGE", "VERSION")
_LOOK_SECONDS = 2.0
_QUIET_SECONDS = 20 * 60.0
"""A pass lasts 15 minutes at most, and so does the wait for the next one."""

NOT_SETTLED = 3
"""Exit code while adapters are pending."""


def status(
    context: typer.Context,
    stack: StackOption = None,
    fleet: FleetOption = None,
    table_name: TableOption = None,
    watch: Annotated[bool, typer.Option("--watch", help="Keep showing it, until Ctrl-C.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until nothing is pending.")] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0, help="How long --wait waits at most.")
    ] = 3600,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON document.")] = False,
) -> None:
    """Show the state of every adapter.

    Ends with 0 if all are in service as the newest manifest wants them, with 1 if one failed or the
    manifest was refused, and with 3 while one is pending.
    """
    if watch and (wait or as_json):
        raise typer.BadParameter("--watch never ends by itself; give it without --wait and --json")
    with errors_told():
        account = account_of(context)
        found = find_fleet(account, stack=stack, name=fleet, table=table_name)
        if watch:
            _watch(found)
        seen = follow(found, timeout=timeout) if wait else look(found)
        if as_json:
            typer.echo(json.dumps(as_document(seen), indent=2))
        else:
            show_overview(seen)
        raise typer.Exit(exit_code(seen))


def look(fleet: Fleet) -> Overview:
    """Read how a fleet is; NoFleetError where nothing was ever asked of it."""
    seen = overview(fleet.registry, fleet.account.now())
    if seen is None:
        raise NoFleetError(f"fleet '{fleet.record.name}' has never been asked for anything")
    return seen


def follow(fleet: Fleet, *, timeout: float) -> Overview:
    """Wait until a fleet is settled, or `timeout` seconds have passed, and say on the way how it goes."""
    account = fleet.account
    started = account.now()
    progress = Progress()
    try:
        while True:
            seen = look(fleet)
            progress.say(seen)
            if seen.settled or account.now() - started >= timeout:
                return seen
            account.sleep(_LOOK_SECONDS)
    finally:
        progress.end()


class Progress:
    """Says on standard error how many adapters are how: in place on a terminal, else a line a change."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, transient=True, auto_refresh=False)
        self._last = ""
        if self._console.is_terminal:
            self._live.start()

    def say(self, seen: Overview) -> None:
        """Show the totals, if they have changed."""
        line = totals(seen)
        if line == self._last:
            return
        self._last = line
        if self._console.is_terminal:
            self._live.update(Text(printable(line)), refresh=True)
        else:
            tell(line)

    def end(self) -> None:
        """Leave the terminal as it was."""
        if self._console.is_terminal:
            self._live.stop()


def exit_code(seen: Overview) -> int:
    """Return what `status` ends with."""
    if seen.converged:
        return 0
    failed = (
        seen.counts[states.Group.FAILED]
        or seen.newest.outcome in (Outcome.FAILED, Outcome.REFUSED)
        or seen.manifest_not_in_force is not None
    )
    return 1 if failed else NOT_SETTLED


def still_there(manifest: str) -> str:
    """Say what is to be done about a manifest in S3 that failed or was refused."""
    return (
        f"{manifest} still has it, and is not what is in force; apply another manifest before the next"
        " deployment, which would take it up again"
    )


def totals(seen: Overview) -> str:
    """Return how many adapters are how, in one line."""
    counts = seen.counts
    return (
        f"{seen.fleet.name}: generation {seen.newest.number} {seen.newest.outcome},"
        f" {counted(len(seen.adapters), 'adapter')}: {counts[states.Group.IN_SERVICE]} in service,"
        f" {counts[states.Group.PENDING]} pending, {counts[states.Group.FAILED]} failed"
    )


def show_overview(seen: Overview) -> None:
    """Write an overview for who reads it: with a heading and totals for a person, else the adapters alone."""
    if sys.stdout.isatty():
        Console().print(_screen(seen, seen.adapters))
        return
    if line := _trouble(seen):
        complain(line)
    show(_HEADINGS, [_row(adapter, seen.at) for adapter in seen.adapters], styled=1)


def _watch(fleet: Fleet) -> None:
    console = Console()
    with Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:
        try:
            while True:
                seen = look(fleet)
                room = max(1, console.height - 6)
                live.update(_screen(seen, seen.adapters[:room]), refresh=True)
                fleet.account.sleep(_LOOK_SECONDS)
        except KeyboardInterrupt:
            raise typer.Exit(exit_code(look(fleet))) from None


def _screen(seen: Overview, adapters: Sequence[AdapterState]) -> RenderableType:
    target = seen.newest.request.target
    parts: list[RenderableType] = [
        Text(printable(f"{seen.fleet.name} on {target.endpoint}"), style="bold"),
        table(_HEADINGS, [_row(adapter, seen.at) for adapter in adapters], styled=1, spare=_SPARE),
    ]
    if hidden := len(seen.adapters) - len(adapters):
        parts.append(Text(f"and {hidden} more", style="dim"))
    parts.append(Text(printable(totals(seen)), style="bold"))
    if line := _trouble(seen):
        parts.append(Text(printable(line), style="red"))
    return Group(*parts)


def _row(adapter: AdapterState, now: float) -> tuple[str, ...]:
    reason = adapter.reason or ""
    if adapter.retry_at is not None:
        reason = f"{reason} (again in {duration(adapter.retry_at - now)})"
    age = duration(now - adapter.since) if adapter.since is not None else ""
    return adapter.name, adapter.state, adapter.version or "-", age or "-", one_line(reason)


def _trouble(seen: Overview) -> str | None:
    """Return what is wrong beside the single adapters, in lines."""
    newest, rejected, lines = seen.newest, seen.rejected, []
    if rejected is not None:
        verb = "is refused" if rejected.outcome is Outcome.REFUSED else "failed"
        lines.append(f"generation {rejected.number} {verb}: {one_line(rejected.reason or '')}")
        if rejected.number != newest.number:
            lines[0] += f"; generation {newest.number} takes it back"
    if seen.manifest_not_in_force is not None:
        lines.append(still_there(seen.manifest_not_in_force))
    if newest.outcome is Outcome.OPEN and newest.reason:
        lines.append(f"generation {newest.number}: {one_line(newest.reason)}")
    elif not seen.settled and seen.fleet.heartbeat and seen.at - seen.fleet.heartbeat > _QUIET_SECONDS:
        lines.append(
            f"nothing was heard of the fleet for {duration(seen.at - seen.fleet.heartbeat)}; the executions"
            f" of {seen.fleet.machine} tell why"
        )
    return "\n".join(lines) or None


def as_document(seen: Overview) -> dict[str, Any]:
    """Return an overview as what `--json` writes."""
    return {
        "fleet": seen.fleet.name,
        "endpoint": seen.newest.request.target.endpoint,
        "generation": _generation(seen.newest),
        "in_force": seen.active.number,
        "rejected": None if seen.rejected is None else _generation(seen.rejected),
        "manifest_not_in_force": seen.manifest_not_in_force,
        "in_service": seen.counts[states.Group.IN_SERVICE],
        "pending": seen.counts[states.Group.PENDING],
        "failed": seen.counts[states.Group.FAILED],
        "settled": seen.settled,
        "converged": seen.converged,
        "adapters": [asdict(adapter) for adapter in seen.adapters],
    }


def _generation(generation: Generation) -> dict[str, Any]:
    return {
        "number": generation.number,
        "source": generation.request.source,
        "outcome": generation.outcome,
        "reason": generation.reason,
        "requested_at": generation.request.at,
        "deletion": generation.request.source is Source.DELETION,
    }
