"""The curves of a benchmark as one SVG: over the load, and over the number of adapters in the mix."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import log

from adapter_fleet.common.counts import counted
from adapters_cli.load.benchmark_result import (
    REQUEST_LATENCY,
    TIME_TO_FIRST_TOKEN,
    BenchmarkResult,
    Level,
    Series,
)
from adapters_cli.load.statistics import Distribution
from adapters_cli.reports.markup import escaped
from adapters_cli.reports.pictures import round_axis

_WIDTH, _HEIGHT = 360, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 34, 44
_LABEL = 26
"""Least distance between the labels below a panel."""
_METRICS = ((REQUEST_LATENCY, "Whole latency, ms"), (TIME_TO_FIRST_TOKEN, "First token, ms"))
# The colours come first: the rules of lines and bands override them, in the dark as well.
_STYLE = """
.paper{fill:#fff}text{font:12px system-ui,sans-serif;fill:#333}.title{font-weight:600}
.grid{stroke:#ddd}.base{stroke:#6b7280;fill:#6b7280}.adapters{stroke:#2563eb;fill:#2563eb}
@media(prefers-color-scheme:dark){.paper{fill:#111827}text{fill:#e5e7eb}.grid{stroke:#374151}
.base{stroke:#9ca3af;fill:#9ca3af}.adapters{stroke:#60a5fa;fill:#60a5fa}}
.line{fill:none;stroke-width:2}.p90{fill:none;stroke-width:1.5;stroke-dasharray:4 4}
.band{stroke:none;opacity:.18}text.base,text.adapters{stroke:none}
"""


@dataclass(frozen=True)
class _Panel:
    """A picture of one metric over one quantity.

    amounts:
        The quantity at each level, in rising order. Its axis is logarithmic.
    """

    title: str
    axis: str
    amounts: Sequence[float]
    levels: Sequence[Level]
    metric: str


def curve_picture(result: BenchmarkResult) -> str | None:
    """Draw the curves; None if there are no two levels to draw a line between."""
    panels = _panels(result)
    if not panels:
        return None
    width, height = 2 * _WIDTH, _HEIGHT * (len(panels) // 2)
    drawn = "".join(
        f'<g transform="translate({_WIDTH * (number % 2)} {_HEIGHT * (number // 2)})">{_draw(panel)}</g>'
        for number, panel in enumerate(panels)
    )
    title = escaped(f"{result.endpoint} on {result.engine or 'an unnamed engine'}, mix {result.mix}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height + 24}" role="img">'
        f"<title>{title}</title><style>{_STYLE}</style>"
        f'<rect class="paper" width="{width}" height="{height + 24}"/>{drawn}'
        f'<text x="{_LEFT}" y="{height + 14}">line: p50 with its 95 % interval; dashes: p90</text></svg>\n'
    )


def _panels(result: BenchmarkResult) -> list[_Panel]:
    answered = [level for level in result.levels if level.subject.answered]
    found: list[_Panel] = []
    if not answered:
        return found
    # A curve over one quantity is drawn at the largest value of the other one.
    most = max(level.adapters for level in answered)
    busiest = max((level.loop for level in answered), key=lambda loop: loop.amount)
    by_load = sorted(
        (level.loop.amount, number) for number, level in enumerate(answered) if level.adapters == most
    )
    by_adapters = sorted(
        (level.adapters, number) for number, level in enumerate(answered) if level.loop == busiest
    )
    for axis, places in (
        (f"{busiest.axis} ({counted(most, 'adapter')}), log scale", by_load),
        (f"adapters in the mix ({busiest.text}), log scale", by_adapters),
    ):
        amounts = [amount for amount, _ in places]
        if amounts[0] < amounts[-1]:
            levels = [answered[number] for _, number in places]
            found += [_Panel(title, axis, amounts, levels, metric) for metric, title in _METRICS]
    return found


def _draw(panel: _Panel) -> str:
    curves = {
        "base": [_distribution(level.base, panel.metric) for level in panel.levels],
        "adapters": [_distribution(level.subject, panel.metric) for level in panel.levels],
    }
    tops = [
        max(each.percentiles[90], each.intervals[50][1] or 0)
        for curve in curves.values()
        for each in curve
        if each is not None
    ]
    axis = round_axis(0, max(tops, default=0) or 1.0)
    first, last = panel.amounts[0], panel.amounts[-1]

    def x(index: int) -> float:
        share = log(panel.amounts[index] / first) / log(last / first)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - axis.at(value) / 100 * (_HEIGHT - _TOP - _BOTTOM)

    parts = [f'<text class="title" x="{_LEFT}" y="18">{escaped(panel.title)}</text>']
    for tick in axis.ticks:
        at = y(tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{tick:g}</text>')
    below = _HEIGHT - _BOTTOM + 16
    for index, anchor in _labels([x(index) for index in range(len(panel.amounts))]):
        amount = f"{panel.amounts[index]:g}"
        parts.append(f'<text x="{x(index):.1f}" y="{below}" text-anchor="{anchor}">{amount}</text>')
    parts.append(f'<text x="{_LEFT}" y="{_HEIGHT - _BOTTOM + 34}">{escaped(panel.axis)}</text>')
    for place, (who, curve) in enumerate(curves.items()):
        parts.append(_curve(who, curve, x, y))
        if any(curve):
            across = _WIDTH - _RIGHT - 70 * (1 - place)
            parts.append(f'<text class="{who}" x="{across}" y="18" text-anchor="end">● {who}</text>')
    return "".join(parts)


def _curve(
    who: str,
    curve: Sequence[Distribution | None],
    x: Callable[[int], float],
    y: Callable[[float], float],
) -> str:
    there = [(x(index), each) for index, each in enumerate(curve) if each is not None]
    if not there:
        return ""
    ends = [(at, *each.intervals[50], each.percentiles[50]) for at, each in there]
    above = [(at, y(middle if high is None else high)) for at, _, high, middle in ends]
    below = [(at, y(middle if low is None else low)) for at, low, _, middle in reversed(ends)]
    median = [(at, y(each.percentiles[50])) for at, each in there]
    upper = [(at, y(each.percentiles[90])) for at, each in there]
    dots = "".join(f'<circle class="{who}" cx="{at:.1f}" cy="{up:.1f}" r="3"/>' for at, up in median)
    return (
        f'<polygon class="{who} band" points="{_points(above + below)}"/>'
        f'<polyline class="{who} line" points="{_points(median)}"/>'
        f'<polyline class="{who} p90" points="{_points(upper)}"/>'
        f"{dots}"
    )


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{at:.1f},{up:.1f}" for at, up in points)


def _distribution(series: Series | None, metric: str) -> Distribution | None:
    return None if series is None else series.distributions().get(metric)


def _labels(places: Sequence[float]) -> Iterator[tuple[int, str]]:
    """Yield the labels that have room, with their anchors: the first, the last, and those between."""
    yield 0, "start"
    last = places[0]
    for index, at in enumerate(places[1:-1], start=1):
        if at - last >= _LABEL and places[-1] - at >= _LABEL:
            yield index, "middle"
            last = at
    yield len(places) - 1, "end"
