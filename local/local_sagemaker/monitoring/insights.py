"""CloudWatch's Metrics Insights: `SELECT SUM(m) FROM SCHEMA("ns", d) GROUP BY d ORDER BY SUM() DESC LIMIT 9`.

[V user guide, "Metrics Insights query components and syntax"] SCHEMA takes the metrics with exactly its
dimensions. There are at most 500 series in an answer. WHERE is not known here.
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
    rf"\s+FROM\s+SCHEMA\s*\(\s*(?P<schema>{_NAME}(?:\s*,\s*{_NAME})*)\s*\)"
    rf"(?:\s+GROUP\s+BY\s+(?P<group>{_NAME}(?:\s*,\s*{_NAME})*))?"
    r"(?:\s+ORDER\s+BY\s+(?P<order>AVG|SUM|MIN|MAX|COUNT)\s*\(\s*\)(?:\s+(?P<direction>ASC|DESC))?)?"
    r"(?:\s+LIMIT\s+(?P<limit>\d+))?\s*",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class Query:
    """One query."""

    statistic: str
    metric: str
    namespace: str
    dimensions: frozenset[str]
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

    def _takes(self, metric: Metric) -> bool:
        return metric.name == self.metric and metric.dimensions.keys() == self.dimensions

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
