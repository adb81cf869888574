"""Statistics of latencies: percentiles, means and ratios, each with its interval."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, pstdev, stdev

PERCENTILES = (1, 5, 10, 25, 50, 75, 90, 95, 99)
WITH_INTERVALS = (50, 90, 99)

OUTSIDE = 0.025
"""The probability on each side of an interval in a report."""
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
    """Return the interval of a percentile: the order statistics between which it lies."""
    count = len(ordered)
    # How many of the values are below the percentile is binomial.
    low = _binomial_quantile(count, share, OUTSIDE)
    high = _binomial_quantile(count, share, 1 - OUTSIDE) + 1
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
class Estimate:
    """A figure, and the interval that holds the true one. None is an end that so few values do not give."""

    value: float
    low: float | None
    high: float | None

    @classmethod
    def exactly(cls, value: float) -> "Estimate":
        """Return what was counted, and needs no interval."""
        return cls(value=value, low=value, high=value)

    @classmethod
    def of_mean(cls, values: Sequence[float], outside: float = OUTSIDE) -> "Estimate":
        """Return the mean of independent values, with the interval of Student's t."""
        middle = fmean(values)
        if len(values) < 2:
            return cls(value=middle, low=None, high=None)
        reach = t_quantile(len(values) - 1, 1 - outside) * stdev(values) / math.sqrt(len(values))
        return cls(value=middle, low=middle - reach, high=middle + reach)

    @classmethod
    def of_ratio(cls, pairs: Iterable[tuple[float, float]], outside: float = OUTSIDE) -> "Estimate | None":
        """Compare two groups by the figures of rounds in which both were measured; None without a round.

        The ratio is the geometric mean of the rounds' ratios: what slows a whole round down does not count.
        """
        logarithms = [math.log(own / other) for own, other in pairs if own > 0 and other > 0]
        if not logarithms:
            return None
        found = cls.of_mean(logarithms, outside)
        low, high = (None if end is None else math.exp(end) for end in (found.low, found.high))
        return cls(value=math.exp(found.value), low=low, high=high)

    @classmethod
    def of_totals(cls, pairs: Sequence[tuple[float, float]], outside: float = OUTSIDE) -> "Estimate | None":
        """Compare the sums of two groups' figures; None if the second one's is 0.

        The interval is that of a ratio of means over rounds. A round in which nothing was done counts.
        """
        own, other = (sum(each) for each in zip(*pairs, strict=True)) if pairs else (0.0, 0.0)
        if other <= 0:
            return None
        ratio, mean = own / other, other / len(pairs)
        if len(pairs) < 2:
            return cls(value=ratio, low=None, high=None)
        around = cls.of_mean([(one - ratio * two) / mean for one, two in pairs], outside)
        assert around.low is not None and around.high is not None  # noqa: PT018 - two rounds or more
        return cls(value=ratio, low=max(0.0, ratio + around.low), high=ratio + around.high)

    @classmethod
    def of_percentile(
        cls, rounds: Sequence[Sequence[float]], share: float, outside: float = OUTSIDE
    ) -> "Estimate":
        """Return a percentile of values that may depend on each other within a round.

        How much the share of values below it differs between rounds says between which percentiles the true
        one lies (Woodruff: "Confidence intervals for medians and other position measures", 1952).
        """
        ordered = sorted(value for each in rounds for value in each)
        middle = percentile(ordered, share)
        filled = [each for each in rounds if each]
        if len(filled) < 2:
            return cls(value=middle, low=None, high=None)
        mean = len(ordered) / len(filled)
        differences = [(sum(value <= middle for value in each) - share * len(each)) / mean for each in filled]
        # Never less than for values that do not depend on each other.
        alone = math.sqrt(share * (1 - share) / len(ordered))
        error = max(stdev(differences) / math.sqrt(len(filled)), alone)
        reach = t_quantile(len(filled) - 1, 1 - outside) * error
        low, high = share - reach, share + reach
        return cls(
            value=middle,
            low=percentile(ordered, low) if low > 0 else None,
            high=percentile(ordered, high) if high < 1 else None,
        )

    def over(self, other: "Estimate") -> "Estimate | None":
        """Divide by an independent one; None if it is 0.

        The interval is made of both by the method of variance estimates recovery, on the scale of logarithms
        (Zou, Donner: "Construction of confidence limits about effect measures", 2008).
        """
        if other.value <= 0 or self.value <= 0:
            return None
        ratio = self.value / other.value
        below = _reach(self.value, self.low), _reach(other.value, other.high)
        above = _reach(self.value, self.high), _reach(other.value, other.low)
        return Estimate(
            value=ratio,
            low=ratio / math.exp(math.hypot(*below)) if math.inf not in below else None,
            high=ratio * math.exp(math.hypot(*above)) if math.inf not in above else None,
        )


def _reach(value: float, end: float | None) -> float:
    """Return how far an end of an interval is from its value, on the scale of logarithms."""
    return abs(math.log(end / value)) if end else math.inf


def t_quantile(freedom: int, level: float) -> float:
    """Return a quantile above the median of Student's t distribution."""
    low, high = 0.0, 1.0
    while _t_share(freedom, high) < level:
        low, high = high, 2 * high
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _t_share(freedom, middle) < level else (low, middle)
    return high


def _t_share(freedom: int, value: float) -> float:
    """Return the share of Student's t distribution below a value from 0 on (Abramowitz, Stegun: 26.7.3)."""
    angle = math.atan(value / math.sqrt(freedom))
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for number in range(odd + 1, freedom, 2):
        total += term
        term *= math.cos(angle) ** 2 * number / (number + 1)
    inside = (angle + math.sin(angle) * total) * 2 / math.pi if odd else math.sin(angle) * total
    return 0.5 + inside / 2
