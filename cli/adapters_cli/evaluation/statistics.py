"""What paired scores say: how sure a difference is.

All random numbers depend on the seed and the metric's name alone, so that a metric has the same figures
whichever others are computed. NumPy may change its streams in a new release.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from adapter_fleet.common.counts import counted
from adapters_cli.evaluation.result import (
    Comparison,
    EvaluationResult,
    Interval,
    MetricFacts,
    RequirementOutcome,
    Subject,
)

RESAMPLES = 9_999
"""With the observed one 10,000, so that the smallest p is 0.0001."""

FEW_ITEMS = 100
_CONFIDENCE = 0.95
_CHUNK = 1 << 20
"""Most random numbers at one time: 8 MB for 64 bits each, whatever the number of items."""
_SAME = 1e-6
"""Share of the greatest score within which two scores are equal. A score of BERTScore is right to 4e-7."""
_ROUNDING = 1e-12
"""Share of a sum within which two sums in another order are equal."""

_Array = NDArray[np.float64]


def compare(
    baseline: Sequence[float],
    subject: Sequence[float],
    *,
    subject_name: str,
    metric: str,
    seed: int,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Compare two scores of each item, those of the baseline and those of a subject.

    The intervals are percentiles of the paired bootstrap. The p-value is two-sided, of the permutation test
    that swaps the two scores of items at random, and counts the observed difference as one permutation, so
    that it is never 0. `p_adjusted` is the p-value until `holm` adjusts it.
    """
    if len(baseline) != len(subject) or not len(baseline):
        raise ValueError(
            f"baseline and subject should have scores of the same items, one or more, got {len(baseline)} and"
            f" {len(subject)}"
        )
    before, after = np.asarray(baseline, float), np.asarray(subject, float)
    change = after - before
    nothing = _SAME * max(np.abs(before).max(), np.abs(after).max())
    change[np.abs(change) <= nothing] = 0
    for_bootstrap, for_permutations = _streams(seed, metric)
    mean, difference = float(before.mean()), float(change.mean())
    # Both as one complex number, so that each draw looks up once.
    both = before + 1j * change
    drawn = np.concatenate(
        [both.take(places).mean(axis=1) for places in _draws(for_bootstrap, len(both), resamples)]
    )
    means, differences = drawn.real, drawn.imag
    interval = _interval(differences)
    # A share of a mean that may as well be 0, or of either sign, has no meaning.
    has_share = abs(mean) > nothing
    has_shares = has_share and bool((means * np.sign(mean) > nothing).all())
    p_value = _p_value(change, for_permutations, resamples)
    return Comparison(
        subject=subject_name,
        metric=metric,
        items=len(change),
        baseline_mean=mean,
        mean=float(after.mean()),
        difference=difference,
        interval=interval,
        relative=difference / abs(mean) if has_share else None,
        relative_interval=_interval(differences / np.abs(means)) if has_shares else None,
        p_value=p_value,
        p_adjusted=p_value,
        better=int((change > 0).sum()),
        worse=int((change < 0).sum()),
        equal=int((change == 0).sum()),
        warnings=tuple(_warnings(len(change), interval, has_share=has_share, has_shares=has_shares)),
    )


def holm(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Return the comparisons with p-values adjusted for their number, by Holm's method.

    Then the chance of one or more false differences below 0.05 is at most 5 %, whatever the metrics share.
    """
    adjusted = list(comparisons)
    highest = 0.0
    order = sorted(range(len(adjusted)), key=lambda place: adjusted[place].p_value)
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * adjusted[place].p_value))
        adjusted[place] = replace(adjusted[place], p_adjusted=highest)
    return adjusted


def _streams(seed: int, metric: str) -> tuple[np.random.Generator, np.random.Generator]:
    bootstrap, permutations = np.random.SeedSequence([seed, zlib.crc32(metric.encode())]).spawn(2)
    return np.random.default_rng(bootstrap), np.random.default_rng(permutations)


def _draws(random: np.random.Generator, items: int, resamples: int) -> Iterator[NDArray[np.intp]]:
    """Yield rows of places drawn with replacement, one row a resample."""
    for rows in _chunks(items, resamples):
        # Numbers of 32 bits are drawn, and places of 64 bits looked up, several times faster than the other.
        yield random.integers(0, items, size=(rows, items), dtype=np.int32).astype(np.intp)


def _p_value(change: _Array, random: np.random.Generator, resamples: int) -> float:
    moved = change[change != 0]  # a swap of equal scores changes nothing
    least = abs(moved.sum()) - _ROUNDING * np.abs(moved).sum()
    sums = _sums_of_eight(moved)
    as_far = 0
    for rows in _chunks(len(sums), resamples):
        swaps = random.integers(0, 256, size=(rows, len(sums)), dtype=np.uint8)
        as_far += int((np.abs(sums[np.arange(len(sums)), swaps].sum(axis=1)) >= least).sum())
    return (1 + as_far) / (1 + resamples)


def _sums_of_eight(change: _Array) -> _Array:
    """Return for each eight changes their sum under all 256 ways to swap some of them.

    A random byte then swaps eight items by one look-up.
    """
    eights = np.pad(change, (0, -len(change) % 8)).reshape(-1, 8)
    signs = 1 - 2.0 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
    sums: _Array = eights @ signs.T
    return sums


def _chunks(items: int, resamples: int) -> Iterator[int]:
    most = max(1, _CHUNK // max(1, items))
    for start in range(0, resamples, most):
        yield min(most, resamples - start)


def _interval(values: _Array) -> Interval:
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(values, (tail, 1 - tail))
    return Interval(low=float(low), high=float(high))


def _warnings(items: int, interval: Interval, *, has_share: bool, has_shares: bool) -> Iterator[str]:
    if items < FEW_ITEMS:
        yield f"only {counted(items, 'item')}: with fewer than {FEW_ITEMS} the interval is not reliable"
    if interval.low <= 0 <= interval.high:
        yield "the interval includes 0: the difference may be chance"
    if not has_share:
        yield "the baseline's mean is 0: there is no relative gain"
    elif not has_shares:
        yield "the baseline's mean is near 0: the relative gain is not reliable"


def no_worse_than_other(result: EvaluationResult, *, subject: str, other: str) -> list[RequirementOutcome]:
    """Compare two subjects of one result item by item; one outcome a metric."""
    [version] = [found for found in result.subjects if found.name == other]
    return [_no_worse_in(metric, result, version, subject) for metric in result.metrics]


def _no_worse_in(
    metric: MetricFacts, result: EvaluationResult, version: Subject, subject: str
) -> RequirementOutcome:
    """Compare a subject with a version in one metric.

    It is worse if the whole 95 % interval of the difference is on the bad side of 0. Any smaller loss may be
    chance. An answer of the subject that is an error counts as the lowest score.
    """
    lowest = metric.lowest if metric.higher_is_better else metric.highest
    before = {item.id: item.scores.get(version.name, {}).get(metric.name) for item in result.items}
    after = {item.id: item.scores.get(subject, {}).get(metric.name) for item in result.items}
    pairs = [(old, after[item]) for item, old in before.items() if old is not None]
    errors = sum(score is None for _, score in pairs)
    met = False
    reason = f"{metric.name} of {subject!r} cannot be compared: {version.name!r} answered no item"
    if pairs:
        found = compare(
            [old for old, _ in pairs],
            [lowest if score is None else score for _, score in pairs],
            subject_name=subject,
            metric=metric.name,
            seed=result.seed,
            resamples=result.resamples,
        )
        met = found.interval.high >= 0 if metric.higher_is_better else found.interval.low <= 0
        reason = _no_worse_reason(found, metric, subject, errors, version.name)
    return RequirementOutcome(
        requirement=f"{metric.name}: no worse than {version.name}",
        subject=subject,
        met=met,
        reason=reason,
        than=version.identity,
    )


def _no_worse_reason(found: Comparison, metric: MetricFacts, subject: str, errors: int, other: str) -> str:
    failed = f", with {counted(errors, 'error')} as the lowest score" if errors else ""
    side = "below" if metric.higher_is_better else "above"
    return (
        f"{metric.name} of {subject!r} is {found.mean:.4g} over {counted(found.items, 'item')}{failed}, and"
        f" that of {other!r} is {found.baseline_mean:.4g}; the difference's 95 % interval,"
        f" {found.interval.low:+.4g} to {found.interval.high:+.4g}, should not be wholly {side} 0"
    )
