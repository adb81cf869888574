"""`adapters status`: show the state of every adapter of a fleet."""

import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.text import Text

from adapter_fleet.fleet.state.configuration import STALLED_SECONDS
from adapter_fleet.fleet.state.generations import Generation, Outcome, Source
from adapters_cli.aws.account import account_of
from adapters_cli.fleets.adapter_lookup import AdapterLookup, complete_adapter
from adapters_cli.fleets.adapter_states import AdapterState, StateGroup
from adapters_cli.fleets.base_component import read_base
from adapters_cli.fleets.endpoint_comparison import compare_with_endpoint
from adapters_cli.fleets.fleet_lookup import Fleet, find_fleet, newest_generation
from adapters_cli.fleets.fleet_status import (
    FleetStatus,
    find_manifest_to_come,
    manifest_not_in_force_note,
    manifest_to_come_note,
    read_changes,
    read_status,
)
from adapters_cli.fleets.remedies import next_step
from adapters_cli.fleets.status_line import StatusLine, totals
from adapters_cli.fleets.versions import print_earlier_versions, version_document
from adapters_cli.output.errors import UsageError
from adapters_cli.output.exit_codes import FAILED, NOT_SETTLED
from adapters_cli.output.results import JsonOption, print_result
from adapters_cli.output.tables import FittedScreen, RowTable, hidden_rows
from adapters_cli.output.text import duration, few, one_line, print_error, print_note, printable, timestamp
from adapters_cli.output.usage_errors import is_given

_HEADINGS = ("ADAPTER", "STATE", "VERSION", "AGE", "PROOF", "ASKED", "REASON")
_SPARE = ("ASKED", "PROOF", "AGE", "VERSION")
_READ_EVERY_SECONDS = 2.0


EXAMPLES = """
# Every adapter of the fleet.
adapters status --stack Tenants

# Only those that failed, and why.
adapters status --state failed --stack Tenants

# As a gate in CI, after a deployment.
adapters status --wait --timeout 600 --stack Tenants
"""


def status(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Adapters to show; else all.", autocompletion=complete_adapter),
    ] = None,
    state: Annotated[
        list[StateGroup] | None,
        typer.Option(
            "--state",
            metavar="STATE",
            help="Show only adapters in this state: failed, pending, in-service or orphan.",
        ),
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="KEY[=VALUE]", help="Show only adapters with all of these tags."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until the fleet does nothing more by itself.")
    ] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0, help="Longest time that --wait waits.")
    ] = 3600,
    as_json: JsonOption = False,
) -> None:
    """Show the state of every adapter, and when the fleet last asked it.

    It lists the endpoint as well: an adapter whose component somebody deleted is missing.

    Ends with 1 if an adapter failed, if the newest manifest failed or was refused, or if the base component
    is not there, failed, or has no copy and none comes by itself. Ends with 3 if an adapter is pending, or if
    the fleet has not taken up the manifest in S3 yet. With names, no other adapter counts.

    A terminal shows as many adapters as it has room for, failed and pending ones first. A pipe gets all.
    """
    if not wait and is_given(context, "timeout"):
        raise UsageError("--timeout is the longest time of --wait; give both")
    fleet = find_fleet(account_of(context))
    states = set(state or ())
    selection = _Selection.of(fleet, names or (), states, tag or ())
    seen = _wait_until_settled(fleet, selection, timeout) if wait else selection.read(fleet)
    seen = compare_with_endpoint(fleet, seen, lists=selection.components is None)
    shown = selection.shown(seen)
    # The prompt has a line, too.
    page, table = _fitted(seen, shown, Console().height - 1), _table(seen, shown)
    print_result(_document(seen, shown), page, as_json=as_json, rows=table.rows)
    if not as_json:
        if not sys.stdout.isatty():
            if lines := _trouble(seen):
                print_error(lines)
            for line in _next_steps(shown):
                print_note(line)
        if seen.not_compared is not None:
            print_note(f"not compared with SageMaker's components: {one_line(seen.not_compared)}")
        if not shown and (states or tag):
            only_failed = states == {StateGroup.FAILED} and not tag
            print_note("no adapter has failed" if only_failed else "no adapter matches")
        for adapter in shown if names else ():
            print_earlier_versions(adapter)
    raise typer.Exit(_exit_code(seen, named=selection.components is not None))


@dataclass(frozen=True, kw_only=True)
class _Selection:
    """The adapters that the command is about.

    components:
        Those that count, by their components; None for all.
    versions:
        Those that are asked for as versions.
    groups, tags:
        Which of them are shown; empty for all. A tag without a value may have any.
    """

    components: tuple[str, ...] | None = None
    versions: tuple[str, ...] = ()
    groups: frozenset[StateGroup] = frozenset()
    tags: Mapping[str, str | None] = field(default_factory=dict)

    @classmethod
    def of(
        cls, fleet: Fleet, names: Sequence[str], groups: Iterable[StateGroup], tags: Iterable[str]
    ) -> "_Selection":
        """Select adapters. Raises CommandError with the names that no adapter has, UsageError for no tag."""
        found = AdapterLookup(fleet, newest_generation(fleet)).find_each(names) if names else []
        return cls(
            components=tuple(component for component, name in found if "@" not in name) if names else None,
            versions=tuple(component for component, name in found if "@" in name),
            groups=frozenset(groups),
            tags=dict(map(_tag, tags)),
        )

    def shown(self, seen: FleetStatus) -> tuple[AdapterState, ...]:
        """Return the adapters to show."""
        return tuple(
            adapter
            for adapter in seen.adapters
            if (not self.groups or adapter.group in self.groups)
            and all(
                key in adapter.tags and value in (None, adapter.tags[key]) for key, value in self.tags.items()
            )
        )

    def is_settled(self, seen: FleetStatus) -> bool:
        """Return True if the fleet changes nothing more of the selected adapters by itself."""
        if seen.manifest_to_come is not None:
            return False
        if self.components is None or seen.newest.outcome is Outcome.FAILED:
            return seen.settled
        return all(adapter.settled for adapter in seen.adapters)

    def read(self, fleet: Fleet, before: FleetStatus | None = None) -> FleetStatus:
        """Read the status of the selected adapters, or of all of them what has changed since `before`.

        Looks at the base component, and for a manifest in S3 that is not taken up yet.
        """
        if before is None or self.components is not None:
            seen = read_status(fleet, self.components, alone=self.versions)
        else:
            seen = read_changes(fleet, before)
        return replace(
            seen, base=read_base(fleet, seen.active), manifest_to_come=find_manifest_to_come(fleet, seen)
        )


def _tag(text: str) -> tuple[str, str | None]:
    key, equals, value = text.partition("=")
    if not key:
        raise UsageError(f"'--tag' should be KEY or KEY=VALUE, got {text!r}")
    return key, value if equals else None


def _wait_until_settled(fleet: Fleet, selection: _Selection, timeout: float) -> FleetStatus:
    """Wait until the selected adapters are settled, for `timeout` seconds at most. Shows the totals."""
    account = fleet.account
    end = account.now() + timeout
    line = StatusLine()
    seen = selection.read(fleet)
    try:
        while not (selection.is_settled(seen) or account.now() >= end):
            line.show(seen)
            account.sleep(_READ_EVERY_SECONDS)
            seen = selection.read(fleet, seen)
            if selection.is_settled(seen) or account.now() >= end:
                seen = selection.read(fleet)  # also what has settled before
        line.show(seen)
        return seen
    finally:
        line.end()


def _exit_code(seen: FleetStatus, *, named: bool) -> int:
    """Return the exit code of a status of `named` adapters, or of all."""
    if seen.converged:
        return 0
    if seen.base.outage is not None:
        return FAILED
    groups = {adapter.group for adapter in seen.adapters}
    if StateGroup.FAILED in groups:
        return FAILED
    if seen.manifest_to_come is not None:
        return NOT_SETTLED
    if seen.newest.outcome in (Outcome.FAILED, Outcome.REFUSED) or seen.manifest_not_in_force is not None:
        return FAILED
    return 0 if named and StateGroup.PENDING not in groups else NOT_SETTLED


def _table(seen: FleetStatus, adapters: Sequence[AdapterState]) -> RowTable:
    rows = [_row(adapter, seen.at) for adapter in adapters]
    return RowTable(headings=_HEADINGS, rows=rows, styled=1, spare=_SPARE)


def _fitted(seen: FleetStatus, adapters: Sequence[AdapterState], height: int) -> FittedScreen:
    def draw(shown: int) -> RenderableType:
        return _screen(seen, adapters[:shown], hidden=len(adapters) - shown)

    return FittedScreen(rows=len(adapters), draw=draw, height=height)


def _screen(seen: FleetStatus, adapters: Sequence[AdapterState], *, hidden: int) -> RenderableType:
    target = seen.newest.request.target
    looked = f", last pass {duration(seen.at - seen.fleet.pass_ended)} ago" if seen.fleet.pass_ended else ""
    heading = printable(f"{seen.fleet.name} on {target.endpoint}{looked}")
    parts: list[RenderableType] = [Text(heading, style="bold")]
    if lines := _trouble(seen):
        parts.append(Text(printable(lines), style="red"))
    parts.append(_table(seen, adapters))
    if hidden:
        parts.append(hidden_rows(hidden))
    parts.extend(Text(line) for line in _next_steps(adapters))
    parts.append(Text(printable(totals(seen)), style="bold"))
    return Group(*parts)


def _row(adapter: AdapterState, now: float) -> tuple[str, ...]:
    shown = adapter.reason or ""
    if adapter.retry_at is not None:
        shown = f"{shown} (again in {duration(adapter.retry_at - now)})"
    if adapter.until is not None and adapter.until > now:
        shown = f"{shown} (for {duration(adapter.until - now)})"
    age = duration(now - adapter.since) if adapter.since is not None else ""
    return (
        adapter.name,
        adapter.state,
        adapter.version or "-",
        age or "-",
        adapter.proof or "-",
        duration(now - adapter.asked_at) if adapter.asked_at is not None else "-",
        one_line(shown),
    )


def _next_steps(adapters: Iterable[AdapterState]) -> list[str]:
    """Return what a person can do about adapters, each once, behind the names of those that it is for."""
    found: dict[str, list[AdapterState]] = {}
    for adapter in adapters:
        if (step := next_step(adapter)) is not None:
            found.setdefault(step, []).append(adapter)
    lines = []
    for step, (first, *others) in found.items():
        names = few([first.name, *(one.name for one in others)])
        lines.append(printable(f"{names}: {step if others else next_step(first, first.name)}"))
    return lines


def _trouble(seen: FleetStatus) -> str | None:
    """Return the trouble of the fleet itself, in lines; None if there is none."""
    newest, rejected, lines = seen.newest, seen.rejected, []
    if seen.base.note is not None:
        lines.append(seen.base.note)
    if rejected is not None:
        verb = "is refused" if rejected.outcome is Outcome.REFUSED else "failed"
        taken = "" if rejected.number == newest.number else f"; generation {newest.number} takes it back"
        lines.append(f"generation {rejected.number} {verb}: {one_line(rejected.reason or '')}{taken}")
    if seen.manifest_not_in_force is not None:
        lines.append(manifest_not_in_force_note(seen.manifest_not_in_force))
    if seen.manifest_to_come is not None:
        lines.append(manifest_to_come_note(seen.manifest_to_come))
    for key, why in seen.unreadable_orders.items():
        # Whoever may give orders chooses the key.
        lines.append(one_line(f"{why}; remove it with: adapters prune {shlex.quote(key)}"))
    if seen.fleet.trouble is not None and not (seen.base.outage or "").startswith(seen.fleet.trouble):
        lines.append(one_line(seen.fleet.trouble))
    if seen.fleet.unchecked_copies and seen.base.note is None:
        lines.append(
            f"{seen.fleet.unchecked_copies} of {seen.fleet.base_copies} copies of the base model are new, and"
            " nobody has asked them yet whether they have the adapters"
        )
    due = max(seen.fleet.heartbeat, seen.newest.request.at)
    if not seen.settled and seen.at - due > STALLED_SECONDS:
        lines.append(
            f"no pass runs, and the next one was due {duration(seen.at - due)} ago; 'adapters apply --retry'"
            f" of a pending adapter starts one, and the executions of {seen.fleet.machine} show what ended"
        )
    if seen.base.outage is not None:
        lines.append(one_line(seen.base.outage))
    return "\n".join(lines) or None


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
        "base_outage": seen.base.outage,
        "copies": seen.base.copies,
        "unchecked_copies": seen.fleet.unchecked_copies,
        "not_compared": seen.not_compared,
        "settled": seen.settled,
        "converged": seen.converged,
        "adapters": [_adapter_document(adapter) for adapter in adapters],
    }


def _adapter_document(adapter: AdapterState) -> dict[str, Any]:
    return {
        **asdict(adapter),
        "remedy": next_step(adapter, adapter.name),
        "since": timestamp(adapter.since),
        "asked_at": timestamp(adapter.asked_at),
        "retry_at": timestamp(adapter.retry_at),
        "until": timestamp(adapter.until),
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
