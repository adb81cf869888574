"""Statistics of latencies: percentiles, their intervals, and ratios of medians."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, pstdev, stdev

PERCENTILES = (1, 5, 10, 25, 50, 75, 90, 95, 99)
WITH_INTERVALS = (50, 90, 99)

_OUTSIDE = 0.025
"""The probability on each side of an interval."""
_T_OF_FEW = {1: 12.706, 2: 4.303, 3: 3.182}
_EXACT_UP_TO = 5_000

PercentileInterval = tuple[float | None, float | None]
"""A 95 % confidence interval. None is an end that so few values do not give."""


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """Values of one metric.

    intervals:
        Of some percentiles, by order statistics: they hold for any distribution of independent values.
    """

    unit: str
    avg: float
    min: float
    max: float
    std: float
    count: int
    percentiles: Mapping[int, float]
    intervals: Mapping[int, PercentileInterval]

    @classmethod
    def of(cls, unit: str, values: Sequence[float]) -> "Distribution | None":
        """Describe values; None if there is none."""
        if not values:
            return None
        ordered = sorted(values)
        return cls(
            unit=unit,
            avg=fmean(ordered),
            min=ordered[0],
            max=ordered[-1],
            std=pstdev(ordered),
            count=len(ordered),
            percentiles={each: percentile(ordered, each / 100) for each in PERCENTILES},
            intervals={each: percentile_interval(ordered, each / 100) for each in WITH_INTERVALS},
        )


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return a percentile of ordered values, between the two nearest ones, as NumPy does."""
    position = share * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def percentile_interval(ordered: Sequence[float], share: float) -> PercentileInterval:
    """Return the 95 % interval of a percentile: the order statistics between which it lies."""
    count = len(ordered)
    # How many of the values are below the percentile is binomial.
    low = _binomial_quantile(count, share, _OUTSIDE)
    high = _binomial_quantile(count, share, 1 - _OUTSIDE) + 1
    return (ordered[low - 1] if low >= 1 else None, ordered[high - 1] if high <= count else None)


def _binomial_quantile(count: int, share: float, level: float) -> int:
    """Return the least k with P(B <= k) >= level, for B binomial."""
    if count > _EXACT_UP_TO:
        spread = math.sqrt(count * share * (1 - share))
        return max(0, round(count * share + NormalDist().inv_cdf(level) * spread))
    total = 0.0
    for k in range(count + 1):
        logarithm = math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1)
        total += math.exp(logarithm + k * math.log(share) + (count - k) * math.log1p(-share))
        if total >= level:
            return k
    return count


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """The median of one group of values divided by that of another, with a 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, rounds: Sequence[tuple[Sequence[float], Sequence[float]]]) -> "Ratio | None":
        """Compare two groups that were measured in turn; None if fewer than two rounds have values of both.

        The ratio is the geometric mean of the rounds' ratios: what slows a whole round down does not count.
        The interval is that of Student's t over the rounds' logarithms.
        """
        pairs = [(sorted(own), sorted(others)) for own, others in rounds if own and others]
        pairs = [(own, others) for own, others in pairs if own[0] > 0 and others[0] > 0]
        if len(pairs) < 2:
            return None
        logarithms = [math.log(percentile(own, 0.5) / percentile(others, 0.5)) for own, others in pairs]
        middle = fmean(logarithms)
        reach = _t_quantile(len(pairs) - 1) * stdev(logarithms) / math.sqrt(len(pairs))
        return cls(value=math.exp(middle), low=math.exp(middle - reach), high=math.exp(middle + reach))


def _t_quantile(freedom: int) -> float:
    """Return the quantile of Student's t distribution that an interval reaches to."""
    if freedom in _T_OF_FEW:
        return _T_OF_FEW[freedom]
    # Two terms of the expansion of Cornish and Fisher; exact to 0.5 % from four on.
    normal = NormalDist().inv_cdf(1 - _OUTSIDE)
    first = (normal**3 + normal) / 4
    second = (5 * normal**5 + 16 * normal**3 + 3 * normal) / 96
    return normal + first / freedom + second / freedom**2
