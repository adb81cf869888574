"""`adapters usage`: the requests of every adapter, by day."""

import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated

import typer

from adapter_fleet.aws.metric_reader import MetricReader
from adapter_fleet.common.counts import counted
from adapter_fleet.common.naming import did_you_mean, without_version
from adapter_fleet.fleet.state.rows.event_rows import MOST_EVENTS
from adapter_fleet.usage.fleet_members import FleetMembers, no_value
from adapters_cli.aws.account import account_of
from adapters_cli.aws.worker_threads import read_each
from adapters_cli.fleets.adapter_lookup import BASE
from adapters_cli.fleets.fleet_lookup import Fleet, find_fleet, newest_generation
from adapters_cli.output.errors import option_errors
from adapters_cli.output.results import JsonOption, print_result
from adapters_cli.output.tables import RowTable
from adapters_cli.output.text import look_back_seconds, print_note

_HOUR, _DAY = 3600, 86400
_NUMBERS = ("REQUESTS", "SHARE")

EXAMPLES = """
# The last seven days.
adapters usage --stack Tenants

# Each customer's share of a month, and so of what the endpoint cost.
adapters usage --since 30d --by customer
"""


def usage(
    context: typer.Context,
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help="How far to look back: 12h, 7d; days begin in UTC.")
    ] = "7d",
    by: Annotated[
        str | None,
        typer.Option(
            "--by", metavar="TAG", help="Sum by the value of a tag; else by adapter.", show_default=False
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the requests to every adapter of a fleet, and its share of all requests."""
    account = account_of(context)
    with option_errors():
        length = look_back_seconds(since, units="hd", such_as="12h or 7d")
    fleet = find_fleet(account)
    members = FleetMembers.of(fleet.registry, newest_generation(fleet))
    period = _HOUR if length % _DAY else _DAY
    end = account.now()
    # Whole days or hours, the current one included: CloudWatch's days are whole ones in UTC.
    start = (end // period + 1) * period - length
    members = _with_earlier_versions(fleet, members, start)
    keys = _keys(members, by) | {members.target.base: BASE}
    days: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    total: dict[str, float] = defaultdict(float)
    reader = MetricReader(account.client("cloudwatch"))
    for component, at, requests in reader.requests(keys, start, end, period=period):
        days[_utc("%Y-%m-%d", at)][keys[component]] += requests
        total[keys[component]] += requests
    total = dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))
    title = f"{fleet.record.name}, since {_utc('%Y-%m-%dT%H:%MZ', start)}"
    heading = (by or "adapter").upper()
    if not as_json:
        columns = ", ".join(column.lower() for column in (heading, *_NUMBERS))
        print_note(title if sys.stdout.isatty() else f"{title}: {columns}")
    document = {
        "days": [
            {"day": day, "who": who, "requests": requests}
            for day, of_day in sorted(days.items())
            for who, requests in sorted(of_day.items())
        ],
        "total": [{"who": who, "requests": requests} for who, requests in total.items()],
    }
    print_result(document, _table(total, heading), as_json=as_json, rows=_rows(total, comma=""))
    if not as_json:
        print_note(counted(round(sum(total.values())), "request"))


def _with_earlier_versions(fleet: Fleet, members: FleetMembers, start: float) -> FleetMembers:
    """Return the members with the versions that have gone since a time: only the histories know them."""
    routed = fleet.registry.routes.read().routes
    histories = {without_version(component) for component, name in members.names.items() if name in routed}
    events = read_each(histories, lambda component: fleet.registry.events.newest(component, MOST_EVENTS))
    found = (event for each in events.values() for event in each if event.at >= start)
    gone = {event.component: event.name for event in found}
    return replace(members, names={**gone, **members.names})


def _keys(members: FleetMembers, by: str | None) -> dict[str, str]:
    """Return the keys to sum by, by component: the adapters' names, or the values of a tag."""
    keys = members.keys(by)
    if by is not None and members.declared and set(keys.values()) == {no_value(by)}:
        known = {key for tags in members.declared.values() for key in tags}
        print_note(f"no adapter has the tag '{by}'{did_you_mean(by, known)}")
    return keys


def _table(total: Mapping[str, float], heading: str) -> RowTable:
    rows = [(*fields, f"{share} %") for *fields, share in _rows(total, comma=",")]
    headings = (heading, *_NUMBERS)
    return RowTable(headings=headings, rows=rows, styled=None, numbers=_NUMBERS, text=False)


def _rows(total: Mapping[str, float], *, comma: str) -> list[tuple[str, str, str]]:
    """Return the requests and the share in per cent, with this between the thousands."""
    everything = sum(total.values()) or 1.0
    return [
        (who, f"{requests:{comma}.0f}", f"{100 * requests / everything:.1f}")
        for who, requests in total.items()
    ]


def _utc(form: str, at: float) -> str:
    return time.strftime(form, time.gmtime(at))
