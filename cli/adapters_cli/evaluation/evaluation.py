"""One evaluation: the same items for baseline and subjects, scores of their answers, and comparisons."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from adapter_fleet.common.counts import counted
from adapter_fleet.evaluation import Requirement
from adapters_cli.aws.generated_text import TextRequest
from adapters_cli.evaluation.answer_log import AnswerLog, Question
from adapters_cli.evaluation.dataset import Dataset, Item
from adapters_cli.evaluation.metrics.metric import Metric, Pair, ScoreError
from adapters_cli.evaluation.result import (
    Answer,
    Comparison,
    Decoding,
    EvaluatedItem,
    EvaluationResult,
    MetricFacts,
    RequirementOutcome,
    Subject,
)
from adapters_cli.evaluation.runner import Ask, Runner, RunSummary
from adapters_cli.evaluation.statistics import RESAMPLES, compare, holm
from adapters_cli.output.errors import CommandError
from adapters_cli.output.progress_bars import AnswerCounts
from adapters_cli.output.text import whole_second
from adapters_cli.product import product_version

Answers = Mapping[str, Mapping[str, Answer]]
"""Answers by subject and item id."""

Scores = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Scores by metric, subject and item id."""


@dataclass(frozen=True, kw_only=True)
class EvaluationPlan:
    """What to ask whom, and what to make of it.

    versions:
        What each component serves, by component: identities, or what else changes with them.
    against:
        Name of the subject that the requirements are not about: the other ones are compared with it.
    """

    endpoint: str
    baseline: Subject
    subjects: Sequence[Subject]
    versions: Mapping[str, str]
    dataset: Dataset
    decoding: Decoding
    metrics: Sequence[Metric]
    requirements: Sequence[Requirement] = ()
    against: str | None = None
    base_model: str | None = None
    engine: str | None = None
    seed: int = 0
    resamples: int = RESAMPLES

    @property
    def everyone(self) -> list[Subject]:
        """The baseline, then the subjects."""
        return [self.baseline, *self.subjects]

    def check(self) -> None:
        """Raise ValueError for what would fail after all answers have come."""
        known = {metric.facts.name: metric.facts for metric in self.metrics}
        for requirement in self.requirements:
            requirement.check_metric(known)
            facts = known[requirement.metric]
            requirement.check_range(facts.lowest, facts.highest)

    @property
    def settings(self) -> dict[str, Any]:
        """What every answer depends on, beside its item."""
        versions = {f"the version of {one.name}": self.versions[one.component] for one in self.everyone}
        stop = list(self.decoding.stop)
        return {
            "the endpoint": self.endpoint,
            "max_tokens": self.decoding.max_tokens,
            "stop": stop,
        } | versions

    def questions(self) -> list[Question]:
        """Return all questions. Those about one item stand beside each other, and take turns to be first."""
        questions = []
        for place, item in enumerate(self.dataset.items):
            turn = place % len(self.everyone)
            for subject in (*self.everyone[turn:], *self.everyone[:turn]):
                questions.append(self._question(subject, item))
        return questions

    def answers(self, log: AnswerLog) -> dict[str, dict[str, Answer]]:
        """Return the answers in a log, by subject and item id. Raises LookupError if one is missing."""
        found: dict[str, dict[str, Answer]] = {}
        for subject in self.everyone:
            logged = {item.id: log.answer(self._question(subject, item)) for item in self.dataset.items}
            missing = [item for item, answer in logged.items() if answer is None]
            if missing:
                raise LookupError(
                    f"{subject.name} was not asked {counted(len(missing), 'item')}, such as {missing[0]}"
                )
            found[subject.name] = {item: one.answer for item, one in logged.items() if one is not None}
        return found

    def _question(self, subject: Subject, item: Item) -> Question:
        return Question(
            place=self.endpoint,
            component=subject.component,
            version=self.versions[subject.component],
            item=item.id,
            request=TextRequest(
                prompt="" if item.messages else item.prompt,
                messages=item.messages or (),
                max_tokens=self.decoding.max_tokens,
                stop=self.decoding.stop,
            ),
        )


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """A result, and what the run cost."""

    result: EvaluationResult
    asking: RunSummary

    @property
    def errors(self) -> int:
        """Answers that are errors."""
        everyone = (self.result.baseline, *self.result.subjects)
        return sum(self.result.errors_of(subject.name) for subject in everyone)


Watch = Callable[[AnswerCounts], None]
Watching = Callable[[str, int], Watch]
"""Called with what is asked and how many times; returns what is called with the counts."""

_SLOW_TO_SCORE = 100
"""The scoring of so many answers takes seconds, and is announced."""


def evaluate(
    plan: EvaluationPlan,
    log: AnswerLog,
    ask: Ask,
    *,
    jobs: int,
    watching: Watching,
    now: float,
    note: Callable[[str], None] = lambda _text: None,
) -> Evaluated:
    """Ask what the log does not have, and return the result. `note` gets what to tell the user meanwhile.

    Raises CommandError after too many errors, NoAnswerError and KeyboardInterrupt; the log keeps the answers.
    """
    plan.check()
    questions = plan.questions()
    rest = len(log.unanswered(questions))
    asking = Runner(ask, log, jobs=jobs, watch=watching("answers", rest)).run(questions)
    answers = plan.answers(log)
    if len(questions) >= _SLOW_TO_SCORE:
        note(f"scoring {counted(len(questions), 'answer')} by {counted(len(plan.metrics), 'metric')}")
    scores = scored(plan, answers)
    comparisons = compared(plan, scores)
    result = EvaluationResult(
        made_at=whole_second(now),
        product_version=product_version(),
        endpoint=plan.endpoint,
        engine=plan.engine,
        dataset=plan.dataset.facts,
        decoding=plan.decoding,
        seed=plan.seed,
        resamples=plan.resamples,
        baseline=plan.baseline,
        subjects=tuple(plan.subjects),
        metrics=tuple(_with_range(metric.facts, scores) for metric in plan.metrics),
        comparisons=tuple(comparisons),
        items=tuple(_item(plan, item, answers, scores) for item in plan.dataset.items),
        requirements=tuple(judged_requirements(plan, comparisons)),
        base_model=plan.base_model,
    )
    return Evaluated(result=result, asking=asking)


def scored(plan: EvaluationPlan, answers: Answers) -> dict[str, dict[str, dict[str, float]]]:
    """Score every answer that is no error. Equal pairs of answer and reference are scored once."""
    references = {item.id: item.reference for item in plan.dataset.items}
    pairs = list(
        dict.fromkeys(
            (answer.text, references[item])
            for given in answers.values()
            for item, answer in given.items()
            if answer.error is None
        )
    )
    found: dict[str, dict[str, dict[str, float]]] = {}
    for metric in plan.metrics:
        try:
            known = dict(zip(pairs, metric.scores(pairs), strict=True))
        except ScoreError as error:
            places = _places_of(plan, answers, pairs[error.pair])
            raise CommandError(f"'{metric.facts.name}' {error} for {places}") from error
        found[metric.facts.name] = {
            name: {
                item: known[answer.text, references[item]]
                for item, answer in given.items()
                if answer.error is None
            }
            for name, given in answers.items()
        }
    return found


def _places_of(plan: EvaluationPlan, answers: Answers, pair: Pair) -> str:
    """Return the item that has a pair of answer and reference, and who answered it."""
    return next(
        f"item {item.id}, answered by {name}"
        for item in plan.dataset.items
        for name, given in answers.items()
        if (given[item.id].text, item.reference) == pair
    )


def _with_range(facts: MetricFacts, scores: Scores) -> MetricFacts:
    """Return a metric with the range of its scores, where it names no end itself."""
    found = [score for of_one in scores[facts.name].values() for score in of_one.values()] or [0.0]
    lowest = min(0.0 if math.isinf(facts.lowest) else facts.lowest, *found)
    highest = max(found) if math.isinf(facts.highest) else max(facts.highest, *found)
    return replace(facts, lowest=lowest, highest=highest if highest > lowest else lowest + 1)


def compared(plan: EvaluationPlan, scores: Scores) -> list[Comparison]:
    """Compare each subject with the baseline in each metric, over the items that both answered."""
    comparisons = []
    for subject in plan.subjects:
        for metric in plan.metrics:
            name = metric.facts.name
            before, after = scores[name][plan.baseline.name], scores[name][subject.name]
            both = [item.id for item in plan.dataset.items if item.id in before and item.id in after]
            if both:
                comparison = compare(
                    [before[item] for item in both],
                    [after[item] for item in both],
                    subject_name=subject.name,
                    metric=name,
                    seed=plan.seed,
                    resamples=plan.resamples,
                )
                if not metric.facts.higher_is_better:
                    comparison = replace(comparison, better=comparison.worse, worse=comparison.better)
                comparisons.append(comparison)
    return holm(comparisons)


def judged_requirements(plan: EvaluationPlan, comparisons: Sequence[Comparison]) -> list[RequirementOutcome]:
    """Hold every subject, but the one of `against`, against every requirement."""
    outcomes = []
    for subject in plan.subjects:
        if subject.name == plan.against:
            continue
        figures = {
            comparison.metric: (comparison.baseline_mean, comparison.mean)
            for comparison in comparisons
            if comparison.subject == subject.name
        }
        for requirement in plan.requirements:
            met, reason = requirement.judge(figures, subject=subject.name)
            outcomes.append(
                RequirementOutcome(requirement=str(requirement), subject=subject.name, met=met, reason=reason)
            )
    return outcomes


def _item(plan: EvaluationPlan, item: Item, answers: Answers, scores: Scores) -> EvaluatedItem:
    return EvaluatedItem(
        id=item.id,
        prompt=item.prompt,
        reference=item.reference,
        answers={subject.name: answers[subject.name][item.id] for subject in plan.everyone},
        scores={
            subject.name: {
                metric: found[subject.name][item.id]
                for metric, found in scores.items()
                if item.id in found[subject.name]
            }
            for subject in plan.everyone
        },
    )
