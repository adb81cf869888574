"""`adapters status`: how every adapter of a fleet is."""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from adapter_fleet.fleet.state.generations import Generation, Outcome, Source
from adapters_cli import overview as states
from adapters_cli import versions
from adapters_cli.account import (
    NoAnswerError,
    NoFleetError,
    account_of,
    errors_told,
    explained,
)
from adapters_cli.fleet import Fleet, FleetOption, StackOption, TableOption, find_fleet
from adapters_cli.lookup import Adapters
from adapters_cli.overview import AdapterState, Overview, overview
from adapters_cli.rows import show, table
from adapters_cli.text import complain, counted, duration, moment, one_line, printable, tell
from adapters_cli.versions import tell_earlier

_HEADINGS = ("ADAPTER", "STATE", "VERSION", "AGE", "REASON")
_SPARE = ("AGE", "VERSION")
_LOOK_SECONDS = 2.0
_QUIET_SECONDS = 20 * 60.0
"""A pass lasts 15 minutes at most, and so does the wait for the next one."""

NOT_SETTLED = 3
"""Exit code while adapters are pending."""


def status(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Adapters to show; else all.")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Show those that failed only.")] = False,
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
    manifest failed or was refused, and with 3 while one is pending. With names, it goes by those adapters.
    """
    if watch and (wait or as_json):
        raise typer.BadParameter("--watch never ends by itself; give it without --wait and --json")
    with errors_told():
        account = account_of(context)
        found = find_fleet(account, stack=stack, name=fleet, table=table_name)
        chosen = Chosen.of(found, names or ())
        if watch:
            _watch(found, chosen, failed=failed)
        seen = follow(found, timeout=timeout, chosen=chosen) if wait else look(found)
        shown = _shown(seen, chosen, failed=failed)
        if as_json:
            typer.echo(json.dumps(as_document(seen, shown), indent=2))
        else:
            show_overview(seen, shown)
            if names:
                for adapter in shown:
                    tell_earlier(adapter)
        raise typer.Exit(exit_code(seen, chosen))


@dataclass(frozen=True)
class Chosen:
    """The adapters that a command is about, by their components; None for all."""

    components: frozenset[str] | None = None

    @classmethod
    def of(cls, fleet: Fleet, names: Iterable[str]) -> "Chosen":
        """Choose by names; CommandError with all that no adapter has."""
        listed = list(names)
        if not listed:
            return cls()
        found = (record or want for record, want in Adapters(fleet, look(fleet)).named(listed))
        return cls(frozenset(adapter.component for adapter in found if adapter is not None))

    def among(self, seen: Overview) -> tuple[AdapterState, ...]:
        """Return those of a fleet that are chosen."""
        if self.components is None:
            return seen.adapters
        return tuple(adapter for adapter in seen.adapters if adapter.component in self.components)

    def settled(self, seen: Overview) -> bool:
        """Tell whether nothing more comes by itself of what is chosen."""
        if self.components is None or seen.newest.outcome is Outcome.FAILED:
            return seen.settled
        return all(adapter.settled for adapter in self.among(seen))


_ALL = Chosen()


def _shown(seen: Overview, chosen: Chosen, *, failed: bool) -> tuple[AdapterState, ...]:
    return tuple(
        adapter for adapter in chosen.among(seen) if not failed or adapter.group is states.Group.FAILED
    )


def look(fleet: Fleet) -> Overview:
    """Read how a fleet is; NoFleetError where nothing was ever asked of it.

    NoAnswerError where the registry is not understood, as where a newer version has written it.
    """
    try:
        seen = overview(fleet.registry, fleet.account.now())
    except ValueError as error:
        raise NoAnswerError(explained(error)) from None
    if seen is None:
        raise NoFleetError(f"fleet '{fleet.record.name}' has never been asked for anything")
    return seen


def follow(fleet: Fleet, *, timeout: float, chosen: Chosen = _ALL) -> Overview:
    """Wait until a fleet is settled, or `timeout` seconds have passed, and say on the way how it goes."""
    account = fleet.account
    started = account.now()
    progress = Progress()
    try:
        while True:
            seen = look(fleet)
            progress.say(seen)
            if chosen.settled(seen) or account.now() - started >= timeout:
                return seen
            account.sleep(_LOOK_SECONDS)
    finally:
        progress.end()


class Progress:
    """Says on standard error how many adapters are how, and what holds them up.

    In place on a terminal, else a line a change.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, transient=True, auto_refresh=False)
        self._last = ""
        if self._console.is_terminal:
            self._live.start()

    def say(self, seen: Overview) -> None:
        """Show the totals, if they have changed."""
        line = totals(seen)
        if seen.fleet.trouble is not None:
            line = f"{line}; {one_line(seen.fleet.trouble)}"
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


def exit_code(seen: Overview, chosen: Chosen = _ALL) -> int:
    """Return what `status` ends with."""
    if seen.converged:
        return 0
    groups = {adapter.group for adapter in chosen.among(seen)}
    failed = (
        states.Group.FAILED in groups
        or seen.newest.outcome in (Outcome.FAILED, Outcome.REFUSED)
        or seen.manifest_not_in_force is not None
    )
    if failed:
        return 1
    return 0 if chosen.components is not None and states.Group.PENDING not in groups else NOT_SETTLED


def still_there(manifest: str) -> str:
    """Say what is to be done about a manifest in S3 that failed or was refused."""
    return (
        f"{manifest} still has it, and is not what is in force; apply another manifest before the next"
        " deployment, which would take it up again"
    )


def totals(seen: Overview) -> str:
    """Return how many adapters are how, in one line."""
    counts = seen.counts
    orphans = counts[states.Group.ORPHAN]
    return (
        f"{seen.fleet.name}: generation {seen.newest.number} {seen.newest.outcome},"
        f" {counted(len(seen.adapters) - orphans, 'adapter')}: {counts[states.Group.IN_SERVICE]} in service,"
        f" {counts[states.Group.PENDING]} pending, {counts[states.Group.FAILED]} failed"
        + (f", {counted(orphans, 'orphan')}" if orphans else "")
    )


def show_overview(seen: Overview, adapters: Sequence[AdapterState]) -> None:
    """Write an overview for who reads it: with a heading and totals for a person, else the adapters alone."""
    if sys.stdout.isatty():
        Console().print(_screen(seen, adapters))
        return
    if line := _trouble(seen):
        complain(line)
    show(_HEADINGS, [_row(adapter, seen.at) for adapter in adapters], styled=1)


def _watch(fleet: Fleet, chosen: Chosen, *, failed: bool) -> None:
    console = Console()
    with Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:
        try:
            while True:
                seen = look(fleet)
                adapters = _shown(seen, chosen, failed=failed)
                room = max(1, console.height - 6)
                screen = _screen(seen, adapters[:room], hidden=max(0, len(adapters) - room))
                live.update(screen, refresh=True)
                fleet.account.sleep(_LOOK_SECONDS)
        except KeyboardInterrupt:
            raise typer.Exit(exit_code(look(fleet), chosen)) from None


def _screen(seen: Overview, adapters: Sequence[AdapterState], *, hidden: int = 0) -> RenderableType:
    target = seen.newest.request.target
    parts: list[RenderableType] = [
        Text(printable(f"{seen.fleet.name} on {target.endpoint}"), style="bold"),
        table(_HEADINGS, [_row(adapter, seen.at) for adapter in adapters], styled=1, spare=_SPARE),
    ]
    if hidden:
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
    if seen.fleet.trouble is not None:
        lines.append(one_line(seen.fleet.trouble))
    if not seen.settled and seen.fleet.heartbeat and seen.at - seen.fleet.heartbeat > _QUIET_SECONDS:
        lines.append(
            f"nothing was heard of the fleet for {duration(seen.at - seen.fleet.heartbeat)}; the executions"
            f" of {seen.fleet.machine} tell why, and 'adapters retry' of one that is pending has it go on"
        )
    return "\n".join(lines) or None


def as_document(seen: Overview, adapters: Sequence[AdapterState]) -> dict[str, Any]:
    """Return an overview as what `--json` writes: all of the fleet, and these of its adapters."""
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
        "orphans": seen.counts[states.Group.ORPHAN],
        "trouble": seen.fleet.trouble,
        "settled": seen.settled,
        "converged": seen.converged,
        "adapters": [_adapter(adapter) for adapter in adapters],
    }


def _adapter(adapter: AdapterState) -> dict[str, Any]:
    return {
        **asdict(adapter),
        "since": moment(adapter.since),
        "retry_at": moment(adapter.retry_at),
        "artifact": versions.as_document(adapter.artifact),
        "earlier": [versions.as_document(artifact) for artifact in adapter.earlier],
    }


def _generation(generation: Generation) -> dict[str, Any]:
    return {
        "number": generation.number,
        "source": generation.request.source,
        "outcome": generation.outcome,
        "reason": generation.reason,
        "requested_at": moment(generation.request.at),
        "deletion": generation.request.source is Source.DELETION,
    }
