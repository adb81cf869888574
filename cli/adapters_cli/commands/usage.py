"""`adapters usage`: requests and tokens of every adapter, by day."""

import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer

from adapter_fleet.aws.usage_reader import UsageReader
from adapter_fleet.common.counts import counted
from adapter_fleet.common.near_names import did_you_mean
from adapter_fleet.fleet.state.generations import Target
from adapter_fleet.usage.fleet_members import FleetMembers, no_value
from adapter_fleet.usage.usage_table import ANSWERED, DAY, HOUR, Table, TokenPattern, Usage, grouped, summed
from adapters_cli.aws.account import account_of
from adapters_cli.fleets.adapter_lookup import BASE
from adapters_cli.fleets.fleet_lookup import find_fleet, newest_generation
from adapters_cli.output.errors import option_errors
from adapters_cli.output.results import JsonOption, print_result
from adapters_cli.output.tables import RowTable
from adapters_cli.output.text import look_back_seconds, print_note

_NUMBERS = ("REQUESTS", "TOKENS IN", "TOKENS OUT", "SHARE")
_SPARE = ("TOKENS IN", "TOKENS OUT")

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
    tokens: Annotated[
        str | None,
        typer.Option(
            "--tokens",
            metavar="REGEX",
            help="Whole lines of the container's log, with groups adapter, prompt and completion.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the requests and tokens of every adapter of a fleet.

    Requests are CloudWatch's. Tokens are those in the container's log; most containers log none.
    The share is that of all tokens, or of all requests if there are no tokens.
    """
    account = account_of(context)
    with option_errors():
        length = look_back_seconds(since, units="hd", such_as="12h or 7d")
        pattern = ANSWERED if tokens is None else TokenPattern.of(tokens, "", setting="--tokens")
    fleet = find_fleet(account)
    members = FleetMembers.of(fleet.registry, newest_generation(fleet))
    target, keys = members.target, _keys(members, by)
    end = account.now()
    start = _begin(end, length)
    reader = UsageReader(*map(account.client, ("cloudwatch", "logs")))
    used = reader.table({*members.names, target.base}, target.base, start, end, pattern)
    keys |= _keys_of_removed(used, keys, target, by)
    days = grouped(used, keys | {target.base: BASE})
    total = summed(days.values())
    title = f"{fleet.record.name}, since {_minute(start)}"
    heading = (by or "adapter").upper()
    if not as_json:
        columns = ", ".join(column.lower() for column in (heading, *_NUMBERS))
        print_note(title if sys.stdout.isatty() else f"{title}: {columns}")
    print_result(_document(days), _table(total, heading), as_json=as_json, rows=_rows(total, comma=""))
    if not as_json:
        print_note(_total_text(total))


def _begin(end: float, length: float) -> float:
    """Return the start of a period of whole days or hours that ends with the current one."""
    unit = HOUR if length % DAY else DAY
    return (end // unit + 1) * unit - length


def _keys(members: FleetMembers, by: str | None) -> dict[str, str]:
    """Return the keys to sum by, by component: the adapters' names, or the values of a tag."""
    keys = members.keys(by)
    if by is not None and members.declared and set(keys.values()) == {no_value(by)}:
        known = {key for tags in members.declared.values() for key in tags}
        print_note(f"no adapter has the tag '{by}'{did_you_mean(by, known)}")
    return keys


def _keys_of_removed(used: Table, keys: Mapping[str, str], target: Target, by: str | None) -> dict[str, str]:
    """Return the keys of the fleet's components that are not there any more, though the log has their use."""
    begin = f"{target.prefix}-"
    removed = {
        component
        for of_day in used.values()
        for component in of_day
        if component not in keys and component != target.base and component.startswith(begin)
    }
    return {
        component: f"{component.removeprefix(begin)} (not in the fleet)" if by is None else no_value(by)
        for component in removed
    }


def _table(total: Mapping[str, Usage], heading: str) -> RowTable:
    rows = [(*fields, f"{share} %") for *fields, share in _rows(total, comma=",")]
    headings = (heading, *_NUMBERS)
    return RowTable(headings=headings, rows=rows, styled=None, spare=_SPARE, numbers=_NUMBERS, text=False)


def _rows(total: Mapping[str, Usage], *, comma: str) -> list[tuple[str, ...]]:
    """Return the use and the share in per cent, with this between the thousands."""
    weights = _weights(total)
    return [
        (
            who,
            f"{use.requests:{comma}.0f}",
            f"{use.prompt_tokens:{comma}}",
            f"{use.completion_tokens:{comma}}",
            f"{100 * weights[who]:.1f}",
        )
        for who, use in total.items()
    ]


def _total_text(uses: Mapping[str, Usage]) -> str:
    total = Usage()
    for use in uses.values():
        total.add(use)
    parts = [
        counted(round(total.requests), "request"),
        f"{counted(total.prompt_tokens, 'token')} in",
        f"{counted(total.completion_tokens, 'token')} out",
    ]
    return ", ".join(parts)


def _minute(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime(at))


def _weights(total: Mapping[str, Usage]) -> dict[str, float]:
    """Return each one's share of the tokens, or of the requests if there are no tokens."""
    uses = {who: float(usage.tokens) for who, usage in total.items()}
    if not any(uses.values()):
        uses = {who: usage.requests for who, usage in total.items()}
    everything = sum(uses.values())
    return {who: use / everything if everything else 0.0 for who, use in uses.items()}


def _lines(days: Mapping[str, Mapping[str, Usage]]) -> Iterable[tuple[str, str, Usage]]:
    for day, of_day in days.items():
        for who in sorted(of_day):
            yield day, who, of_day[who]


def _document(days: Mapping[str, Mapping[str, Usage]]) -> dict[str, Any]:
    return {
        "days": [{"day": day, "who": who, **asdict(use)} for day, who, use in _lines(days)],
        "total": [{"who": who, **asdict(use)} for who, use in summed(days.values()).items()],
    }
