"""Figures as every report writes them."""

from adapters_cli.evaluation.result import Interval, MetricFacts

NONE = "\N{EN DASH}"
"""Stands for a figure that there is not."""

_SPACE = "\N{NO-BREAK SPACE}"
_MINUS = "\N{MINUS SIGN}"


def score(value: float) -> str:
    """Return a score or a mean: 0.312, or 41.5 on a long scale."""
    text = f"{abs(value):.3f}" if abs(value) < 10 else f"{abs(value):,.1f}"
    return _MINUS + text if value < 0 and float(text.replace(",", "")) else text


def gain(value: float) -> str:
    """Return a difference with its sign: +0.312."""
    text = score(value)
    return f"+{text}" if value > 0 and float(text.replace(",", "")) else text


def percent(share: float) -> str:
    """Return a relative gain with its sign: +123 %."""
    points = 100 * share
    text = f"{abs(points):.1f}" if abs(points) < 10 else f"{abs(points):,.0f}"
    sign = "" if not float(text.replace(",", "")) else "+" if points > 0 else _MINUS
    return f"{sign}{text}{_SPACE}%"


def gain_interval(interval: Interval) -> str:
    """Return the interval of a difference: +0.281 to +0.343."""
    return f"{gain(interval.low)} to {gain(interval.high)}"


def percent_interval(interval: Interval) -> str:
    """Return the interval of a relative gain: +110 % to +135 %."""
    return f"{percent(interval.low)} to {percent(interval.high)}"


def p_value(value: float) -> str:
    """Return a p-value. Below a thousandth, only that."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def seconds(value: float) -> str:
    """Return a duration in seconds, milliseconds or microseconds."""
    if value < 0.001:
        return f"{1e6 * value:.0f}{_SPACE}µs"
    return f"{1000 * value:.0f}{_SPACE}ms" if value < 1 else f"{value:.2f}{_SPACE}s"


def short_title(metric: MetricFacts) -> str:
    """Return a metric's title without what the figure rests on."""
    return metric.title.split(" (")[0]


def tick(value: float) -> str:
    """Return a number of an axis: as short as it can be."""
    text = f"{abs(value):g}" if abs(value) < 1e5 else f"{abs(value):.1e}"
    return _MINUS + text if value < 0 else text
