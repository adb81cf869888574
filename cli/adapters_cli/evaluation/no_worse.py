"""Whether a version is no worse than the one before it: the same items, asked in the same way."""

from collections.abc import Sequence

from adapter_fleet.common.counts import counted
from adapters_cli.evaluation.result import (
    Comparison,
    DatasetFacts,
    Decoding,
    MetricFacts,
    RequirementOutcome,
)
from adapters_cli.evaluation.stored_evaluation import StoredEvaluation
from adapters_cli.output.errors import CommandError

REQUIREMENT = "no worse than last"


def no_worse_than(last: StoredEvaluation, new: StoredEvaluation, *, subject: str) -> list[RequirementOutcome]:
    """Compare the scores of two versions item by item; one outcome a metric.

    A version is worse if the whole 95 % interval of its difference is on the bad side of 0. Any smaller loss
    may be chance. An answer of the new version that is an error counts as the lowest score. Raises
    CommandError if the two did not answer the same items in the same way.
    """
    check_same_questions(last, new.dataset, new.decoding, new.metrics)
    return [_outcome(metric, last, new, subject) for metric in new.metrics]


def check_same_questions(
    last: StoredEvaluation, dataset: DatasetFacts, decoding: Decoding, metrics: Sequence[MetricFacts]
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
    missing = [metric.name for metric in metrics if metric.name not in last.scores]
    if missing:
        raise CommandError(
            f"the last result has no scores of {', '.join(missing)}; it has {', '.join(last.scores)}"
        )
    titles = {metric.name: metric.title for metric in last.metrics}
    for metric in metrics:
        if metric.title != titles.get(metric.name):
            raise CommandError(
                f"{metric.name} of the last result is {titles.get(metric.name)!r}, and now {metric.title!r}"
            )


def _outcome(
    metric: MetricFacts, last: StoredEvaluation, new: StoredEvaluation, subject: str
) -> RequirementOutcome:
    lowest = metric.lowest if metric.higher_is_better else metric.highest
    before = dict(zip(last.items, last.scores[metric.name].subject, strict=True))
    after = dict(zip(new.items, new.scores[metric.name].subject, strict=True))
    pairs = [(old, after[item]) for item, old in before.items() if old is not None]
    errors = sum(score is None for _, score in pairs)
    if not pairs:
        return RequirementOutcome(
            requirement=f"{metric.name}: {REQUIREMENT}",
            subject=subject,
            met=False,
            reason=f"{metric.name} of {subject!r} cannot be compared: the last version answered no item",
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
    return RequirementOutcome(
        requirement=f"{metric.name}: {REQUIREMENT}",
        subject=subject,
        met=not is_worse,
        reason=_reason(found, metric, last, subject, errors),
    )


def _reason(found: Comparison, metric: MetricFacts, last: StoredEvaluation, subject: str, errors: int) -> str:
    failed = f", with {counted(errors, 'error')} as the lowest score" if errors else ""
    side = "below" if metric.higher_is_better else "above"
    return (
        f"{metric.name} of {subject!r} is {found.mean:.4g} over {counted(found.items, 'item')}{failed}, and"
        f" was {found.baseline_mean:.4g} on {last.made_at}; the difference's 95 % interval,"
        f" {found.interval.low:+.4g} to {found.interval.high:+.4g}, should not be wholly {side} 0"
    )
