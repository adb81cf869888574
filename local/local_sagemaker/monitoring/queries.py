"""GetMetricData's queries, which alarms have as well: metrics, metric math, searches and Metrics Insights."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local_sagemaker.monitoring.expressions import Expressions
from local_sagemaker.monitoring.metrics import Metric, Metrics, Series, Span, query_metric, read

_MOST_SERIES = 500
_STATISTICS = {"AVG": "Average", "SUM": "Sum", "MIN": "Minimum", "MAX": "Maximum", "COUNT": "SampleCount"}
_NAME = r'(?:"[^"]+"|[A-Za-z_][\w.-]*)'
_INSIGHTS_QUERY = re.compile(
    rf"\s*SELECT\s+(?P<function>AVG|SUM|MIN|MAX|COUNT)\s*\(\s*(?P<metric>{_NAME})\s*\)"
    rf"\s+FROM\s+SCHEMA\s*\(\s*(?P<schema>{_NAME}(?:\s*,\s*{_NAME})*)\s*\)"
    rf"(?:\s+GROUP\s+BY\s+(?P<group>{_NAME}(?:\s*,\s*{_NAME})*))?"
    r"(?:\s+ORDER\s+BY\s+(?P<order>AVG|SUM|MIN|MAX|COUNT)\s*\(\s*\)(?:\s+(?P<direction>ASC|DESC))?)?"
    r"(?:\s+LIMIT\s+(?P<limit>\d+))?\s*",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class InsightsQuery:
    """A query of Metrics Insights.

    Its form is `SELECT SUM(m) FROM SCHEMA("ns", d) GROUP BY d ORDER BY SUM() DESC LIMIT 9`.
    [V user guide, "Metrics Insights query components and syntax"] SCHEMA takes the metrics with exactly its
    dimensions. There are at most 500 series in an answer. WHERE is not known here.
    """

    statistic: str
    metric: str
    namespace: str
    dimensions: frozenset[str]
    groups: Sequence[str]
    order: str | None
    descending: bool
    limit: int

    @classmethod
    def parse(cls, text: str) -> "InsightsQuery":
        """A query from its text; ValueError if it is not one."""
        match = _INSIGHTS_QUERY.fullmatch(text)
        if match is None:
            raise ValueError(f"not a Metrics Insights query: {text!r}")
        namespace, *schema = _names(match["schema"])
        return cls(
            statistic=_STATISTICS[match["function"].upper()],
            metric=_name(match["metric"]),
            namespace=namespace,
            dimensions=frozenset(schema),
            groups=_names(match["group"] or ""),
            order=_STATISTICS[match["order"].upper()] if match["order"] else None,
            descending=(match["direction"] or "ASC").upper() == "DESC",
            limit=int(match["limit"] or _MOST_SERIES),
        )

    def answer(self, metrics: Metrics, span: Span) -> list[Series]:
        """The series of the query in a span; those without a value are left out."""
        found: dict[tuple[str, ...], list[Metric]] = {}
        for metric in metrics.all(self.namespace):
            is_asked = metric.name == self.metric and metric.dimensions.keys() == self.dimensions
            if is_asked and all(name in metric.dimensions for name in self.groups):
                key = tuple(metric.dimensions[name] for name in self.groups)
                found.setdefault(key, []).append(metric)
        answered = []
        for key, members in found.items():
            series = read(metrics, members, span, self.statistic, " ".join(key) or self.metric)
            if series.values:
                answered.append((self._rank(metrics, members, span), series))
        if self.order is not None:
            answered.sort(key=lambda ranked: ranked[0], reverse=self.descending)
        return [series for _, series in answered][: min(self.limit, _MOST_SERIES)]

    def _rank(self, metrics: Metrics, members: Sequence[Metric], span: Span) -> float:
        """What the series are ordered by: the statistic over the whole span."""
        if self.order is None:
            return 0.0
        points = [
            point
            for metric in members
            for point in metric.points
            if span.start <= point["Timestamp"] < span.end
        ]
        return metrics.statistic(points, self.order) or 0.0


def _name(text: str) -> str:
    return text.strip().strip('"')


def _names(text: str) -> list[str]:
    return [_name(name) for name in re.findall(_NAME, text)]


def answers(
    metrics: Metrics, queries: Sequence[Mapping[str, Any]], start: float, end: float, *, scale: float = 1.0
) -> dict[str, list[Series]]:
    """The series of every query by its Id; ValueError for a wrong query.

    Periods last `scale` of their time. [V API reference] There may be one query of Metrics Insights; [T] an
    alarm is refused in the same case.
    """
    if sum(is_select(query.get("Expression") or "") for query in queries) > 1:
        raise ValueError("only one Metrics Insights query may be given")
    plain = {query["Id"]: query for query in queries if not query.get("Expression")}
    results: dict[str, Series | list[Series]] = {
        name: _metric(metrics, query["MetricStat"], start, end, scale) for name, query in plain.items()
    }
    shortest = min((float(query["MetricStat"].get("Period") or 60) for query in plain.values()), default=60.0)
    waiting = [query for query in queries if query.get("Expression")]
    while waiting:
        left = []
        for query in waiting:
            if _refers_to(query["Expression"], {other["Id"] for other in waiting if other is not query}):
                left.append(query)
                continue
            span = Span(start, end, float(query.get("Period") or shortest) * scale)
            if is_select(query["Expression"]):
                results[query["Id"]] = InsightsQuery.parse(query["Expression"]).answer(metrics, span)
            else:
                expressions = Expressions(metrics, span, results)
                results[query["Id"]] = expressions.value(query["Expression"])
        if len(left) == len(waiting):
            raise ValueError("the expressions refer to each other in a circle")
        waiting = left
    return {name: [found] if isinstance(found, Series) else found for name, found in results.items()}


def _metric(metrics: Metrics, stat: Mapping[str, Any], start: float, end: float, scale: float) -> Series:
    namespace, name, dimensions, period, statistic = query_metric(stat)
    metric = metrics.find(namespace, name, dimensions)
    found = [] if metric is None else [metric]
    return read(metrics, found, Span(start, end, period * scale), statistic, name, unit=stat.get("Unit"))


def is_select(expression: str) -> bool:
    """Whether an expression is a query of Metrics Insights."""
    return expression.lstrip().upper().startswith("SELECT")


def _refers_to(expression: str, names: set[str]) -> bool:
    if is_select(expression):
        return False
    # Words in quotes are searches.
    words = "".join(part for index, part in enumerate(expression.split("'")) if index % 2 == 0)
    return not names.isdisjoint(re.findall(r"\w+", words))
