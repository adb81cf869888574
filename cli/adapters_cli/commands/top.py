"""`adapters top`: the load of every adapter, live."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from adapter_fleet.common.counts import counted
from adapters_cli.aws.account import account_of
from adapters_cli.aws.component_metrics import ComponentLoad, ComponentMetrics, LoadReading
from adapters_cli.fleets.adapter_lookup import BASE
from adapters_cli.fleets.base_state import read_base
from adapters_cli.fleets.fleet_lookup import Fleet, FleetOption, StackOption, TableOption, find_fleet
from adapters_cli.fleets.fleet_status import FleetStatus, StateGroup, read_status
from adapters_cli.fleets.tiers import LoraLimits, Tier, estimated_tiers, lora_limits
from adapters_cli.output.errors import reported_errors
from adapters_cli.output.fitted_screen import FittedScreen, hidden_rows
from adapters_cli.output.tables import print_rows, table
from adapters_cli.output.text import duration, latency, print_error, printable, timestamp

_HEADINGS = ("ADAPTER", "STATE", "REQUESTS", "PER MIN", "ERRORS", "MEAN", "P99", "TIER", "LAST")
_SPARE = ("PER MIN", "MEAN", "STATE", "TIER")
_NUMBERS = ("REQUESTS", "PER MIN", "ERRORS", "MEAN", "P99", "LAST")
_PERCENTILE = 99
_MINUTE = 60.0


class Order(StrEnum):
    """What the adapters are sorted by."""

    REQUESTS = "requests"
    ERRORS = "errors"
    LATENCY = "latency"
    NAME = "name"


@dataclass(frozen=True, kw_only=True)
class TopRow:
    """One adapter, or the base model."""

    name: str
    component: str
    state: str
    load: ComponentLoad
    tier: Tier | None


@dataclass(frozen=True, kw_only=True)
class TopView:
    """The load of a fleet at one moment.

    slowest:
        The percentile of rows that are shown, by component, in seconds.
    """

    seen: FleetStatus
    reading: LoadReading
    rows: Sequence[TopRow]
    slowest: Mapping[str, float]


EXAMPLES = """
# Watch the load, until Ctrl-C.
adapters top --stack Tenants

# The last hour, once, most errors first.
adapters top --sort errors --window 60 --once --stack Tenants
"""


def top(
    context: typer.Context,
    window: Annotated[
        int, typer.Option("--window", min=1, max=180, metavar="MINUTES", help="How far back the sums go.")
    ] = 5,
    order: Annotated[Order, typer.Option("--sort", help="What comes first.")] = Order.REQUESTS,
    interval: Annotated[
        float, typer.Option("--interval", min=1, metavar="SECONDS", help="Time between two looks.")
    ] = 10,
    once: Annotated[bool, typer.Option("--once", help="Look once, and end.")] = False,
    stack: StackOption = None,
    fleet: FleetOption = None,
    table_name: TableOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON document, and end.")] = False,
) -> None:
    """Show the load of every adapter, live: requests, errors, latency and tier of memory.

    The figures are CloudWatch's, of the last minutes. P99 is that of the slowest minute. The tier is an
    estimate from the last requests: no container tells it.

    Ends with Ctrl-C. In a pipe, with --once and with --json, it looks once.
    """
    with reported_errors():
        found = find_fleet(account_of(context), stack=stack, name=fleet, table=table_name)
        reader = _Reader(found, minutes=window, order=order)
        if as_json:
            typer.echo(json.dumps(_document(reader.read(None)), indent=2))
        elif once or not sys.stdout.isatty():
            # The prompt has a line, too.
            height = Console().height - 1 if sys.stdout.isatty() else None
            _print(reader.read(height), height)
        else:
            _watch(found, reader, interval)


class _Reader:
    """Reads the load of a fleet."""

    def __init__(self, fleet: Fleet, *, minutes: int, order: Order) -> None:
        self._fleet, self._minutes, self._order = fleet, minutes, order
        self._metrics = ComponentMetrics(fleet.account)
        self._limits: LoraLimits | None = None
        self._limits_of: str | None = None

    def read(self, shown: int | None) -> TopView:
        """Read the load; the percentile of the first `shown` rows, or of all."""
        seen = read_status(self._fleet)
        seen = replace(seen, base=read_base(self._fleet, seen.active))
        # Whole minutes, as CloudWatch stores them.
        end = (self._fleet.account.now() // _MINUTE + 1) * _MINUTE
        reading = self._metrics.load(end - (self._minutes + 1) * _MINUTE, end)
        rows = top_rows(seen, reading, self._lora_limits(seen.newest.request.target.base), self._order)
        busy = [row.component for row in rows[:shown] if row.load.requests]
        slowest = self._metrics.slowest(busy, reading.start, reading.end, percentile=_PERCENTILE)
        return TopView(seen=seen, reading=reading, rows=rows, slowest=slowest)

    def _lora_limits(self, base: str) -> LoraLimits | None:
        if self._limits_of != base:
            self._limits, self._limits_of = lora_limits(self._fleet.account, base), base
        return self._limits


_KEYS: dict[Order, Callable[[TopRow], Any]] = {
    Order.REQUESTS: lambda row: (-row.load.requests, row.name),
    Order.ERRORS: lambda row: (-row.load.errors, -row.load.requests, row.name),
    Order.LATENCY: lambda row: (-(row.load.mean_seconds or 0.0), row.name),
    Order.NAME: lambda row: row.name,
}


def top_rows(
    seen: FleetStatus, reading: LoadReading, limits: LoraLimits | None, order: Order
) -> list[TopRow]:
    """Return the rows of a fleet's adapters and of its base model."""
    components = [adapter.component for adapter in seen.adapters]
    tiers = {} if limits is None else estimated_tiers(components, reading, limits)
    base = seen.newest.request.target.base
    named = [(adapter.name, adapter.component, adapter.state) for adapter in seen.adapters]
    rows = [
        TopRow(
            name=name,
            component=component,
            state=state,
            load=reading.loads.get(component, ComponentLoad()),
            tier=tiers.get(component),
        )
        for name, component, state in [*named, (BASE, base, "-")]
    ]
    return sorted(rows, key=_KEYS[order])


def screen(view: TopView, height: int | None = None) -> FittedScreen:
    """Return what a terminal of that height shows: the first rows, as far as it has room."""
    return FittedScreen(rows=len(view.rows), draw=lambda shown: _drawn(view, shown), height=height)


def _drawn(view: TopView, shown: int) -> RenderableType:
    hidden = len(view.rows) - shown
    parts: list[RenderableType] = [Text(printable(_title(view)), style="bold")]
    if view.seen.base.note is not None:
        parts.append(Text(view.seen.base.note, style="red"))
    parts.append(
        table(
            _HEADINGS,
            [_cells(row, view) for row in view.rows[:shown]],
            styled=_HEADINGS.index("STATE"),
            spare=_SPARE,
            numbers=_NUMBERS,
            text=False,
        )
    )
    if hidden > 0:
        parts.append(hidden_rows(hidden))
    parts.append(Text(printable(_totals(view)), style="bold"))
    return Group(*parts)


def _watch(fleet: Fleet, reader: _Reader, interval: float) -> None:
    console = Console()
    with Live(console=console, screen=True, auto_refresh=False) as live:
        try:
            while True:
                live.update(screen(reader.read(console.height), console.height), refresh=True)
                fleet.account.sleep(interval)
        except KeyboardInterrupt:
            raise typer.Exit from None


def _print(view: TopView, height: int | None) -> None:
    if height is not None:
        Console().print(screen(view, height))
        return
    if view.seen.base.note is not None:
        print_error(view.seen.base.note)
    print_rows(_HEADINGS, [_cells(row, view) for row in view.rows], styled=1)


def _title(view: TopView) -> str:
    target = view.seen.newest.request.target
    minutes = view.reading.seconds / _MINUTE - 1
    return f"{view.seen.fleet.name} on {target.endpoint}: the last {minutes:.0f}m"


def _totals(view: TopView) -> str:
    loads = [row.load for row in view.rows]
    requests, errors = sum(load.requests for load in loads), sum(load.errors for load in loads)
    failed = view.seen.counts[StateGroup.FAILED]
    asked = sum(1 for row in view.rows if row.load.requests and row.name != BASE)
    parts = [
        f"{asked} of {counted(len(view.seen.adapters), 'adapter')} asked",
        counted(round(requests), "request"),
        counted(round(errors), "error"),
    ]
    if failed:
        parts.append(f"{counted(failed, 'adapter')} failed")
    if not view.reading.complete:
        parts.append("the least busy ones are not counted")
    return ", ".join(parts)


def _cells(row: TopRow, view: TopView) -> tuple[str, ...]:
    load, slowest = row.load, view.slowest.get(row.component)
    # The present minute has not passed yet.
    minutes = (min(view.seen.at, view.reading.end) - view.reading.start) / _MINUTE
    if not load.requests:
        return row.name, row.state, "-", "-", "-", "-", "-", "-", "-"
    return (
        row.name,
        row.state,
        f"{load.requests:,.0f}",
        f"{load.requests / minutes:,.1f}",
        f"{load.errors:,.0f}",
        latency(load.mean_seconds),
        latency(slowest),
        row.tier or "-",
        "-" if load.last_request is None else duration(view.seen.at - load.last_request),
    )


def _document(view: TopView) -> dict[str, Any]:
    return {
        "fleet": view.seen.fleet.name,
        "endpoint": view.seen.newest.request.target.endpoint,
        "start": timestamp(view.reading.start),
        "end": timestamp(view.reading.end),
        "complete": view.reading.complete,
        "copies": view.seen.base.copies,
        "adapters": [
            {
                "name": row.name,
                "component": row.component,
                "state": row.state,
                "requests": row.load.requests,
                "client_errors": row.load.client_errors,
                "server_errors": row.load.server_errors,
                "mean_seconds": row.load.mean_seconds,
                "p99_seconds": view.slowest.get(row.component),
                "tier": row.tier,
                "last_request": timestamp(row.load.last_request),
            }
            for row in view.rows
        ],
    }
