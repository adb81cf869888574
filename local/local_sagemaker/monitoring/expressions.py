"""CloudWatch's metric math, with SEARCH: the functions that alarms and dashboards of endpoints use.

[V user guide, "Using metric math"] An expression is a number, a series or several series, and a whole one is
no number. Its syntax is close enough to Python's that Python parses it.
"""

import ast
import itertools
import operator
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from local_sagemaker.monitoring.metrics import Metric, Metrics, Series, Span, read

Value = float | str | Series | list[Series]

_SEARCH = re.compile(r'\s*\{([^}]*)\}((?:\s*\w+\s*=\s*"[^"]*")*)\s*')
_TERM = re.compile(r'(\w+)\s*=\s*"([^"]*)"')

_AGGREGATES: Mapping[str, Callable[[Sequence[float]], float]] = {
    "SUM": sum,
    "AVG": statistics.fmean,
    "MAX": max,
    "MIN": min,
}
_ARITHMETIC: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@dataclass(frozen=True)
class Search:
    """One search: a schema, and the whole values of the metric's name and of dimensions.

    [V user guide, "CloudWatch search expression syntax"] A schema in braces takes the metrics with exactly
    its dimensions. Every term has to match. Terms without quotes, OR and NOT are not known here.
    """

    namespace: str
    dimensions: frozenset[str]
    terms: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> "Search":
        """A search from its text; ValueError if it is not one."""
        match = _SEARCH.fullmatch(text)
        if match is None:
            raise ValueError(f"not supported in a search: {text!r}")
        namespace, *dimensions = [part.strip().strip('"') for part in match[1].split(",")]
        return cls(namespace, frozenset(dimensions), dict(_TERM.findall(match[2])))

    def takes(self, metric: Metric) -> bool:
        """Whether a metric of the namespace is found."""
        values = {**metric.dimensions, "MetricName": metric.name}
        return metric.dimensions.keys() == self.dimensions and self.terms.items() <= values.items()


class Expressions:
    """Evaluates expressions over the results of other queries."""

    def __init__(
        self,
        metrics: Metrics,
        span: Span,
        results: Mapping[str, Series | list[Series]],
    ):
        self._metrics = metrics
        self._span = span
        self._results = results

    def value(self, text: str) -> Series | list[Series]:
        """The one or several series of an expression; ValueError if it is not one that this module knows."""
        try:
            tree = ast.parse(text.strip(), mode="eval")
        except SyntaxError as error:
            raise ValueError(f"not an expression: {text!r}") from error
        value = self._of(tree.body)
        if isinstance(value, (str, float)):
            raise ValueError(f"not an expression of a series: {text!r}")
        return value

    def _of(self, node: ast.expr) -> Value:
        match node:
            case ast.Constant(value=int() | float() | str() as value):
                return value if isinstance(value, str) else float(value)
            case ast.Name(id=name) if name in self._results:
                return self._results[name]
            case ast.Name(id=word):
                return word
            case ast.List(elts=elements):
                return [one for element in elements for one in _listed(self._of(element))]
            case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _ARITHMETIC:
                return _combined(_ARITHMETIC[type(sign)], self._of(left), self._of(right))
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self._call(name.upper(), arguments)
        raise ValueError(f"not supported in an expression: {ast.unparse(node)!r}")

    def _call(self, name: str, arguments: Sequence[ast.expr]) -> Value:
        match name, arguments:
            case "SEARCH", [what, statistic, *period]:
                return self._search(str(self._of(what)), str(self._of(statistic)), period)
            case (("SUM" | "AVG" | "MAX" | "MIN"), [argument]):
                return _aggregated(name, self._of(argument))
            case "FILL", [argument, filling]:
                value = self._of(filling)
                return _of_each(self._of(argument), lambda series: self._filled(series, value))
            case "RUNNING_SUM", [argument]:
                return _of_each(self._of(argument), _running_sum)
            case "SORT", [argument, by, order, *count]:
                words = str(self._of(by)).upper(), str(self._of(order)).upper()
                return _sorted(_listed(self._of(argument)), *words, [self._of(one) for one in count])
        raise ValueError(f"not supported in an expression: {name}")

    def _search(self, what: str, statistic: str, period: Sequence[ast.expr]) -> list[Series]:
        seconds = self._of(period[0]) if period else self._span.period
        if not isinstance(seconds, (int, float)):
            raise ValueError(f"the period of a search should be a number, got {ast.unparse(period[0])!r}")
        span = Span(self._span.start, self._span.end, seconds)
        search, found = Search.parse(what), []
        for metric in self._metrics.all(search.namespace):
            if search.takes(metric):
                label = " ".join(metric.dimensions.values()) or metric.name
                series = read(self._metrics, [metric], span, statistic, label)
                if series.values:
                    found.append(series)
        return sorted(found, key=lambda one: one.label)

    def _filled(self, series: Series, filling: Value) -> Series:
        if filling != "REPEAT" and not isinstance(filling, float):
            raise ValueError(f"not supported in an expression: FILL with {filling!r}")
        values: dict[float, float] = {}
        last: float | None = None
        for begin in self._span.begins:
            last = series.values.get(begin, last)
            missing = last if filling == "REPEAT" else filling
            value = series.values.get(begin, missing)
            if isinstance(value, (int, float)):
                values[begin] = float(value)
        return Series(series.label, values)


def _listed(value: Value) -> list[Series]:
    if isinstance(value, (str, float)):
        raise ValueError(f"not a series: {value!r}")
    return value if isinstance(value, list) else [value]


def _of_each(value: Value, function: Callable[[Series], Series]) -> Value:
    made = [function(one) for one in _listed(value)]
    return made[0] if isinstance(value, Series) else made


def _running_sum(series: Series) -> Series:
    moments = sorted(series.values)
    sums = itertools.accumulate(series.values[moment] for moment in moments)
    return Series(series.label, dict(zip(moments, sums, strict=True)))


def _sorted(series: list[Series], by: str, order: str, count: Sequence[Value]) -> list[Series]:
    if by not in _AGGREGATES or order not in ("ASC", "DESC"):
        raise ValueError(f"not supported in an expression: SORT by {by} {order}")
    ordered = sorted(
        series,
        key=lambda one: _AGGREGATES[by](list(one.values.values()) or [0.0]),
        reverse=order == "DESC",
    )
    return ordered[: int(float(str(count[0])))] if count else ordered


def _combined(function: Callable[[float, float], float], left: Value, right: Value) -> Value:
    """Two operands, moment by moment. A number, or a single series, goes with each of several series."""
    if isinstance(left, str) or isinstance(right, str):
        raise ValueError(f"not a number or a series: {left if isinstance(left, str) else right!r}")
    if isinstance(left, float) and isinstance(right, float):
        try:
            return function(left, right)
        except ZeroDivisionError as error:
            raise ValueError(f"not supported in an expression: {left} divided by zero") from error
    sides = [side if isinstance(side, list) else [side] for side in (left, right)]
    first, second = map(len, sides)
    if 1 not in (first, second) and first != second:
        raise ValueError(f"not supported in an expression: arithmetic of {first} and {second} series")
    count = second if first == 1 else first
    pairs = zip(*(side * count if len(side) == 1 else side for side in sides), strict=True)
    combined = [_of_moments(function, one, other) for one, other in pairs]
    return combined if isinstance(left, list) or isinstance(right, list) else combined[0]


def _of_moments(
    function: Callable[[float, float], float], left: Series | float, right: Series | float
) -> Series:
    """The moments that both operands have; [V user guide] a division by zero has no value."""
    series = [side for side in (left, right) if isinstance(side, Series)]
    values: dict[float, float] = {}
    for moment in series[0].values:
        if all(moment in one.values for one in series):
            operands = (side.values[moment] if isinstance(side, Series) else side for side in (left, right))
            with suppress(ZeroDivisionError):
                values[moment] = function(*operands)
    return Series(series[0].label, values)


def _aggregated(name: str, series: Value) -> Series:
    """[V user guide] Of several series, one series. Of one series, a number: it is refused."""
    if not isinstance(series, list):
        raise ValueError(f"not supported in an expression: {name} of one series")
    moments: dict[float, list[float]] = {}
    for one in series:
        for moment, value in one.values.items():
            moments.setdefault(moment, []).append(value)
    function = _AGGREGATES[name]
    return Series(name, {moment: function(values) for moment, values in sorted(moments.items())})
