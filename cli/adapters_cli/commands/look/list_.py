"""`adapters list`: the components of every endpoint, and their owners."""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import typer
from rich.console import Console

from adapter_fleet.common.naming import FLEET_TAG
from adapter_fleet.fleet.state.components import ObservedComponent, Status
from adapters_cli.aws.account import account_of
from adapters_cli.aws.components import EndpointComponents, endpoint_names, no_endpoint
from adapters_cli.fleets.fleet_lookup import fleet_names
from adapters_cli.output.results import JsonOption, print_result
from adapters_cli.output.tables import RowTable
from adapters_cli.output.text import duration, print_note, timestamp

_HEADINGS = ("ENDPOINT", "COMPONENT", "KIND", "OWNER", "STATE", "AGE", "REASON")
_SPARE = ("AGE", "KIND")
_UID_TAIL = re.compile(r"-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
_STATES = {Status.IN_SERVICE: "in service"}


@dataclass(frozen=True, kw_only=True)
class _Component:
    """One component.

    kind:
        `base`, `adapter`, or None if it has gone meanwhile.
    fleet, stack:
        The uid of the fleet that owns it, or the stack. An owner by hand has neither.
    since:
        When it was created.
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
    as_json: JsonOption = False,
) -> None:
    """List the components of every endpoint, and whose they are: a fleet's, a stack's or nobody's.

    A fleet of ADAPTERS_STACK has its name, another one the beginning of its uid.

    A terminal shows as many as it has room for, failed and pending ones first. A pipe gets all.
    """
    account = account_of(context)
    names = endpoint_names(account) if account.endpoint is None else [account.endpoint]
    room = max(1, Console().height // max(1, len(names))) if sys.stdout.isatty() and not as_json else None
    shown, hidden = [], 0
    for name in names:
        components = EndpointComponents(account, name)
        listed = sorted(components.listed().items(), key=_by_name if room is None else _by_trouble)
        shown += _read(components, listed[:room])
        hidden += len(listed) - len(listed[:room])
    if not shown and account.endpoint is not None:
        raise no_endpoint(account, account.endpoint)
    fleets = {} if as_json else fleet_names(account)
    rows = [_row(found, account.now(), fleets) for found in shown]
    table = RowTable(headings=_HEADINGS, rows=rows, styled=_HEADINGS.index("STATE"), spare=_SPARE)
    print_result({"components": [*map(_document, shown)]}, table, as_json=as_json)
    if hidden:
        print_note(f"and {hidden:,} more; in a pipe and with --json, all are shown")
    if not shown and not as_json:
        print_note(f"no endpoint in {account.region} has a component")


def _by_name(listed: tuple[str, ObservedComponent]) -> str:
    return listed[0]


def _by_trouble(listed: tuple[str, ObservedComponent]) -> tuple[int, str]:
    """Sort what failed before what is pending, and that before the rest."""
    name, live = listed
    return 0 if live.status is Status.FAILED else 1 if live.status.in_transition else 2, name


def _read(
    components: EndpointComponents, listed: Sequence[tuple[str, ObservedComponent]]
) -> list[_Component]:
    """Read the owners of components, and what a listing does not report of them."""
    lives = dict(listed)
    tags = components.tags(lives)
    # A listing reports no base, and no reason of a failure.
    described = components.described(
        name for name, live in listed if FLEET_TAG not in tags.get(name, {}) or live.status is Status.FAILED
    )
    stacks = components.stacks({name: live for name, live in listed if FLEET_TAG not in tags.get(name, {})})
    found = []
    for name, listed_live in listed:
        live, own = described.get(name) or listed_live, tags.get(name, {})
        is_adapter = FLEET_TAG in own or live.base is not None
        found.append(
            _Component(
                endpoint=components.endpoint,
                component=name,
                kind="adapter" if is_adapter else "base" if live.described else None,
                fleet=own.get(FLEET_TAG),
                stack=stacks.get(name),
                state=_STATES.get(live.status, live.status.lower()),
                since=live.created,
                reason=live.failure_reason,
            )
        )
    return found


def _row(found: _Component, now: float, fleets: Mapping[str, str]) -> tuple[str, ...]:
    """Return the fields of a row. The beginning of its uid stands for a fleet whose name is not known."""
    owner = (
        f"fleet {fleets.get(found.fleet) or _UID_TAIL.sub('', found.fleet)}"
        if found.fleet
        else f"stack {found.stack}"
        if found.stack
        else "-"
    )
    age = "-" if found.since is None else duration(now - found.since)
    return (
        found.endpoint,
        found.component,
        found.kind or "-",
        owner,
        found.state,
        age,
        found.reason or "",
    )


def _document(found: _Component) -> dict[str, Any]:
    return {**asdict(found), "since": timestamp(found.since)}
