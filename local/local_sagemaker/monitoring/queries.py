"""GetMetricData's queries, which alarms have as well: metrics, metric math, searches and Metrics Insights."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from local_sagemaker.monitoring.expressions import Expressions
from local_sagemaker.monitoring.insights import Query
from local_sagemaker.monitoring.metric_reader import Metrics, Series, Span, query_metric, read


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
                results[query["Id"]] = Query.parse(query["Expression"]).answer(metrics, span)
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
