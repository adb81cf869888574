"""Whether a version is no worse than another one that was asked the same items in the same run."""

from adapter_fleet.common.counts import counted
from adapters_cli.evaluation.result import (
    Comparison,
    EvaluationResult,
    MetricFacts,
    RequirementOutcome,
    Subject,
)


def no_worse_than_other(result: EvaluationResult, *, subject: str, other: str) -> list[RequirementOutcome]:
    """Compare two subjects of one result item by item; one outcome a metric."""
    [version] = [found for found in result.subjects if found.name == other]
    return [_outcome(metric, result, version, subject) for metric in result.metrics]


def _outcome(
    metric: MetricFacts, result: EvaluationResult, version: Subject, subject: str
) -> RequirementOutcome:
    """Compare a subject with a version in one metric.

    It is worse if the whole 95 % interval of the difference is on the bad side of 0. Any smaller loss may be
    chance. An answer of the subject that is an error counts as the lowest score.
    """
    requirement = f"{metric.name}: no worse than {version.name}"
    lowest = metric.lowest if metric.higher_is_better else metric.highest
    before = {item.id: item.scores.get(version.name, {}).get(metric.name) for item in result.items}
    after = {item.id: item.scores.get(subject, {}).get(metric.name) for item in result.items}
    pairs = [(old, after[item]) for item, old in before.items() if old is not None]
    errors = sum(score is None for _, score in pairs)
    if not pairs:
        reason = f"{metric.name} of {subject!r} cannot be compared: {version.name!r} answered no item"
        return RequirementOutcome(
            requirement=requirement, subject=subject, met=False, reason=reason, than=version.identity
        )
    from adapters_cli.evaluation.statistics import compare  # NumPy takes long to import

    found = compare(
        [old for old, _ in pairs],
        [lowest if score is None else score for _, score in pairs],
        subject_name=subject,
        metric=metric.name,
        seed=result.seed,
        resamples=result.resamples,
    )
    is_worse = found.interval.high < 0 if metric.higher_is_better else found.interval.low > 0
    return RequirementOutcome(
        requirement=requirement,
        subject=subject,
        met=not is_worse,
        reason=_reason(found, metric, subject, errors, version.name),
        than=version.identity,
    )


def _reason(found: Comparison, metric: MetricFacts, subject: str, errors: int, other: str) -> str:
    failed = f", with {counted(errors, 'error')} as the lowest score" if errors else ""
    side = "below" if metric.higher_is_better else "above"
    return (
        f"{metric.name} of {subject!r} is {found.mean:.4g} over {counted(found.items, 'item')}{failed}, and"
        f" that of {other!r} is {found.baseline_mean:.4g}; the difference's 95 % interval,"
        f" {found.interval.low:+.4g} to {found.interval.high:+.4g}, should not be wholly {side} 0"
    )
