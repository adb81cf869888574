"""`adapters status`: show the state of every adapter of a fleet."""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from adapter_fleet.common.s3_uri import bucket_and_key
from adapter_fleet.fleet.state.generations import Generation, Outcome, Source, is_taken_up
from adapters_cli.aws.account import account_of
from adapters_cli.fleets.adapter_lookup import AdapterLookup
from adapters_cli.fleets.base_outage import base_outage
from adapters_cli.fleets.fleet_lookup import (
    Fleet,
    FleetOption,
    StackOption,
    TableOption,
    find_fleet,
    newest_generation,
)
from adapters_cli.fleets.fleet_status import (
    AdapterState,
    FleetStatus,
    StateGroup,
    manifest_not_in_force_note,
    manifest_to_come_note,
    read_status,
)
from adapters_cli.fleets.name_completion import complete_adapter
from adapters_cli.fleets.status_line import StatusLine, totals
from adapters_cli.fleets.versions import print_earlier_versions, version_document
from adapters_cli.manifests.stored_manifest import present_version
from adapters_cli.output.errors import reported_errors
from adapters_cli.output.exit_codes import FAILED, NOT_SETTLED
from adapters_cli.output.fitted_screen import FittedScreen
from adapters_cli.output.tables import print_rows, table
from adapters_cli.output.text import duration, one_line, print_error, print_note, printable, timestamp

_HEADINGS = ("ADAPTER", "STATE", "VERSION", "AGE", "PROOF", "REASON")
_SPARE = ("PROOF", "AGE", "VERSION")
_READ_EVERY_SECONDS = 2.0
_SILENT_SECONDS = 20 * 60.0
"""A pass lasts 15 minutes at most, and so does the wait for the next one."""

EXAMPLES = """
# Every adapter of the fleet.
adapters status --stack Tenants

# Only those that failed, and why.
adapters status --failed --stack Tenants

# As a gate in CI, after a deployment.
adapters status --wait --timeout 600 --stack Tenants
"""


def status(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Adapters to show; else all.", autocompletion=complete_adapter),
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Show only adapters that failed.")] = False,
    stack: StackOption = None,
    fleet: FleetOption = None,
    table_name: TableOption = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show it until Ctrl-C.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until nothing is pending.")] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0, help="Longest time that --wait waits.")
    ] = 3600,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON document.")] = False,
) -> None:
    """Show the state of every adapter.

    Ends with 0 if all adapters are in service as the newest manifest declares them. Ends with 1 if one
    failed, or if the manifest failed or was refused, and with 3 while one is pending. With names, only those
    adapters count. A manifest in S3 that the fleet has not taken up yet is pending as well. Ends with 1, too,
    if the base component is not there or failed: no adapter answers then.
    """
    if watch and (wait or as_json):
        raise typer.BadParameter("--watch never ends by itself; give it without --wait and --json")
    with reported_errors():
        found = find_fleet(account_of(context), stack=stack, name=fleet, table=table_name)
        selection = _Selection.by_names(found, names or ())
        if watch:
            _watch(found, selection, failed=failed)
        seen = _wait_until_settled(found, selection, timeout=timeout) if wait else _read(found)
        shown = selection.shown(seen, failed=failed)
        if as_json:
            typer.echo(json.dumps(_document(seen, shown), indent=2))
        else:
            _print_status(seen, shown)
            if failed and not shown:
                print_note("no adapter has failed")
            for adapter in shown if names else ():
                print_earlier_versions(adapter)
        raise typer.Exit(_exit_code(seen, selection))


@dataclass(frozen=True)
class _Selection:
    """The adapters that the command is about, by their components; None for all."""

    components: frozenset[str] | None = None

    @classmethod
    def by_names(cls, fleet: Fleet, names: Iterable[str]) -> "_Selection":
        """Select adapters by names. Raises CommandError with the names that no adapter has."""
        listed = list(names)
        if not listed:
            return cls()
        return cls(frozenset(AdapterLookup(fleet, newest_generation(fleet)).find(listed)))

    def adapters(self, seen: FleetStatus) -> tuple[AdapterState, ...]:
        """Return the selected adapters of a fleet."""
        if self.components is None:
            return seen.adapters
        return tuple(adapter for adapter in seen.adapters if adapter.component in self.components)

    def shown(self, seen: FleetStatus, *, failed: bool) -> tuple[AdapterState, ...]:
        """Return the selected adapters, or only those of them that failed."""
        adapters = self.adapters(seen)
        return tuple(adapter for adapter in adapters if not failed or adapter.group is StateGroup.FAILED)

    def is_settled(self, seen: FleetStatus) -> bool:
        """Return True if the fleet changes nothing more of the selected adapters by itself."""
        if seen.manifest_to_come is not None:
            return False
        if self.components is None or seen.newest.outcome is Outcome.FAILED:
            return seen.settled
        return all(adapter.settled for adapter in self.adapters(seen))


def _read(fleet: Fleet) -> FleetStatus:
    """Read the status; look at the base component, and for a manifest in S3 that is not taken up yet."""
    seen = read_status(fleet)
    return replace(
        seen, base_outage=base_outage(fleet, seen.active), manifest_to_come=_manifest_to_come(fleet, seen)
    )


def _manifest_to_come(fleet: Fleet, seen: FleetStatus) -> str | None:
    """Return the version of the manifest in S3 if the fleet has not taken it up yet."""
    target = seen.active.request.target
    if target.manifest is None or seen.newest.request.source is Source.DELETION:
        return None
    version = present_version(fleet.account.s3, *bucket_and_key(target.manifest))
    if version is None or is_taken_up(version, seen.newest, fleet.registry.generation):
        return None
    return version


def _wait_until_settled(fleet: Fleet, selection: _Selection, *, timeout: float) -> FleetStatus:
    """Wait until the selected adapters are settled, for `timeout` seconds at most. Shows the totals."""
    account = fleet.account
    started = account.now()
    line = StatusLine()
    try:
        while True:
            seen = _read(fleet)
            line.show(seen)
            if selection.is_settled(seen) or account.now() - started >= timeout:
                return seen
            account.sleep(_READ_EVERY_SECONDS)
    finally:
        line.end()


def _exit_code(seen: FleetStatus, selection: _Selection) -> int:
    if seen.converged:
        return 0
    if seen.base_outage is not None:
        return FAILED
    groups = {adapter.group for adapter in selection.adapters(seen)}
    if StateGroup.FAILED in groups:
        return FAILED
    if seen.manifest_to_come is not None:
        return NOT_SETTLED
    if seen.newest.outcome in (Outcome.FAILED, Outcome.REFUSED) or seen.manifest_not_in_force is not None:
        return FAILED
    return 0 if selection.components is not None and StateGroup.PENDING not in groups else NOT_SETTLED


def _print_status(seen: FleetStatus, adapters: Sequence[AdapterState]) -> None:
    """Print a heading, adapters and totals on a terminal; else the adapters alone."""
    if sys.stdout.isatty():
        Console().print(_screen(seen, adapters))
        return
    if lines := _trouble(seen):
        print_error(lines)
    print_rows(_HEADINGS, [_row(adapter, seen.at) for adapter in adapters], styled=1)


def _watch(fleet: Fleet, selection: _Selection, *, failed: bool) -> None:
    console = Console()
    with Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:
        try:
            while True:
                seen = _read(fleet)
                adapters = selection.shown(seen, failed=failed)
                live.update(_fitted(seen, adapters, console.height), refresh=True)
                fleet.account.sleep(_READ_EVERY_SECONDS)
        except KeyboardInterrupt:
            raise typer.Exit(_exit_code(_read(fleet), selection)) from None


def _fitted(seen: FleetStatus, adapters: Sequence[AdapterState], height: int) -> FittedScreen:
    def draw(shown: int) -> RenderableType:
        return _screen(seen, adapters[:shown], hidden=len(adapters) - shown)

    return FittedScreen(rows=len(adapters), draw=draw, height=height)


def _screen(seen: FleetStatus, adapters: Sequence[AdapterState], *, hidden: int = 0) -> RenderableType:
    target = seen.newest.request.target
    parts: list[RenderableType] = [
        Text(printable(f"{seen.fleet.name} on {target.endpoint}"), style="bold"),
        table(_HEADINGS, [_row(adapter, seen.at) for adapter in adapters], styled=1, spare=_SPARE),
    ]
    if hidden:
        parts.append(Text(f"and {hidden} more", style="dim"))
    parts.append(Text(printable(totals(seen)), style="bold"))
    if lines := _trouble(seen):
        parts.append(Text(printable(lines), style="red"))
    return Group(*parts)


def _row(adapter: AdapterState, now: float) -> tuple[str, ...]:
    shown = adapter.reason or ""
    if adapter.retry_at is not None:
        shown = f"{shown} (again in {duration(adapter.retry_at - now)})"
    age = duration(now - adapter.since) if adapter.since is not None else ""
    return (
        adapter.name,
        adapter.state,
        adapter.version or "-",
        age or "-",
        adapter.proof or "-",
        one_line(shown),
    )


def _trouble(seen: FleetStatus) -> str | None:
    """Return the trouble of the fleet itself, in lines; None if there is none."""
    newest, rejected, lines = seen.newest, seen.rejected, []
    if rejected is not None:
        verb = "is refused" if rejected.outcome is Outcome.REFUSED else "failed"
        lines.append(f"generation {rejected.number} {verb}: {one_line(rejected.reason or '')}")
        if rejected.number != newest.number:
            lines[0] += f"; generation {newest.number} takes it back"
    if seen.manifest_not_in_force is not None:
        lines.append(manifest_not_in_force_note(seen.manifest_not_in_force))
    if seen.manifest_to_come is not None:
        lines.append(manifest_to_come_note(seen.manifest_to_come))
    lines += _unreadable_orders(seen)
    if seen.fleet.trouble is not None and not (seen.base_outage or "").startswith(seen.fleet.trouble):
        lines.append(one_line(seen.fleet.trouble))
    if seen.fleet.base_copies == 0:
        lines.append("the base model has no copy; the fleet asks its adapters once it has one")
    elif seen.fleet.unchecked_copies:
        lines.append(
            f"{seen.fleet.unchecked_copies} of {seen.fleet.base_copies} copies of the base model are new, and"
            " nobody has asked them yet whether they have the adapters"
        )
    if not seen.settled and seen.fleet.heartbeat and seen.at - seen.fleet.heartbeat > _SILENT_SECONDS:
        lines.append(
            f"the fleet has reported nothing for {duration(seen.at - seen.fleet.heartbeat)}; the executions"
            f" of {seen.fleet.machine} show why, and 'adapters retry' of a pending adapter starts a new one"
        )
    if seen.base_outage is not None:
        lines.append(one_line(seen.base_outage))
    return "\n".join(lines) or None


def _unreadable_orders(seen: FleetStatus) -> list[str]:
    return [
        f"{one_line(why)}; 'adapters prune {key}' removes this order"
        for key, why in seen.unreadable_orders.items()
    ]


def _document(seen: FleetStatus, adapters: Sequence[AdapterState]) -> dict[str, Any]:
    """Return a fleet's status with these adapters, as `--json` writes it."""
    return {
        "fleet": seen.fleet.name,
        "endpoint": seen.newest.request.target.endpoint,
        "generation": _generation_document(seen.newest),
        "in_force": seen.active.number,
        "rejected": None if seen.rejected is None else _generation_document(seen.rejected),
        "manifest_not_in_force": seen.manifest_not_in_force,
        "manifest_to_come": seen.manifest_to_come,
        "in_service": seen.counts[StateGroup.IN_SERVICE],
        "pending": seen.counts[StateGroup.PENDING],
        "failed": seen.counts[StateGroup.FAILED],
        "orphans": seen.counts[StateGroup.ORPHAN],
        "trouble": seen.fleet.trouble,
        "unreadable_orders": dict(seen.unreadable_orders),
        "base_outage": seen.base_outage,
        "copies": seen.fleet.base_copies,
        "unchecked_copies": seen.fleet.unchecked_copies,
        "settled": seen.settled,
        "converged": seen.converged,
        "adapters": [_adapter_document(adapter) for adapter in adapters],
    }


def _adapter_document(adapter: AdapterState) -> dict[str, Any]:
    return {
        **asdict(adapter),
        "since": timestamp(adapter.since),
        "retry_at": timestamp(adapter.retry_at),
        "artifact": version_document(adapter.artifact),
        "earlier": [version_document(artifact) for artifact in adapter.earlier],
    }


def _generation_document(generation: Generation) -> dict[str, Any]:
    return {
        "number": generation.number,
        "source": generation.request.source,
        "outcome": generation.outcome,
        "reason": generation.reason,
        "requested_at": timestamp(generation.request.at),
        "deletion": generation.request.source is Source.DELETION,
    }
