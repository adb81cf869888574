"""Statistics of loads: percentiles, throughput and ratios, each with its interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import correlation, stdev

OUTSIDE = 0.025
"""The probability on each side of an interval: intervals hold the true figure in 95 % of benchmarks."""
_STUDENT = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179),
    *(2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064),
)
"""The 97.5 % quantile of Student's t for 1 to 24 degrees of freedom: a benchmark has at most 25 rounds."""
_ROUNDS_TO_CORRELATE = 3

Total = tuple[float, float]
"""What one side did in one round, and the seconds that it is divided by."""


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return a percentile of ordered values, between the two nearest ones, as NumPy does."""
    position = share * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def student(freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t; above 24 degrees of freedom that of 24, which is wider."""
    return _STUDENT[min(freedom, len(_STUDENT)) - 1]


def binomial_quantile(count: int, share: float, level: float) -> int:
    """Return the least k with P(B <= k) >= level, for B binomial."""
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
    def of_totals(cls, rounds: Sequence[Total], base: Sequence[Total] | None = None) -> "Estimate | None":
        """Divide the sums of all rounds, such as answers by seconds; beside a base, by its quotient as well.

        None if a sum is 0. The interval is that of a ratio of means over rounds, by its linear part (Cochran:
        "Sampling Techniques", 1977, section 6.4). What slows both sides of a round down does not count.
        """
        sides = [_linear(each) for each in (rounds, base) if each is not None]
        known = [each for each in sides if each is not None]
        if len(known) < len(sides):
            return None
        (value, parts), *other = known
        for quotient, of_base in other:
            value /= quotient
            parts = [one - two for one, two in zip(parts, of_base, strict=True)]
        if len(parts) < 2:
            return cls(value=value, low=None, high=None)
        reach = student(len(parts) - 1) * stdev(parts) / math.sqrt(len(parts))
        return cls(value=value, low=value * math.exp(-reach), high=value * math.exp(reach))

    @classmethod
    def of_percentile(
        cls,
        share: float,
        rounds: Sequence[Sequence[float]],
        base: Sequence[Sequence[float]] | None = None,
    ) -> "Estimate | None":
        """Return a percentile of all rounds' values; beside a base, divided by its percentile.

        None if there is none, or if one is 0 beside a base. Values may depend on each other within a round,
        and on those of the base in it.
        """
        if base is None:
            return _percentile(share, rounds)
        pairs = [(one, two) for one, two in zip(rounds, base, strict=True) if one and two]
        sides = [[pair[number] for pair in pairs] for number in range(2)]
        own, other = (_percentile(share, side) for side in sides)
        if own is None or other is None or own.value <= 0 or other.value <= 0:
            return None
        # By the method of variance estimates recovery, on the scale of logarithms (Zou, Donner: "Construction
        # of confidence limits about effect measures", 2008), less what both sides of a round have in common.
        common = _correlation(
            _counts_below(sides[0], own.value, share), _counts_below(sides[1], other.value, share)
        )
        low = _joint(_reach(own.value, own.low), _reach(other.value, other.high), common)
        high = _joint(_reach(own.value, own.high), _reach(other.value, other.low), common)
        ratio = own.value / other.value
        return cls(
            value=ratio,
            low=None if low is None else ratio / math.exp(low),
            high=None if high is None else ratio * math.exp(high),
        )


def _percentile(share: float, rounds: Sequence[Sequence[float]]) -> Estimate | None:
    """Return a percentile of all rounds' values; None if there is no value.

    How much the share of values below it differs between rounds says between which percentiles the true one
    lies (Woodruff: "Confidence intervals for medians and other position measures", 1952).
    """
    filled = [each for each in rounds if each]
    if not filled:
        return None
    ordered = sorted(value for each in filled for value in each)
    middle = percentile(ordered, share)
    if len(filled) < 2:
        return Estimate(value=middle, low=None, high=None)
    # Never less than for values that do not depend on each other.
    alone = math.sqrt(share * (1 - share) / len(ordered))
    error = max(stdev(_counts_below(filled, middle, share)) / math.sqrt(len(filled)), alone)
    reach = student(len(filled) - 1) * error
    low, high = share - reach, share + reach
    return Estimate(
        value=middle,
        low=percentile(ordered, low) if low > 0 else None,
        high=percentile(ordered, high) if high < 1 else None,
    )


def _linear(rounds: Sequence[Total]) -> tuple[float, list[float]] | None:
    """Return a quotient of sums, and by what share of the mean each round is off; None if a sum is 0."""
    total, counted = (sum(each) for each in zip(*rounds, strict=True)) if rounds else (0.0, 0.0)
    if total <= 0 or counted <= 0:
        return None
    quotient, mean = total / counted, total / len(rounds)
    return quotient, [(one - quotient * count) / mean for one, count in rounds]


def _counts_below(rounds: Sequence[Sequence[float]], middle: float, share: float) -> list[float]:
    """Return how many values of each round are below, in excess of their share, by those of a mean round."""
    mean = sum(map(len, rounds)) / len(rounds)
    return [(sum(value <= middle for value in each) - share * len(each)) / mean for each in rounds]


def _correlation(one: Sequence[float], two: Sequence[float]) -> float:
    """Return how much two sides of rounds go together; 0 if that is not known."""
    if len(one) < _ROUNDS_TO_CORRELATE or not stdev(one) or not stdev(two):
        return 0.0
    return correlation(one, two)


def _joint(one: float, two: float, common: float) -> float | None:
    """Return how far the end of a quotient is from it; None if one of the two has none."""
    if math.inf in (one, two):
        return None
    return math.sqrt(max(0.0, one**2 + two**2 - 2 * common * one * two))


def _reach(value: float, end: float | None) -> float:
    """Return how far an end of an interval is from its value, on the scale of logarithms."""
    return abs(math.log(end / value)) if end else math.inf
