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


def changed_sides(
    item: EvaluatedItem, subject: str, baseline: str, metrics: Sequence[MetricFacts]
) -> list[int]:
    """Return the positions of the metrics in which an item changed sides.

    One of the two answers is in the upper half of the scale, and the other is not.
    """
    changed = []
    for position, metric in enumerate(metrics):
        middle = (metric.lowest + metric.highest) / 2
        mine = item.scores.get(subject, {}).get(metric.name)
        theirs = item.scores.get(baseline, {}).get(metric.name)
        if mine is not None and theirs is not None and (mine >= middle) != (theirs >= middle):
            changed.append(position)
    return changed


def worst_first(result: EvaluationResult, subject: Subject) -> list[EvaluatedItem]:
    """Return the items by gain: failed answers first, and items without a gain last."""
    baseline = result.baseline.name

    def key(item: EvaluatedItem) -> tuple[int, float]:
        answer = item.answers.get(subject.name)
        if answer is not None and answer.error is not None:
            return 0, 0
        found = gain(item, subject.name, baseline, result.metrics)
        return (2, 0) if found is None else (1, found)

    return sorted(result.items, key=key)
