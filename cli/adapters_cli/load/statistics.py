"""Statistics of latencies: percentiles, their intervals, ratios of medians, and shares of tiers."""

import math
import random
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist, fmean, pstdev

PERCENTILES = (1, 5, 10, 25, 50, 75, 90, 95, 99)
WITH_INTERVALS = (50, 90, 99)

_OUTSIDE = 0.025
"""The probability on each side of an interval."""
_RESAMPLES = 1_999
_TIER_RESAMPLES = 400
_TIER_BINS = 10
_TIER_STEPS = 60
_EXACT_UP_TO = 5_000
_LEAST_CHANCE_OF_ORDER = 0.75
"""How often a slower tier has to be slower, so that its times tell it. Noise alone gives 0.5."""

Interval = tuple[float | None, float | None]
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
    intervals: Mapping[int, Interval]

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


def percentile_interval(ordered: Sequence[float], share: float) -> Interval:
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
    def of(cls, rounds: Sequence[tuple[Sequence[float], Sequence[float]]], *, seed: int) -> "Ratio | None":
        """Compare two groups that were measured in turn; None if no round has values of both.

        The ratio is the geometric mean of the rounds' ratios: what slows a whole round down does not count.
        The interval is a bootstrap of rounds, and of values in each round.
        """
        pairs = [(sorted(own), sorted(others)) for own, others in rounds if own and others]
        pairs = [(own, others) for own, others in pairs if own[0] > 0 and others[0] > 0]
        if not pairs:
            return None
        source = random.Random(seed)
        drawn = sorted(
            fmean(
                math.log(_resampled_median(own, source) / _resampled_median(others, source))
                for own, others in source.choices(pairs, k=len(pairs))
            )
            for _ in range(_RESAMPLES)
        )
        middle = fmean(math.log(percentile(own, 0.5) / percentile(others, 0.5)) for own, others in pairs)
        return cls(
            value=math.exp(middle),
            low=math.exp(percentile(drawn, _OUTSIDE)),
            high=math.exp(percentile(drawn, 1 - _OUTSIDE)),
        )


def _resampled_median(ordered: Sequence[float], source: random.Random) -> float:
    """Draw the median of a resample.

    It is one of the ordered values. Which one follows from the order statistic of as many uniform numbers,
    whose distribution is a beta distribution. So no resample has to be drawn and sorted. Of an even number of
    values, the median is either one of the two in the middle.
    """
    count = len(ordered)
    rank = (count + source.getrandbits(1)) // 2 if count % 2 == 0 else (count + 1) // 2
    rank = max(1, rank)
    return ordered[min(count - 1, int(source.betavariate(rank, count - rank + 1) * count))]


@dataclass(frozen=True, kw_only=True)
class Share:
    """A share with a 95 % interval."""

    value: float
    low: float
    high: float


def tier_shares(
    observed: Sequence[float], by_tier: Mapping[str, Sequence[float]], *, seed: int
) -> dict[str, Share]:
    """Return the shares of tiers that explain first-token times best as a mixture of each tier's own times.

    The intervals contain how few values there are of either kind. They are wide if the tiers' times overlap.
    """
    every = sorted(value for values in (observed, *by_tier.values()) for value in values)
    limits = sorted({percentile(every, number / _TIER_BINS) for number in range(1, _TIER_BINS)})
    seen = _histogram(observed, limits)
    of_tiers = {tier: _histogram(values, limits) for tier, values in by_tier.items()}
    best = _mixture(seen, [_normalized([count + 0.5 for count in counts]) for counts in of_tiers.values()])
    source = random.Random(seed)
    drawn = [
        _mixture(
            _drawn(seen, source, smoothing=0.01),
            [_drawn(counts, source, smoothing=0.5) for counts in of_tiers.values()],
        )
        for _ in range(_TIER_RESAMPLES)
    ]
    found = {}
    for index, tier in enumerate(by_tier):
        values = sorted(shares[index] for shares in drawn)
        found[tier] = Share(
            value=best[index], low=percentile(values, _OUTSIDE), high=percentile(values, 1 - _OUTSIDE)
        )
    return found


def separable_tiers(by_tier: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Return the times of tiers, with neighbours that a time cannot tell apart as one: `gpu+cpu`."""
    found: dict[str, list[float]] = {}
    for tier, times in by_tier.items():
        last = next(reversed(found), None)
        if last is not None and _chance_of_order(found[last], times) < _LEAST_CHANCE_OF_ORDER:
            found[f"{last}+{tier}"] = [*found.pop(last), *times]
        else:
            found[tier] = list(times)
    return found


def _chance_of_order(values: Sequence[float], later: Sequence[float]) -> float:
    """Return how likely one of the values is below one of the later ones."""
    ordered = sorted(values)
    return sum(bisect_right(ordered, each) for each in later) / (len(values) * len(later))


def _histogram(values: Sequence[float], limits: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    ends = [0, *(bisect_right(ordered, limit) for limit in limits), len(ordered)]
    return [float(after - before) for before, after in pairwise(ends)]


def _normalized(counts: Sequence[float]) -> list[float]:
    total = sum(counts)
    return [count / total for count in counts]


def _drawn(counts: Sequence[float], source: random.Random, *, smoothing: float) -> list[float]:
    """Draw the shares of bins from what their counts leave possible, a Dirichlet distribution."""
    return _normalized([source.gammavariate(count + smoothing, 1) or 1e-300 for count in counts])


def _mixture(seen: Sequence[float], of_tiers: Sequence[Sequence[float]]) -> list[float]:
    """Return the most likely shares of tiers by expectation and maximization."""
    shares = [1 / len(of_tiers)] * len(of_tiers)
    total = sum(seen)
    for _ in range(_TIER_STEPS):
        sums = [0.0] * len(shares)
        for number, count in enumerate(seen):
            parts = [share * bins[number] for share, bins in zip(shares, of_tiers, strict=True)]
            whole = sum(parts)
            for index, part in enumerate(parts):
                sums[index] += count * part / whole if whole else 0.0
        shares = [each / total for each in sums]
    return shares
