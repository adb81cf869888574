"""`adapters usage`: requests, tokens and cost of every adapter, by day."""

import csv
import io
import json
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from adapter_fleet.aws.usage_reader import UsageReader
from adapter_fleet.common.counts import counted
from adapter_fleet.common.near_names import did_you_mean
from adapter_fleet.fleet.state.generations import Target
from adapter_fleet.usage.fleet_members import FleetMembers, no_value
from adapter_fleet.usage.price_list import PriceList
from adapter_fleet.usage.usage_table import (
    ANSWERED,
    DAY,
    HOUR,
    Table,
    TokenPattern,
    Usage,
    grouped,
    share_cost,
    summed,
)
from adapters_cli.aws.account import account_of
from adapters_cli.fleets.adapter_lookup import BASE
from adapters_cli.fleets.fleet_lookup import (
    FleetOption,
    StackOption,
    TableOption,
    find_fleet,
    newest_generation,
)
from adapters_cli.output.errors import option_errors, reported_errors
from adapters_cli.output.look_back import look_back_seconds
from adapters_cli.output.tables import print_rows, table
from adapters_cli.output.text import print_note, printable

_NUMBERS = ("REQUESTS", "TOKENS IN", "TOKENS OUT", "COST", "SHARE")
_SPARE = ("TOKENS IN", "TOKENS OUT", "COST")
_CSV = ("day", "who", "requests", "prompt_tokens", "completion_tokens", "cost", "currency", "prices_of")
_BAR = 20
_EIGHTHS = " ▏▎▍▌▋▊▉"

EXAMPLES = """
# The last seven days.
adapters usage --stack Tenants

# What each customer costs, for a spreadsheet.
adapters usage --since 30d --by customer --prices prices.toml --csv
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
    prices: Annotated[
        Path | None,
        typer.Option(
            "--prices", metavar="FILE", help="TOML file with date, currency and [hourly].", show_default=False
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
    containing: Annotated[
        str | None,
        typer.Option(
            "--containing", metavar="TEXT", help="A text of each line of --tokens.", show_default=False
        ),
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Write CSV: a line for each day.")] = False,
    stack: StackOption = None,
    fleet: FleetOption = None,
    table_name: TableOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON document.")] = False,
) -> None:
    """Show the requests, tokens and cost of every adapter of a fleet.

    Requests are CloudWatch's. Tokens are those that the container's log tells; most containers tell none.
    The cost is that of the endpoint's instances, shared out by tokens, or by requests on days without any.
    Prices come from a file of yours.
    """
    if as_csv and as_json:
        raise typer.BadParameter("--csv and --json are both for programs; give one of them")
    with reported_errors():
        account = account_of(context)
        with option_errors():
            length = look_back_seconds(since, units="hd", such_as="12h or 7d")
            pattern = _pattern(tokens, containing)
            price_list = None if prices is None else PriceList.from_file(prices)
        found = find_fleet(account, stack=stack, name=fleet, table=table_name)
        members = FleetMembers.of(found.registry, newest_generation(found))
        target, keys = members.target, _keys(members, by)
        end = account.now()
        start = _begin(end, length)
        reader = UsageReader(*map(account.client, ("cloudwatch", "logs", "sagemaker")))
        used = reader.table({*members.names, target.base}, target.base, start, end, pattern)
        keys |= _keys_of_removed(used, keys, target, by)
        if price_list is not None:
            with option_errors():
                share_cost(used, reader.costs(target.endpoint, price_list, start, end))
        days = grouped(used, keys | {target.base: BASE})
        if as_csv:
            typer.echo(_csv(days, price_list), nl=False)
        elif as_json:
            typer.echo(json.dumps(_document(days, price_list), indent=2))
        else:
            title = f"{found.record.name}, since {_minute(start)}"
            _print(summed(days.values()), price_list, title=title, heading=(by or "adapter").upper())


def _begin(end: float, length: float) -> float:
    """Return the start of a period of whole days or hours that ends with the current one."""
    unit = HOUR if length % DAY else DAY
    return (end // unit + 1) * unit - length


def _pattern(tokens: str | None, text: str | None) -> TokenPattern:
    """Return how the container tells tokens. Raises ValueError."""
    if tokens is None:
        if text is not None:
            raise ValueError("'--containing' should be given with --tokens only")
        return ANSWERED
    return TokenPattern.of(tokens, text or "", setting="--tokens")


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
        component: f"{component.removeprefix(begin)} (removed)" if by is None else no_value(by)
        for component in removed
    }


def _print(total: Mapping[str, Usage], prices: PriceList | None, *, title: str, heading: str) -> None:
    weights = _weights(total)
    if not sys.stdout.isatty():
        columns = ", ".join(column.lower() for column in (heading, *_NUMBERS))
        print_note(f"{title}: {columns}")
        print_rows(
            (), [(*_cells(who, use), f"{weights[who]:.4f}") for who, use in total.items()], styled=None
        )
    else:
        most = max(weights.values(), default=0.0)
        rows = [
            (*_cells(who, use), f"{100 * weights[who]:.1f} %", _bar(weights[who], most))
            for who, use in total.items()
        ]
        everything = Usage()
        for use in total.values():
            everything.add(use)
        console = Console()
        console.print(Text(printable(title), style="bold"))
        console.print(
            table((heading, *_NUMBERS, ""), rows, styled=None, spare=_SPARE, numbers=_NUMBERS, text=False)
        )
        console.print(Text(_total_text(everything, prices), style="bold"))
    if prices is not None:
        print_note(f"costs in {prices.currency}, by the prices of {prices.date}")


def _cells(who: str, use: Usage) -> tuple[str, ...]:
    cost = "-" if use.cost is None else f"{use.cost:,.2f}"
    return who, f"{use.requests:,.0f}", f"{use.prompt_tokens:,}", f"{use.completion_tokens:,}", cost


def _total_text(total: Usage, prices: PriceList | None) -> str:
    parts = [
        counted(round(total.requests), "request"),
        f"{counted(total.prompt_tokens, 'token')} in",
        f"{counted(total.completion_tokens, 'token')} out",
    ]
    if prices is not None:
        parts.append(f"{total.cost or 0.0:,.2f} {prices.currency}")
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


def _bar(share: float, most: float) -> str:
    whole, eighths = divmod(round(8 * _BAR * share / most) if most else 0, 8)
    return f"{'█' * whole}{_EIGHTHS[eighths]}".rstrip()


def _lines(days: Mapping[str, Mapping[str, Usage]]) -> Iterable[tuple[str, str, Usage]]:
    for day, of_day in days.items():
        for who in sorted(of_day):
            yield day, who, of_day[who]


def _csv(days: Mapping[str, Mapping[str, Usage]], prices: PriceList | None) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_CSV)
    for day, who, use in _lines(days):
        cost = "" if use.cost is None else f"{use.cost:.6f}"
        tokens = (use.prompt_tokens, use.completion_tokens)
        of_prices = ("", "") if prices is None else (prices.currency, prices.date.isoformat())
        writer.writerow([day, who, f"{use.requests:.0f}", *tokens, cost, *of_prices])
    return text.getvalue()


def _document(days: Mapping[str, Mapping[str, Usage]], prices: PriceList | None) -> dict[str, Any]:
    return {
        "currency": None if prices is None else prices.currency,
        "prices_of": None if prices is None else prices.date.isoformat(),
        "days": [{"day": day, "who": who, **asdict(use)} for day, who, use in _lines(days)],
        "total": [{"who": who, **asdict(use)} for who, use in summed(days.values()).items()],
    }
