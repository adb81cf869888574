"""CloudWatch's Metrics Insights: `SELECT SUM(m) FROM SCHEMA("ns", d) WHERE … GROUP BY d ORDER BY SUM() DESC`.

[V user guide, "Metrics Insights query components and syntax"] SCHEMA takes the metrics with exactly its
dimensions, a bare namespace every metric of it. Conditions are = and != joined by AND. There are at most 500
series in an answer.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from local_sagemaker.monitoring.metric_reader import Metric, Metrics, Series, Span, read

_MOST_SERIES = 500
_STATISTICS = {"AVG": "Average", "SUM": "Sum", "MIN": "Minimum", "MAX": "Maximum", "COUNT": "SampleCount"}
_NAME = r'(?:"[^"]+"|[A-Za-z_][\w.-]*)'
_QUERY = re.compile(
    rf"\s*SELECT\s+(?P<function>AVG|SUM|MIN|MAX|COUNT)\s*\(\s*(?P<metric>{_NAME})\s*\)"
    rf'\s+FROM\s+(?:SCHEMA\s*\(\s*(?P<schema>{_NAME}(?:\s*,\s*{_NAME})*)\s*\)|(?P<namespace>"[^"]+"))'
    r"(?:\s+WHERE\s+(?P<where>.+?))?"
    rf"(?:\s+GROUP\s+BY\s+(?P<group>{_NAME}(?:\s*,\s*{_NAME})*))?"
    r"(?:\s+ORDER\s+BY\s+(?P<order>AVG|SUM|MIN|MAX|COUNT)\s*\(\s*\)(?:\s+(?P<direction>ASC|DESC))?)?"
    r"(?:\s+LIMIT\s+(?P<limit>\d+))?\s*",
    re.IGNORECASE | re.DOTALL,
)
_CONDITION = re.compile(rf"\s*({_NAME})\s*(=|!=)\s*(?:'([^']*)'|\"([^\"]*)\")\s*", re.DOTALL)


@dataclass(frozen=True)
class Query:
    """One query."""

    statistic: str
    metric: str
    namespace: str
    dimensions: frozenset[str] | None
    conditions: Sequence[tuple[str, bool, str]]
    groups: Sequence[str]
    order: str | None
    descending: bool
    limit: int

    @classmethod
    def parse(cls, text: str) -> "Query":
        """A query from its text; ValueError if it is not one."""
        match = _QUERY.fullmatch(text)
        if match is None:
            raise ValueError(f"not a Metrics Insights query: {text!r}")
        namespace, *schema = _names(match["schema"]) if match["schema"] else [_name(match["namespace"])]
        return cls(
            statistic=_STATISTICS[match["function"].upper()],
            metric=_name(match["metric"]),
            namespace=namespace,
            dimensions=frozenset(schema) if match["schema"] else None,
            conditions=_conditions(match["where"] or ""),
            groups=_names(match["group"] or ""),
            order=_STATISTICS[match["order"].upper()] if match["order"] else None,
            descending=(match["direction"] or "ASC").upper() == "DESC",
            limit=int(match["limit"] or _MOST_SERIES),
        )

    def _takes(self, metric: Metric) -> bool:
        if metric.name != self.metric:
            return False
        if self.dimensions is not None and metric.dimensions.keys() != self.dimensions:
            return False
        return all(
            name in metric.dimensions and (metric.dimensions[name] == value) == equal
            for name, equal, value in self.conditions
        )

    def answer(self, metrics: Metrics, span: Span) -> list[Series]:
        """The series of the query in a span; those without a value are left out."""
        found: dict[tuple[str, ...], list[Metric]] = {}
        for metric in metrics.all(self.namespace):
            if self._takes(metric) and all(name in metric.dimensions for name in self.groups):
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


def _conditions(text: str) -> list[tuple[str, bool, str]]:
    conditions = []
    for part in re.split(r"\s+AND\s+", text, flags=re.IGNORECASE) if text.strip() else []:
        match = _CONDITION.fullmatch(part)
        if match is None:
            raise ValueError(f"not a condition of a Metrics Insights query: {part!r}")
        value = match[3] if match[3] is not None else match[4]
        conditions.append((_name(match[1]), match[2] == "=", value))
    return conditions
