"""Whether a version is no worse than another one: the same items, asked in the same way."""

from collections.abc import Sequence

from adapter_fleet.common.counts import counted
from adapters_cli.evaluation.result import (
    Comparison,
    DatasetFacts,
    Decoding,
    EvaluationResult,
    MetricFacts,
    RequirementOutcome,
    Subject,
)
from adapters_cli.output.errors import CommandError


def no_worse_than_last(
    last: EvaluationResult, new: EvaluationResult, *, subject: str
) -> list[RequirementOutcome]:
    """Compare a subject with the version that a stored result is about, item by item; one outcome a metric.

    Raises CommandError if the two did not answer the same items in the same way.
    """
    check_same_questions(last, new.dataset, new.decoding, new.metrics)
    [version] = last.subjects
    return [
        _outcome(metric, last, version, new, subject, than="last", when=f" on {last.made_at}")
        for metric in new.metrics
    ]


def no_worse_than_other(result: EvaluationResult, *, subject: str, other: str) -> list[RequirementOutcome]:
    """Compare two subjects of one result item by item; one outcome a metric."""
    [version] = [found for found in result.subjects if found.name == other]
    return [
        _outcome(metric, result, version, result, subject, than=other, when="") for metric in result.metrics
    ]


def check_same_questions(
    last: EvaluationResult, dataset: DatasetFacts, decoding: Decoding, metrics: Sequence[MetricFacts]
) -> None:
    """Raise CommandError if an evaluation over a dataset will not compare with the last one."""
    if last.dataset.digest != dataset.digest:
        raise CommandError(
            f"the last result is over another dataset ({counted(last.dataset.items, 'item')} of"
            f" {last.dataset.source}, sha256:{last.dataset.digest[:12]});"
            " evaluate the last version over this one"
        )
    if last.decoding != decoding:
        raise CommandError(f"the last result has another decoding: should be {decoding}, got {last.decoding}")
    titles = {metric.name: metric.title for metric in last.metrics}
    missing = [metric.name for metric in metrics if metric.name not in titles]
    if missing:
        raise CommandError(
            f"the last result has no scores of {', '.join(missing)}; it has {', '.join(titles)}"
        )
    for metric in metrics:
        if metric.title != titles[metric.name]:
            raise CommandError(
                f"{metric.name} of the last result is {titles[metric.name]!r}, and now {metric.title!r}"
            )


def _outcome(
    metric: MetricFacts,
    last: EvaluationResult,
    version: Subject,
    new: EvaluationResult,
    subject: str,
    *,
    than: str,
    when: str,
) -> RequirementOutcome:
    """Compare a subject with a version in one metric.

    It is worse if the whole 95 % interval of the difference is on the bad side of 0. Any smaller loss may be
    chance. An answer of the subject that is an error counts as the lowest score.
    """
    requirement = f"{metric.name}: no worse than {than}"
    lowest = metric.lowest if metric.higher_is_better else metric.highest
    before = {item.id: item.scores.get(version.name, {}).get(metric.name) for item in last.items}
    after = {item.id: item.scores.get(subject, {}).get(metric.name) for item in new.items}
    pairs = [(old, after[item]) for item, old in before.items() if old is not None]
    errors = sum(score is None for _, score in pairs)
    if not pairs:
        reason = f"{metric.name} of {subject!r} cannot be compared: the {than} version answered no item"
        return RequirementOutcome(
            requirement=requirement, subject=subject, met=False, reason=reason, than=version.identity
        )
    from adapters_cli.evaluation.statistics import compare  # NumPy takes long to import

    found = compare(
        [old for old, _ in pairs],
        [lowest if score is None else score for _, score in pairs],
        subject_name=subject,
        metric=metric.name,
        seed=new.seed,
        resamples=new.resamples,
    )
    is_worse = found.interval.high < 0 if metric.higher_is_better else found.interval.low > 0
    was = f"was {found.baseline_mean:.4g}{when}" if when else f"that of {than!r} is {found.baseline_mean:.4g}"
    return RequirementOutcome(
        requirement=requirement,
        subject=subject,
        met=not is_worse,
        reason=_reason(found, metric, subject, errors, was),
        than=version.identity,
    )


def _reason(found: Comparison, metric: MetricFacts, subject: str, errors: int, was: str) -> str:
    failed = f", with {counted(errors, 'error')} as the lowest score" if errors else ""
    side = "below" if metric.higher_is_better else "above"
    return (
        f"{metric.name} of {subject!r} is {found.mean:.4g} over {counted(found.items, 'item')}{failed}, and"
        f" {was}; the difference's 95 % interval, {found.interval.low:+.4g} to {found.interval.high:+.4g},"
        f" should not be wholly {side} 0"
    )
