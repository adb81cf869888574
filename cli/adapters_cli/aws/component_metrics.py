"""CloudWatch's metrics of one component."""

from dataclasses import dataclass

from adapter_fleet.aws.metric_reader import MetricReader, Series
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
    series = [(component, *query) for query in _QUERIES]
    values: dict[Series, list[float]] = {each: [] for each in series}
    reader = MetricReader(account.client("cloudwatch"))
    for each, _, value in reader.values(series, start, end, period=_PERIOD_SECONDS):
        values[each].append(value)
    requests, client_errors, server_errors, microseconds = (sum(values[each]) for each in series[:4])
    slowest = values[series[4]]
    return ComponentLoad(
        requests=requests,
        client_errors=client_errors,
        server_errors=server_errors,
        mean_seconds=microseconds / 1e6 / requests if requests else None,
        p99_seconds=max(slowest) / 1e6 if slowest else None,
    )
