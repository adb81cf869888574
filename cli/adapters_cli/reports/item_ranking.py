"""Which items a subject answered worse than the baseline, and by how much."""

import math
from collections.abc import Sequence

from adapters_cli.evaluation.result import EvaluatedItem, EvaluationResult, MetricFacts, Subject


def scale(metric: MetricFacts) -> float:
    """Return the length of a metric's scale; 1 if it has no end."""
    length = metric.highest - metric.lowest
    return length if math.isfinite(length) and length > 0 else 1


def gain(item: EvaluatedItem, subject: str, baseline: str, metrics: Sequence[MetricFacts]) -> float | None:
    """Return by how much a subject is better on an item; None if one of the two has no score.

    It is the mean of all metrics, each in shares of its scale.
    """
    gains = [
        (mine - theirs) / scale(metric) * (1 if metric.higher_is_better else -1)
        for metric in metrics
        if (mine := item.scores.get(subject, {}).get(metric.name)) is not None
        and (theirs := item.scores.get(baseline, {}).get(metric.name)) is not None
    ]
    return sum(gains) / len(gains) if gains else None


def lowest_gain(result: EvaluationResult, item: EvaluatedItem, subjects: Sequence[Subject]) -> float | None:
    """Return the gain of the subject that lost most on an item; None if no subject has one."""
    baseline = result.baseline.name
    gains = [gain(item, subject.name, baseline, result.metrics) for subject in subjects]
    return min((found for found in gains if found is not None), default=None)


def worst_first(result: EvaluationResult, subjects: Sequence[Subject]) -> list[EvaluatedItem]:
    """Return the items by their lowest gain: failed answers first, and items without a gain last."""

    def key(item: EvaluatedItem) -> tuple[int, float]:
        answers = [item.answers.get(subject.name) for subject in subjects]
        if any(answer is not None and answer.error is not None for answer in answers):
            return 0, 0
        found = lowest_gain(result, item, subjects)
        return (2, 0) if found is None else (1, found)

    return sorted(result.items, key=key)
