"""What a result says, in words."""

from collections.abc import Mapping, Sequence

from adapter_fleet.common.counts import counted
from adapters_cli.evaluation.result import (
    Comparison,
    EvaluationResult,
    MetricFacts,
    Subject,
)
from adapters_cli.reports import figures

_SIGNIFICANT = 0.05
_ALL = {1: "the requirement is", 2: "both requirements are"}


def headline(result: EvaluationResult) -> str:
    """Return the verdict in one sentence."""
    total = len(result.requirements)
    failed = sum(not outcome.met for outcome in result.requirements)
    if failed and total == 1:
        return "Failed: the requirement is not met"
    if failed:
        return f"Failed: {failed} of {counted(total, 'requirement')} {'is' if failed == 1 else 'are'} not met"
    if total:
        return f"Passed: {_ALL.get(total, f'all {total} requirements are')} met"
    if len(result.subjects) == 1:
        return _found(result, result.subjects[0])
    return f"{counted(len(result.subjects), 'adapter')} beside {result.baseline.name}, without a requirement"


def _found(result: EvaluationResult, subject: Subject) -> str:
    base, name = result.baseline.name, subject.name
    better, worse, unclear = _by_side(result, subject).values()
    total = len(better) + len(worse) + len(unclear)
    if not total:
        return f"{name} was not compared with {base}"
    if not better and not worse:
        return f"No clear difference between {name} and {base}"
    words, many = ("better", better) if better else ("worse", worse)
    both = f", and worse in {len(worse)}" if better and worse else ""
    return f"{name} is {words} than {base} in {len(many)} of {counted(total, 'metric')}{both}"


def believable(comparison: Comparison) -> bool:
    """Return True if the difference is hardly chance.

    Its interval excludes zero, and its p-value, adjusted for all comparisons of the result, is below 0.05.
    """
    excludes_zero = comparison.interval.low > 0 or comparison.interval.high < 0
    return excludes_zero and comparison.p_adjusted < _SIGNIFICANT


def side(comparison: Comparison, metric: MetricFacts) -> str:
    """Return whether the subject is `better` or `worse`, or that it is `unclear`."""
    if not believable(comparison):
        return "unclear"
    return "better" if (comparison.difference > 0) == metric.higher_is_better else "worse"


def _by_side(result: EvaluationResult, subject: Subject) -> Mapping[str, Sequence[Comparison]]:
    """Return the comparisons of a subject in which it is better, worse, and neither, by these words."""
    metrics = metrics_by_name(result)
    found: dict[str, list[Comparison]] = {"better": [], "worse": [], "unclear": []}
    for comparison in comparisons_of(result, subject):
        found[side(comparison, metrics[comparison.metric])].append(comparison)
    return found


def sentence(result: EvaluationResult, subject: Subject) -> str:
    """Return what is known of a subject beside the baseline, in one sentence."""
    metrics = metrics_by_name(result)
    better, worse, unclear = _by_side(result, subject).values()
    base = result.baseline.name
    parts = []
    if better:
        parts.append(f"is better than {base} in {_listed(better, metrics)}")
    if worse:
        than = "" if parts else f" than {base}"
        parts.append(f"is worse{than} in {_listed(worse, metrics)}")
    if unclear:
        than = "" if parts else f" from {base}"
        names = _names([figures.short_title(metrics[comparison.metric]) for comparison in unclear])
        parts.append(f"shows no clear difference{than} in {names}")
    return f"{subject.name} {'; '.join(parts)}." if parts else f"{subject.name} has no scores."


def _listed(comparisons: Sequence[Comparison], metrics: Mapping[str, MetricFacts]) -> str:
    return _names(
        [
            f"{figures.short_title(metrics[comparison.metric])} ({by_how_much(comparison)})"
            for comparison in comparisons
        ]
    )


def _names(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def by_how_much(comparison: Comparison) -> str:
    """Return the relative gain; the difference, where the baseline's mean is zero."""
    if comparison.relative is None:
        return figures.gain(comparison.difference)
    return figures.percent(comparison.relative)


def warnings(result: EvaluationResult) -> list[str]:
    """Return each warning once, after the subjects and metrics that it is about."""
    metrics = metrics_by_name(result)
    about: dict[str, dict[str, list[str]]] = {}
    for comparison in result.comparisons:
        for warning in comparison.warnings:
            where = about.setdefault(warning, {}).setdefault(comparison.subject, [])
            where.append(figures.short_title(metrics[comparison.metric]))
    lines = []
    for warning, subjects in about.items():
        whole = all(
            len(names) == len([c for c in result.comparisons if c.subject == subject])
            for subject, names in subjects.items()
        )
        if whole and len(subjects) == len(result.subjects):
            lines.append(warning)
        else:
            places = (f"{subject} ({', '.join(names)})" for subject, names in subjects.items())
            lines.append(f"{'; '.join(places)}: {warning}")
    for subject in (result.baseline, *result.subjects):
        if errors := result.errors_of(subject.name):
            have = "has" if errors == 1 else "have"
            lines.append(f"{subject.name}: {counted(errors, 'request')} failed, and {have} no score")
    return lines


def state(result: EvaluationResult) -> str:
    """Return `passed` or `failed`; `open` if the result was held against nothing."""
    if not result.passed:
        return "failed"
    return "passed" if result.requirements else "open"


def metrics_by_name(result: EvaluationResult) -> dict[str, MetricFacts]:
    """Return the metrics of a result by name."""
    return {metric.name: metric for metric in result.metrics}


def comparisons_of(result: EvaluationResult, subject: Subject) -> list[Comparison]:
    """Return the comparisons of a subject, one a metric."""
    return [comparison for comparison in result.comparisons if comparison.subject == subject.name]


def facts(result: EvaluationResult) -> str:
    """Return what was asked, when, and what generated the answers."""
    engine = result.engine or "an engine that does not name itself"
    items = counted(result.dataset.items, "item")
    return f"{items} of {result.dataset.source}, {result.made_at}, on {engine}."
