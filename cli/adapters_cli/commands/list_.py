"""`adapters list`: the components of every endpoint, and their owners."""

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from adapter_fleet.common.naming import FLEET_TAG, stack_of
from adapter_fleet.fleet.state.components import ObservedComponent, Status
from adapters_cli.aws.account import Account, account_of
from adapters_cli.aws.components import EndpointComponents, endpoint_names, no_endpoint
from adapters_cli.fleets.fleet_lookup import (
    FleetOption,
    StackOption,
    TableOption,
    find_fleet,
    newest_generation,
)
from adapters_cli.fleets.fleet_status import AdapterState, read_status
from adapters_cli.output.errors import UsageError, reported_errors
from adapters_cli.output.tables import print_rows, table
from adapters_cli.output.text import duration, one_line, print_note, printable, timestamp

_HEADINGS = ("COMPONENT", "KIND", "OWNER", "STATE", "AGE", "REASON")
_SPARE = ("AGE", "KIND")
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

    Reads the tags of each component, and describes those of no fleet: two calls for each.
    """
    with reported_errors():
        account = account_of(context)
        given = (stack, fleet, table_name) != (None, None, None)
        if given and endpoint is not None:
            raise UsageError("--endpoint and a fleet both say which endpoint; give one of them")
        if given:
            rows = _of_fleet(account, stack, fleet, table_name)
        else:
            names = [endpoint] if endpoint is not None else endpoint_names(account)
            rows = [row for name in names for row in _of_endpoint(account, name)]
        if endpoint is not None and not rows:
            raise no_endpoint(account, endpoint)
        _print(rows, account, as_json=as_json)


def _of_endpoint(account: Account, endpoint: str) -> list[_Row]:
    """Return the components of an endpoint by name."""
    components = EndpointComponents(account, endpoint)
    listed = components.listed()
    tags = components.tags(listed)
    # A listing reports no base, and no reason of a failure.
    unclear = [
        name
        for name, live in listed.items()
        if FLEET_TAG not in tags.get(name, {}) or live.status is Status.FAILED
    ]
    described = components.described(unclear)
    return [
        _row(endpoint, name, described.get(name) or live, tags.get(name, {}))
        for name, live in sorted(listed.items())
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


def _of_fleet(account: Account, stack: str | None, name: str | None, table: str | None) -> list[_Row]:
    """Return the components of a fleet's endpoint, and adapters of the fleet that have none yet."""
    found = find_fleet(account, stack=stack, name=name, table=table)
    endpoint = newest_generation(found).request.target.endpoint
    states = {state.component: state for state in read_status(found).adapters}
    rows = {row.component: row for row in _of_endpoint(account, endpoint)}
    known = {
        component: _with_state(rows.get(component), state, endpoint, found.record.name)
        for component, state in states.items()
        if component not in rows or rows[component].fleet in (None, found.record.uid)
    }
    merged = rows | known
    return [merged[component] for component in sorted(merged)]


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


def _print(rows: list[_Row], account: Account, *, as_json: bool) -> None:
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
    for endpoint, of_endpoint in groupby(rows, key=lambda row: row.endpoint):
        console.print(Text(printable(endpoint), style="bold"))
        cells = [_cells(row, now, short=True) for row in of_endpoint]
        console.print(table(_HEADINGS, cells, styled=_HEADINGS.index("STATE"), spare=_SPARE))


def _cells(row: _Row, now: float, *, short: bool) -> tuple[str, ...]:
    """Return the fields of a row. With `short`, the beginning of a fleet's uid stands for it."""
    fleet = row.fleet if not short or row.fleet is None else _UID_TAIL.sub("", row.fleet)
    owner = f"fleet {fleet}" if fleet else f"stack {row.stack}" if row.stack else "-"
    age = "-" if row.since is None else duration(now - row.since)
    return row.component, row.kind or "-", owner, row.state, age, one_line(row.reason or "")


def _document(row: _Row) -> dict[str, Any]:
    return {**asdict(row), "since": timestamp(row.since)}
