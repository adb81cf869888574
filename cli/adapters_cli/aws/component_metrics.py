"""CloudWatch's metrics of many components, in a few queries.

Metrics Insights gives the sums of all components with one query for each metric, however many there are: a
query for each of a thousand adapters would take seconds and cost cents. It has no percentiles, so these are
asked for the components that are shown.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from adapter_fleet.aws.metric_reader import COMPONENT, MOST_SERIES, NAMESPACE, MetricReader, metric_query
from adapters_cli.aws.account import Account
from adapters_cli.aws.parallel_reads import read_each

_PERIOD_SECONDS = 60

_SUMS = {
    "requests": "Invocations",
    "client_errors": "Invocation4XXErrors",
    "server_errors": "Invocation5XXErrors",
    "microseconds": "ModelLatency",
}


@dataclass
class ComponentLoad:
    """What a component did in a span of time.

    microseconds:
        The time that its container took for all requests together.
    last_request:
        The minute of the last request, in seconds since 1970; None for none.
    """

    requests: float = 0.0
    client_errors: float = 0.0
    server_errors: float = 0.0
    microseconds: float = 0.0
    last_request: float | None = None

    def add(self, result: Mapping[str, Any]) -> None:
        """Add a result of CloudWatch, whose Id is the name of a field."""
        name: str = result["Id"]
        setattr(self, name, getattr(self, name) + sum(result["Values"]))
        if name == "requests":
            asked = (
                at.timestamp()
                for at, value in zip(result["Timestamps"], result["Values"], strict=True)
                if value
            )
            latest = max(asked, default=None)
            self.last_request = max(filter(None, (self.last_request, latest)), default=None)

    @property
    def errors(self) -> float:
        """Requests that were refused or failed."""
        return self.client_errors + self.server_errors

    @property
    def mean_seconds(self) -> float | None:
        """Mean time of the container; None without a request."""
        return self.microseconds / 1e6 / self.requests if self.requests else None


@dataclass(frozen=True, kw_only=True)
class LoadReading:
    """The load of components by name, between two times in seconds since 1970.

    complete:
        False if more components had requests than a query answers with. The others had fewer.
    """

    start: float
    end: float
    loads: Mapping[str, ComponentLoad] = field(default_factory=dict)
    complete: bool = True

    @property
    def seconds(self) -> float:
        """Length of the span."""
        return self.end - self.start


class ComponentMetrics(MetricReader):
    """Reads the metrics of the components of an account and region."""

    def __init__(self, account: Account) -> None:
        super().__init__(account.client("cloudwatch"))

    def load(self, start: float, end: float) -> LoadReading:
        """Return what each component did, but for the least busy ones of more than 500."""

        def sums(name: str) -> list[Any]:
            query = {"Id": name, "Expression": _sum_query(_SUMS[name]), "Period": _PERIOD_SECONDS}
            return list(self.results([query], start, end))

        # [V API reference] A call may have one query of Metrics Insights only.
        found = read_each(_SUMS, sums)
        loads: dict[str, ComponentLoad] = {}
        for result in chain.from_iterable(found.values()):
            loads.setdefault(result["Label"], ComponentLoad()).add(result)
        asked = sum(1 for load in loads.values() if load.requests)
        return LoadReading(start=start, end=end, loads=loads, complete=asked < MOST_SERIES)

    def load_of(self, component: str, start: float, end: float) -> ComponentLoad:
        """Return what one component did."""
        queries = [
            metric_query(0, NAMESPACE, metric, {COMPONENT: component}, _PERIOD_SECONDS, "Sum") | {"Id": name}
            for name, metric in _SUMS.items()
        ]
        load = ComponentLoad()
        for result in self.results(queries, start, end):
            load.add(result)
        return load

    def slowest(
        self, components: Iterable[str], start: float, end: float, *, percentile: int
    ) -> dict[str, float]:
        """Return a percentile of the container's seconds by component: that of the slowest minute."""
        names = list(components)
        found: dict[str, float] = {}
        for first in range(0, len(names), MOST_SERIES):
            part = names[first : first + MOST_SERIES]
            queries = [
                metric_query(
                    index,
                    NAMESPACE,
                    "ModelLatency",
                    {COMPONENT: name},
                    _PERIOD_SECONDS,
                    f"p{percentile}",
                )
                for index, name in enumerate(part)
            ]
            for result in self.results(queries, start, end):
                if result["Values"]:
                    found[part[int(result["Id"][1:])]] = max(result["Values"]) / 1e6
        return found


def _sum_query(metric: str) -> str:
    source = f'FROM SCHEMA("{NAMESPACE}", {COMPONENT}) GROUP BY {COMPONENT}'
    return f"SELECT SUM({metric}) {source} ORDER BY SUM() DESC LIMIT {MOST_SERIES}"
