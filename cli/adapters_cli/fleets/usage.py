"""The use of a fleet's adapters by day: requests, tokens, and their part of the endpoint's cost."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from adapters_cli.aws.account import Account
from adapters_cli.aws.component_metrics import ComponentMetrics
from adapters_cli.aws.log_events import messages
from adapters_cli.fleets.log_groups import component_group
from adapters_cli.fleets.price_list import PriceList

DAY = 86400.0
HOUR = 3600.0
_DEFAULT_FREQUENCY = 60.0
"""How often an instance sends metrics, in seconds, if the endpoint's configuration does not say it."""


@dataclass(frozen=True, kw_only=True)
class TokenPattern:
    """How a container tells the tokens of a request in its log.

    text:
        A text of each such line.
    pattern:
        A regular expression with the groups `adapter`, `prompt` and `completion`.
    """

    text: str
    pattern: re.Pattern[str]


ANSWERED = TokenPattern(
    text="answered adapter",
    pattern=re.compile(
        r"answered adapter=(?P<adapter>[^\s.]*)\S* prompt_tokens=(?P<prompt>\d+)"
        r" completion_tokens=(?P<completion>\d+)"
    ),
)
"""The line of the embedded cloud's engine. LMI and vLLM print none unless they are made to.

After an update, the engine's name of an adapter is its component's with a number: `acme.2`.
"""


@dataclass
class Usage:
    """The use of one adapter, of one tag or of all.

    cost:
        None without a list of prices.
    """

    requests: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None

    @property
    def tokens(self) -> int:
        """All tokens."""
        return self.prompt_tokens + self.completion_tokens

    def add(self, other: "Usage") -> None:
        """Add another use."""
        self.requests += other.requests
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens
        if other.cost is not None:
            self.cost = (self.cost or 0.0) + other.cost


Table = dict[str, dict[str, Usage]]
"""Usage by day, as ISO 8601 writes it in UTC, and by component."""


def read_usage(
    account: Account,
    components: Iterable[str],
    base: str,
    start: float,
    end: float,
    tokens: TokenPattern | None,
) -> Table:
    """Return the use of components by day.

    The tokens of others that the base serves, such as of an adapter of a stack, are under their own names.
    """
    table: Table = defaultdict(lambda: defaultdict(Usage))
    # Hours, unless the first one begins a day: CloudWatch's days are whole ones in UTC.
    period = int(HOUR if start % DAY else DAY)
    found = ComponentMetrics(account).requests(components, start, end, period=period)
    for component, at, requests in found:
        table[_day(at)][component].requests += requests
    for at, component, prompt, completion in _tokens(account, base, start, end, tokens):
        usage = table[_day(at)][component]
        usage.prompt_tokens += prompt
        usage.completion_tokens += completion
    return table


def _tokens(
    account: Account, base: str, start: float, end: float, tokens: TokenPattern | None
) -> Iterator[tuple[float, str, int, int]]:
    """Yield the tokens that the base's containers tell: time, component, prompt and completion."""
    if tokens is None:
        return
    for at, line in messages(account, component_group(base, "base").name, tokens.text, start, end):
        if (told := tokens.pattern.search(line)) is not None:
            yield at, told["adapter"] or base, int(told["prompt"]), int(told["completion"])


def share_cost(
    account: Account, endpoint: str, table: Table, prices: PriceList, span: tuple[float, float]
) -> None:
    """Share the cost of each day out by tokens, or by requests on a day without any.

    A day on which nobody asked is the base's: its instances ran for nobody.
    """
    for day, cost in _costs(account, endpoint, prices, *span).items():
        of_day = table[day]
        uses = {name: float(usage.tokens) for name, usage in of_day.items()}
        if not any(uses.values()):
            uses = {name: usage.requests for name, usage in of_day.items()}
        total = sum(uses.values())
        for name, use in uses.items():
            of_day[name].cost = cost * use / total if total else 0.0
        if not total:
            of_day[UNUSED].cost = cost


UNUSED = "(unused)"
"""The name of what instances cost on a day without a request."""


def _costs(
    account: Account, endpoint: str, prices: PriceList, start: float, end: float
) -> Mapping[str, float]:
    """Return what the endpoint's instances cost by day: the hours that they sent metrics, and the price."""
    client, metrics = account.client("sagemaker"), ComponentMetrics(account)
    name = client.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"]
    config: dict[str, Any] = client.describe_endpoint_config(EndpointConfigName=name)
    every = float(
        config.get("MetricsConfig", {}).get("MetricPublishFrequencyInSeconds") or _DEFAULT_FREQUENCY
    )
    costs: dict[str, float] = defaultdict(float)
    for variant in config["ProductionVariants"]:
        price = prices.of(variant["InstanceType"])
        samples = metrics.instance_samples(endpoint, variant["VariantName"], start, end, period=int(HOUR))
        for at, count in samples.items():
            costs[_day(at)] += count * every / HOUR * price
    return costs


def grouped(table: Table, key_of: Mapping[str, str]) -> dict[str, dict[str, Usage]]:
    """Return the use by day and by the key of each component, such as its name or the value of a tag."""
    found: dict[str, dict[str, Usage]] = {}
    for day in sorted(table):
        of_day = found.setdefault(day, {})
        for component, usage in table[day].items():
            of_day.setdefault(key_of.get(component, component), Usage()).add(usage)
    return found


def summed(days: Iterable[Mapping[str, Usage]]) -> dict[str, Usage]:
    """Return the use of all days by key, the largest first."""
    found: dict[str, Usage] = {}
    for day in days:
        for key, usage in day.items():
            found.setdefault(key, Usage()).add(usage)
    order = sorted(found, key=lambda key: (-found[key].tokens, -found[key].requests, key))
    return {key: found[key] for key in order}


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).date().isoformat()
