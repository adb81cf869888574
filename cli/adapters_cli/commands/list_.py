"""`adapters list`: the components of every endpoint, and their owners."""

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from adapter_fleet.common.naming import FLEET_TAG, stack_of
from adapter_fleet.fleet.state.components import ObservedComponent, Status
from adapters_cli.aws.account import Account, account_of
from adapters_cli.aws.components import EndpointComponents, endpoint_names, no_endpoint
from adapters_cli.fleets.fleet_lookup import FleetOption, StackOption, TableOption, find_fleet
from adapters_cli.fleets.fleet_status import AdapterState, FleetStatus, StateGroup, read_status
from adapters_cli.output.errors import UsageError, reported_errors
from adapters_cli.output.fitted_screen import hidden_rows
from adapters_cli.output.tables import print_rows, table
from adapters_cli.output.text import duration, one_line, print_note, printable, timestamp

_HEADINGS = ("COMPONENT", "KIND", "OWNER", "STATE", "AGE", "REASON")
_SPARE = ("AGE", "KIND")
_FEWEST_ROWS = 5
_UID_TAIL = re.compile(r"-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
_STATES = {Status.IN_SERVICE: "in service"}


@dataclass(frozen=True, kw_only=True)
class _Row:
    """One component.

    kind:
        `base`, `adapter`, or None if it has gone meanwhile.
    fleet, stack:
        The uid or the name of the fleet that owns it, or the stack. An owner by hand has neither.
    since:
        When it was created, or since when a fleet has its state.
    """

    endpoint: str
    component: str
    kind: str | None
    fleet: str | None
    stack: str | None
    state: str
    since: float | None
    reason: str | None = None


EXAMPLES = """
# Every endpoint of the region.
adapters list

# One endpoint.
adapters list --endpoint my-endpoint
"""


def list_(
    context: typer.Context,
    endpoint: Annotated[
        str | None, typer.Option("--endpoint", metavar="NAME", help="One endpoint; else every one.")
    ] = None,
    stack: StackOption = None,
    fleet: FleetOption = None,
    table_name: TableOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write each one as a line of JSON.")] = False,
) -> None:
    """List the components of every endpoint: those of fleets, of stacks, and foreign ones.

    With a fleet, its endpoint's: the fleet's own ones then have the states of `adapters status`, also those
    that are not created yet. A component's owner is the one in its tags; one that was created by hand has
    none.

    A terminal shows as many as it has room for, failed and pending ones first. A pipe gets all.

    Reads the tags of each one that it shows, unless the registry of the given fleet has the owner. Describes
    those of no fleet.
    """
    with reported_errors():
        account = account_of(context)
        if (stack, fleet, table_name) != (None, None, None):
            if endpoint is not None:
                raise UsageError("--endpoint and a fleet both say which endpoint; give one of them")
            found = find_fleet(account, stack=stack, name=fleet, table=table_name)
            seen = read_status(found)
            listed: dict[str, FleetStatus | None] = {seen.newest.request.target.endpoint: seen}
        else:
            listed = dict.fromkeys([endpoint] if endpoint is not None else endpoint_names(account))
        # Each endpoint has a line with its name, and one with headings.
        room = None
        if sys.stdout.isatty() and not as_json:
            room = max(_FEWEST_ROWS, Console().height // max(1, len(listed)) - 3)
        pages = [_page(account, name, seen, room) for name, seen in listed.items()]
        pages = [page for page in pages if page.rows]
        if endpoint is not None and not pages:
            raise no_endpoint(account, endpoint)
        _print(pages, account, as_json=as_json)


@dataclass(frozen=True, kw_only=True)
class _Page:
    """Components of one endpoint, and how many more there are."""

    rows: list[_Row]
    hidden: int


def _page(account: Account, endpoint: str, seen: FleetStatus | None, room: int | None) -> _Page:
    """Return the first `room` components of an endpoint, and adapters of a fleet that have none yet.

    With a room, failed and pending ones come first; else all come by name.
    """
    components = EndpointComponents(account, endpoint)
    listed = components.listed()
    states = {} if seen is None else {state.component: state for state in seen.adapters}
    names = sorted(listed.keys() | states.keys())
    if room is not None:
        names.sort(key=lambda name: _rank(states.get(name), listed.get(name)))
    shown = names[:room]
    owned = {} if seen is None else seen.owned
    unclear = {name: listed[name] for name in shown if name in listed}
    for name in states.keys() & unclear.keys():
        if owned.get(name) == unclear[name].created:
            del unclear[name]
    rows = {row.component: row for row in _rows(components, unclear)}
    for name in states.keys() & shown:
        row = rows.get(name)
        assert seen is not None  # only a fleet has states
        if row is None or row.fleet in (None, seen.fleet.uid):
            rows[name] = _with_state(row, states[name], endpoint, seen.fleet.name)
    return _Page(rows=[rows[name] for name in shown], hidden=len(names) - len(shown))


def _rank(state: AdapterState | None, live: ObservedComponent | None) -> int:
    """Return 0 for what failed, 1 for what is pending and 2 for the rest."""
    if state is not None:
        return min(2, list(StateGroup).index(state.group))
    assert live is not None  # every name has one of both
    return 0 if live.status is Status.FAILED else 1 if live.status.in_transition else 2


def _rows(components: EndpointComponents, listed: Mapping[str, ObservedComponent]) -> list[_Row]:
    """Return components whose owner only their tags tell."""
    tags = components.tags(listed)
    # A listing reports no base, and no reason of a failure.
    unclear = [
        name
        for name, live in listed.items()
        if FLEET_TAG not in tags.get(name, {}) or live.status is Status.FAILED
    ]
    described = components.described(unclear)
    return [
        _row(components.endpoint, name, described.get(name) or live, tags.get(name, {}))
        for name, live in listed.items()
    ]


def _row(endpoint: str, name: str, live: ObservedComponent, tags: Mapping[str, str]) -> _Row:
    kind = "adapter" if FLEET_TAG in tags or live.base is not None else "base" if live.described else None
    return _Row(
        endpoint=endpoint,
        component=name,
        kind=kind,
        fleet=tags.get(FLEET_TAG),
        stack=stack_of(tags),
        state=_STATES.get(live.status, live.status.lower()),
        since=live.created,
        reason=live.failure_reason,
    )


def _with_state(row: _Row | None, state: AdapterState, endpoint: str, fleet: str) -> _Row:
    there = row or _Row(
        endpoint=endpoint,
        component=state.component,
        kind="adapter",
        fleet=fleet,
        stack=None,
        state=state.state,
        since=state.since,
    )
    return replace(there, fleet=fleet, state=state.state, since=state.since, reason=state.reason)


def _print(pages: list[_Page], account: Account, *, as_json: bool) -> None:
    rows = [row for page in pages for row in page.rows]
    if as_json:
        for row in rows:
            typer.echo(json.dumps(_document(row)))
        return
    if not rows:
        print_note(f"no endpoint in {account.region} has a component")
        return
    now = account.now()
    if not sys.stdout.isatty():
        print_rows((), [(row.endpoint, *_cells(row, now, short=False)) for row in rows], styled=None)
        return
    console = Console()
    for page in pages:
        console.print(Text(printable(page.rows[0].endpoint), style="bold"))
        cells = [_cells(row, now, short=True) for row in page.rows]
        console.print(table(_HEADINGS, cells, styled=_HEADINGS.index("STATE"), spare=_SPARE))
        if page.hidden:
            console.print(hidden_rows(page.hidden))


def _cells(row: _Row, now: float, *, short: bool) -> tuple[str, ...]:
    """Return the fields of a row. With `short`, the beginning of a fleet's uid stands for it."""
    fleet = row.fleet if not short or row.fleet is None else _UID_TAIL.sub("", row.fleet)
    owner = f"fleet {fleet}" if fleet else f"stack {row.stack}" if row.stack else "-"
    age = "-" if row.since is None else duration(now - row.since)
    return row.component, row.kind or "-", owner, row.state, age, one_line(row.reason or "")


def _document(row: _Row) -> dict[str, Any]:
    return {**asdict(row), "since": timestamp(row.since)}
