"""Where the page draws points, bars and ticks: places in per cent of a picture's width and height."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from adapters_cli.evaluation.result import Comparison, MetricFacts
from adapters_cli.reports.item_ranking import scale

_BINS = 20
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


@dataclass(frozen=True, kw_only=True)
class ScoreDistribution:
    """How the scores of baseline and subject spread over a metric's scale.

    base, subject:
        Outlines of the shares of items, as the path of an SVG of 100 by 100.
    base_mean, subject_mean:
        Places of the means.
    peak:
        The share of items of the highest step, in per cent.
    """

    axis: Axis
    base: str
    subject: str
    base_mean: float
    subject_mean: float
    peak: float


def distribution(
    metric: MetricFacts, baseline: Sequence[float], subject: Sequence[float]
) -> ScoreDistribution | None:
    """Return the distribution of paired scores; None if there are none."""
    if not baseline:
        return None
    low, high = min(*baseline, *subject), max(*baseline, *subject)
    if math.isfinite(metric.lowest) and math.isfinite(metric.highest):
        low, high = min(low, metric.lowest), max(high, metric.highest)
    if low == high:  # all scores are equal, on a scale without an end
        low, high = low - 0.5, high + 0.5
    axis = Axis(low=low, high=high, ticks=(low, (low + high) / 2, high))
    shares = [_shares(scores, axis) for scores in (baseline, subject)]
    peak = max(*shares[0], *shares[1])
    return ScoreDistribution(
        axis=axis,
        base=_outline(shares[0], peak),
        subject=_outline(shares[1], peak),
        base_mean=axis.at(math.fsum(baseline) / len(baseline)),
        subject_mean=axis.at(math.fsum(subject) / len(subject)),
        peak=100 * peak,
    )


def _shares(scores: Sequence[float], axis: Axis) -> list[float]:
    bins = [0] * _BINS
    for value in scores:
        bins[min(_BINS - 1, int(axis.at(value) * _BINS / 100))] += 1
    return [count / len(scores) for count in bins]


def _outline(shares: Sequence[float], peak: float) -> str:
    width = 100 / len(shares)
    steps = (
        f"V{100 - 100 * share / peak:.1f}H{width * place:g}" for place, share in enumerate(shares, start=1)
    )
    return f"M0 100{''.join(steps)}V100"


def gain_axis(comparisons: Sequence[Comparison], metrics: Sequence[MetricFacts]) -> Axis:
    """Return the axis that the gains of several metrics share.

    It has the gains themselves, unless a scale is much longer than others.
    """
    by_name = {metric.name: metric for metric in metrics}
    in_shares = any(scale(by_name[comparison.metric]) > _SCORES for comparison in comparisons)
    unit = Axis(low=0, high=1, ticks=(), in_shares=in_shares)
    ends = [0.0]
    for comparison in comparisons:
        ends += gain_values(comparison, by_name[comparison.metric], unit)
    return replace(round_axis(min(ends), max(ends)), in_shares=in_shares)


def gain_values(comparison: Comparison, metric: MetricFacts, axis: Axis) -> list[float]:
    """Return low end, gain and high end as an axis counts them. More is better, for any metric."""
    length = (scale(metric) if axis.in_shares else 1) * (1 if metric.higher_is_better else -1)
    interval = comparison.interval
    return sorted(value / length for value in (interval.low, comparison.difference, interval.high))


def round_axis(low: float, high: float, *, most: float = 4.5) -> Axis:
    """Return an axis from a round tick to another. The range has at most so many steps between ticks."""
    if high - low <= 0:
        low, high = low - 0.1, high + 0.1
    step = 10 ** math.floor(math.log10(high - low))
    step = next(step * part for part in (0.2, 0.5, 1, 2, 5) if (high - low) / (step * part) <= most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(round(step * number, 9) for number in range(first, last + 1))
    return Axis(low=ticks[0], high=ticks[-1], ticks=ticks)
