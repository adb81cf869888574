"""CloudWatch's metrics of one component."""

from dataclasses import dataclass

from adapter_fleet.aws.metric_reader import COMPONENT, NAMESPACE, MetricReader, metric_query
from adapters_cli.aws.account import Account

_PERIOD_SECONDS = 60

_QUERIES = (
    ("Invocations", "Sum"),
    ("Invocation4XXErrors", "Sum"),
    ("Invocation5XXErrors", "Sum"),
    ("ModelLatency", "Sum"),
    ("ModelLatency", "p99"),
)


@dataclass(frozen=True, kw_only=True)
class ComponentLoad:
    """What a component did in a span of time.

    mean_seconds, p99_seconds:
        Times of its container, the latter of the slowest minute; None without a request.
    """

    requests: float
    client_errors: float
    server_errors: float
    mean_seconds: float | None
    p99_seconds: float | None


def read_load(account: Account, component: str, start: float, end: float) -> ComponentLoad:
    """Read the load of a component between two times in seconds since 1970."""
    queries = [
        metric_query(index, NAMESPACE, metric, {COMPONENT: component}, _PERIOD_SECONDS, statistic)
        for index, (metric, statistic) in enumerate(_QUERIES)
    ]
    values: dict[str, list[float]] = {}
    for result in MetricReader(account.client("cloudwatch")).results(queries, start, end):
        values.setdefault(result["Id"], []).extend(result["Values"])
    requests, client_errors, server_errors, microseconds = (sum(values.get(f"m{n}", ())) for n in range(4))
    slowest = values.get("m4")
    return ComponentLoad(
        requests=requests,
        client_errors=client_errors,
        server_errors=server_errors,
        mean_seconds=microseconds / 1e6 / requests if requests else None,
        p99_seconds=max(slowest) / 1e6 if slowest else None,
    )
