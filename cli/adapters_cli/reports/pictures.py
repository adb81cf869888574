"""Pictures of a result as SVG in the page.

They take the width of their place: positions are in per cent, and texts keep the size of the page's. Colours
and dashes are those of `page.css`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from adapters_cli.evaluation.result import Comparison, Latency, MetricFacts
from adapters_cli.reports import figures
from adapters_cli.reports.item_ranking import scale
from adapters_cli.reports.markup import Markup, element, joined

_BINS = 24
_MOST_VALUES = 6
"""Whole numbers with no more different values than this get a pair of bars for each."""

_HEIGHT, _TOP, _BOTTOM = 190, 40, 22
_STRIP = 30
_SCORES = 2
"""The longest scale on which gains are drawn as they are: from -1 to 1."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A range of numbers with round ticks.

    low, high:
        What is at the left edge and at the right one.
    in_shares:
        True if its numbers are shares of each metric's scale.
    """

    low: float
    high: float
    ticks: Sequence[float]
    in_shares: bool = False

    def at(self, value: float) -> float:
        """Return the place of a value in per cent."""
        return 100 * (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)


def distribution(
    metric: MetricFacts,
    baseline: tuple[str, Sequence[float]],
    subject: tuple[str, Sequence[float]],
) -> Markup:
    """Draw how the scores of two subjects spread over a metric's scale, with their means."""
    scores = [*baseline[1], *subject[1]]
    if not scores:
        return element("p", "No scores.", class_="none")
    values = _whole_values(metric, scores)
    few = bool(values)
    shares, axis = _bars(values, baseline[1], subject[1]) if few else _steps(metric, baseline[1], subject[1])
    peak = max(*shares[0], *shares[1])
    parts = [
        element(
            "svg",
            *(_pairs(shares, peak) if few else _outlines(shares, peak)),
            viewBox="0 0 100 100",
            preserveAspectRatio="none",
            y=_TOP,
            width="100%",
            height=_HEIGHT - _TOP - _BOTTOM,
        ),
        _line(0, _HEIGHT - _BOTTOM, 100, _HEIGHT - _BOTTOM, "axis"),
    ]
    if few:
        width = 100 / len(values)
        parts += [
            _text(width * (place + 0.5), _HEIGHT - 6, _tick(value), "middle", "tick")
            for place, value in enumerate(values)
        ]
    else:
        parts += [
            _text(axis.at(tick), _HEIGHT - 6, _tick(tick), _anchor(axis.at(tick)), "tick")
            for tick in axis.ticks
        ]
        parts += [
            _mean(axis.at(_mean_of(scores)), 24 if kind == "subject" else 12, _mean_of(scores), kind)
            for kind, scores in (("base", baseline[1]), ("subject", subject[1]))
            if scores
        ]
    parts.append(_peak(peak, baseline[1], subject[1], axis))  # over the lines, so that it can be read
    described = ", ".join(
        f"{name}: mean {figures.score(_mean_of(scores))}, {_quartiles(scores)}"
        for name, scores in (baseline, subject)
        if scores
    )
    return element(
        "svg",
        *parts,
        class_="distribution",
        role="img",
        aria_label=f"Distribution of {metric.title}. {described}.",
        width="100%",
        height=_HEIGHT,
    )


def _whole_values(metric: MetricFacts, scores: Sequence[float]) -> list[float]:
    """Return the values of a metric that counts or says yes or no; nothing for any other metric."""
    values = set(scores)
    if math.isfinite(metric.lowest) and math.isfinite(metric.highest):
        values |= {metric.lowest, metric.highest}
    whole = len(values) <= _MOST_VALUES and all(value == round(value) for value in values)
    return sorted(values) if whole else []


def gain_axis(comparisons: Sequence[Comparison], metrics: Sequence[MetricFacts]) -> Axis:
    """Return the axis that the gains of several metrics share.

    It has the gains themselves, unless a scale is much longer than others.
    """
    by_name = {metric.name: metric for metric in metrics}
    in_shares = any(scale(by_name[comparison.metric]) > _SCORES for comparison in comparisons)
    ends = [0.0]
    for comparison in comparisons:
        ends += _placed(comparison, by_name[comparison.metric], in_shares=in_shares)
    return replace(round_axis(min(ends), max(ends)), in_shares=in_shares)


def gain_strip(comparison: Comparison, metric: MetricFacts, axis: Axis, *, side: str) -> Markup:
    """Draw a gain and its interval as one row of a forest plot. Better is to the right.

    side:
        `better`, `worse` or `unclear`.
    """
    low, at, high = (axis.at(value) for value in _placed(comparison, metric, in_shares=axis.in_shares))
    middle = _STRIP / 2
    return element(
        "svg",
        *(_line(axis.at(tick), 0, axis.at(tick), _STRIP, "grid") for tick in axis.ticks if tick),
        _line(axis.at(0), 0, axis.at(0), _STRIP, "zero"),
        element(
            "g",
            _line(low, middle, high, middle, "interval"),
            _line(low, middle - 5, low, middle + 5, "interval"),
            _line(high, middle - 5, high, middle + 5, "interval"),
            element("circle", cx=f"{at:.2f}%", cy=middle, r=5, class_="point"),
            class_=side,
        ),
        class_="strip",
        role="img",
        aria_label=f"{figures.short_title(metric)}: {figures.gain(comparison.difference)}, "
        f"95 % interval {figures.gain_interval(comparison.interval)}",
        width="100%",
        height=_STRIP,
    )


def gain_scale(axis: Axis) -> Markup:
    """Draw the ticks of the axis of gains: every other one from zero, where they are many."""
    zero, every = axis.ticks.index(0), 1 if len(axis.ticks) <= 5 else 2
    return element(
        "svg",
        *(
            _text(axis.at(tick), 14, _tick(tick, signed=True), _anchor(axis.at(tick)), "tick")
            for place, tick in enumerate(axis.ticks)
            if (place - zero) % every == 0
        ),
        _text(50, 32, "shares of each metric's scale", "middle", "tick") if axis.in_shares else None,
        class_="strip",
        aria_hidden="true",
        width="100%",
        height=38 if axis.in_shares else 20,
    )


def latency_axis(latencies: Sequence[Latency]) -> Axis | None:
    """Return the axis of latencies in seconds, from zero; None if nothing was measured."""
    longest = max((value for latency in latencies if (value := latency.p99) is not None), default=0)
    return round_axis(0, longest, most=3.2) if longest > 0 else None


def latency_strip(latency: Latency, axis: Axis, *, kind: str) -> Markup:
    """Draw the percentiles of a latency: a dot at the median, a diamond at p90, a bar at p99."""
    middle = _STRIP / 2
    places = [axis.at(value) for value in (latency.p50, latency.p90, latency.p99) if value is not None]
    marks = [
        Markup('<circle r="5" class="point"></circle>'),
        Markup('<path d="M-6 0L0-6L6 0L0 6Z" class="point"></path>'),
        Markup('<path d="M-2-8H2V8H-2Z" class="point"></path>'),
    ]
    return element(
        "svg",
        *(_line(axis.at(tick), 0, axis.at(tick), _STRIP, "grid") for tick in axis.ticks),
        element(
            "g",
            _line(places[0], middle, places[-1], middle, "interval") if places else None,
            *(
                element("svg", mark, x=f"{place:.2f}%", y=middle, overflow="visible")
                for place, mark in zip(places, marks, strict=False)
            ),
            class_=kind,
        ),
        class_="strip",
        role="img",
        aria_label=f"{latency.subject}: median {figures.seconds(latency.p50)}, "
        f"p90 {figures.seconds(latency.p90)}, p99 {figures.seconds(latency.p99)}",
        width="100%",
        height=_STRIP,
    )


def latency_scale(axis: Axis) -> Markup:
    """Draw the ticks of the axis of latencies."""
    return element(
        "svg",
        *(
            _text(axis.at(tick), 14, figures.seconds(tick) if tick else "0", _anchor(axis.at(tick)), "tick")
            for tick in axis.ticks
        ),
        class_="strip",
        aria_hidden="true",
        width="100%",
        height=20,
    )


def _placed(comparison: Comparison, metric: MetricFacts, *, in_shares: bool) -> list[float]:
    """Return low end, gain and high end, in shares of the metric's scale or not, so that more is better."""
    length = (scale(metric) if in_shares else 1) * (1 if metric.higher_is_better else -1)
    interval = comparison.interval
    return sorted(value / length for value in (interval.low, comparison.difference, interval.high))


def _bars(
    values: Sequence[float], baseline: Sequence[float], subject: Sequence[float]
) -> tuple[tuple[list[float], list[float]], Axis]:
    shares = tuple(
        [scores.count(value) / max(1, len(scores)) for value in values]
        for scores in (list(baseline), list(subject))
    )
    return (shares[0], shares[1]), Axis(low=0, high=1, ticks=())


def _steps(
    metric: MetricFacts, baseline: Sequence[float], subject: Sequence[float]
) -> tuple[tuple[list[float], list[float]], Axis]:
    low, high = min(*baseline, *subject), max(*baseline, *subject)
    if math.isfinite(metric.lowest) and math.isfinite(metric.highest):
        low, high = min(low, metric.lowest), max(high, metric.highest)
    if low == high:  # all scores are equal, on a scale without an end
        low, high = low - 0.5, high + 0.5
    axis = Axis(low=low, high=high, ticks=(low, (low + high) / 2, high))
    shares = []
    for scores in (baseline, subject):
        bins = [0] * _BINS
        for value in scores:
            bins[min(_BINS - 1, int((value - low) / (high - low) * _BINS))] += 1
        shares.append([count / max(1, len(scores)) for count in bins])
    return (shares[0], shares[1]), axis


def _pairs(shares: tuple[list[float], list[float]], peak: float) -> list[Markup]:
    width = 100 / len(shares[0])
    bar = min(width * 0.36, 16)
    parts = []
    for side, (kind, of_kind) in enumerate(zip(("base", "subject"), shares, strict=True)):
        for place, share in enumerate(of_kind):
            height = 100 * share / peak
            left = width * (place + 0.5) + (side - 1) * bar
            box = {"x": left, "y": 100 - height, "width": bar, "height": height}
            parts.append(element("rect", class_=f"area {kind}", **box))
            parts.append(element("rect", class_=f"outline {kind}", **box))
    return parts


def _outlines(shares: tuple[list[float], list[float]], peak: float) -> list[Markup]:
    parts = []
    for kind, of_kind in zip(("base", "subject"), shares, strict=True):
        width = 100 / len(of_kind)
        steps = "".join(
            f"V{_short(100 - 100 * share / peak)}H{_short(width * (place + 1))}"
            for place, share in enumerate(of_kind)
        )
        path = f"M0 100{steps}V100"
        parts.append(element("path", d=f"{path}Z", class_=f"area {kind}"))
        parts.append(element("path", d=path, class_=f"outline {kind}"))
    return parts


def _peak(peak: float, baseline: Sequence[float], subject: Sequence[float], axis: Axis) -> Markup:
    """Say how many items the highest bar has, on the side that is farther from the means."""
    means = [axis.at(_mean_of(scores)) for scores in (baseline, subject) if scores]
    text = f"{100 * peak:.0f}\N{NO-BREAK SPACE}% of items"
    if min(means) > 100 - max(means):
        return _text(0, _TOP - 4, text, "start", "peak")
    return _text(100, _TOP - 4, text, "end", "peak")


def _mean(place: float, y: float, value: float, kind: str) -> Markup:
    anchor = "start" if place < 70 else "end"
    return element(
        "g",
        _line(place, y - 10, place, _HEIGHT - _BOTTOM, "mean"),
        element(
            "svg",
            _text(5 if anchor == "start" else -5, y, figures.score(value), anchor, "value", unit=""),
            x=f"{place:.2f}%",
            overflow="visible",
        ),
        class_=kind,
    )


def _mean_of(scores: Sequence[float]) -> float:
    return math.fsum(scores) / len(scores)


def _quartiles(scores: Sequence[float]) -> str:
    ordered = sorted(scores)
    low, middle, high = (ordered[round(share * (len(ordered) - 1))] for share in (0.25, 0.5, 0.75))
    half = f"half of the items from {figures.score(low)} to {figures.score(high)}"
    return f"median {figures.score(middle)}, {half}"


def round_axis(low: float, high: float, *, most: float = 4.5) -> Axis:
    """Return an axis from a round tick to another. The range has at most so many steps between ticks."""
    if high - low <= 0:
        low, high = low - 0.1, high + 0.1
    step = 10 ** math.floor(math.log10(high - low))
    step = next(step * part for part in (0.2, 0.5, 1, 2, 5) if (high - low) / (step * part) <= most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(round(step * number, 9) for number in range(first, last + 1))
    return Axis(low=ticks[0], high=ticks[-1], ticks=ticks)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return element("line", x1=f"{x1:.2f}%", y1=y1, x2=f"{x2:.2f}%", y2=y2, class_=kind)


def _text(x: float, y: float, text: str, anchor: str, kind: str, *, unit: str = "%") -> Markup:
    return element("text", text, x=f"{x:.2f}{unit}", y=y, text_anchor=anchor, class_=kind)


def _anchor(place: float) -> str:
    return "start" if place < 2 else "end" if place > 98 else "middle"


def _tick(value: float, *, signed: bool = False) -> str:
    text = f"{abs(value):g}" if abs(value) < 1e5 else f"{abs(value):.1e}"
    sign = "\N{MINUS SIGN}" if value < 0 else "+" if signed and value > 0 else ""
    return sign + text


def _short(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")


def legend(*names: tuple[str, str]) -> Markup:
    """Return what the colours stand for: (`base` or `subject`, name)."""
    return joined(
        *(
            element("span", element("span", class_=f"swatch {kind}", aria_hidden="true"), name, class_="key")
            for kind, name in names
        )
    )
