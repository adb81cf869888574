"""What an evaluation asks and compares, and the gate `--against`."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from adapter_fleet.evaluation import Requirement
from adapters_cli.aws.generated_text import GeneratedText, TextRequest
from adapters_cli.aws.runtime_endpoint import InvocationError
from adapters_cli.evaluation.answer_log import AnswerLog, open_log
from adapters_cli.evaluation.dataset import Dataset, Item
from adapters_cli.evaluation.evaluation import Evaluated, EvaluationPlan, evaluate
from adapters_cli.evaluation.metrics.metric import ExactMatch, Pair
from adapters_cli.evaluation.result import DatasetFacts, Decoding, EvaluationResult, MetricFacts, Subject
from adapters_cli.evaluation.statistics import no_worse_than_other
from tests.cli.evaluation_results import result_of

ITEMS = [Item(id=f"i{number}", prompt=f"{number}", reference=f"{number % 3}") for number in range(30)]
FACTS = DatasetFacts(source="test", digest="d" * 64, items=30)


class Errors(ExactMatch):
    """Counts wrong answers, and what it scores."""

    facts = MetricFacts(name="errors", title="Errors", higher_is_better=False)

    def __init__(self) -> None:
        super().__init__()
        self.scored: list[Pair] = []

    def scores(self, pairs: Sequence[Pair]) -> list[float]:
        self.scored += pairs
        return [1 - score for score in super().scores(pairs)]


def plan(**changes: object) -> EvaluationPlan:
    made = EvaluationPlan(
        endpoint="llm",
        baseline=Subject(name="base", component="llm-base"),
        subjects=[Subject(name="acme", component="llm-acme")],
        versions={"llm-base": "1", "llm-acme": "2", "llm-beta": "3"},
        dataset=Dataset(items=ITEMS, facts=FACTS),
        decoding=Decoding(max_tokens=7),
        metrics=[ExactMatch()],
        resamples=99,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def ask(component: str, request: TextRequest) -> GeneratedText:
    """Answer: the adapter right, the base model always 0; nobody answers the 7."""
    if component == "llm-acme" and request.prompt == "7":
        raise InvocationError("too long")
    text = f"{int(request.prompt) % 3}" if component == "llm-acme" else "0"
    return GeneratedText(text=text, seconds=2.0 if component == "llm-acme" else 1.0)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AnswerLog]:
    with open_log(tmp_path) as log:
        yield log


def evaluated(plan: EvaluationPlan, log: AnswerLog) -> Evaluated:
    return evaluate(plan, log, ask, jobs=2, watching=lambda *_: lambda _: None, now=0.0)


def test_item_with_an_error_is_in_no_comparison(log: AnswerLog) -> None:
    found = evaluated(plan(), log)
    [comparison] = found.result.comparisons
    assert (comparison.items, comparison.mean, comparison.better) == (29, 1, 19)
    assert (found.errors, found.result.items[7].answers["acme"].error) == (1, "too long")
    assert found.result.items[7].scores == {"base": {"exact_match": 0}, "acme": {}}


def test_item_with_the_lower_score_is_better_where_lower_is_better_and_pairs_are_scored_once(
    log: AnswerLog,
) -> None:
    metric = Errors()
    [comparison] = evaluated(plan(metrics=[metric]), log).result.comparisons
    assert comparison.difference < 0
    assert (comparison.better, comparison.worse, comparison.equal) == (19, 0, 10)
    assert len(metric.scored) == len(set(metric.scored)) == 5


def test_who_is_asked_first_takes_turns() -> None:
    three = plan(subjects=[*plan().subjects, Subject(name="beta", component="llm-beta")])
    components = [question.component.removeprefix("llm-") for question in three.questions()[:9]]
    assert components == ["base", "acme", "beta", "acme", "beta", "base", "beta", "base", "acme"]


def test_answers_of_an_earlier_command_are_told_and_those_of_a_task_before_are_not(tmp_path: Path) -> None:
    beta = plan(subjects=[Subject(name="beta", component="llm-beta")])
    with open_log(tmp_path) as log:
        assert evaluated(plan(), log).asking.reused == 0
        assert evaluated(beta, log).asking.reused == 0
    with open_log(tmp_path) as log:
        assert evaluated(beta, log).asking.reused == 60


def test_requirement_is_held_against_every_subject(log: AnswerLog) -> None:
    subjects = [*plan().subjects, Subject(name="beta", component="llm-beta")]
    requirements = [Requirement.parse("exact_match >= base + 20%")]
    result = evaluated(plan(subjects=subjects, requirements=requirements), log).result
    assert {outcome.subject: outcome.met for outcome in result.requirements} == {"acme": True, "beta": False}
    assert not result.passed


def test_metric_that_nobody_asked_for_is_refused_before_anything_is_asked(log: AnswerLog) -> None:
    wrong = plan(requirements=[Requirement.parse("rougeL >= 0.5")])
    with pytest.raises(ValueError, match="should name a metric of the evaluation"):
        evaluated(wrong, log)
    assert log.unanswered(wrong.questions()) == wrong.questions()


def test_same_answers_give_the_same_result(log: AnswerLog) -> None:
    assert evaluated(plan(seed=3), log).result == evaluated(plan(seed=3), log).result


RANDOM = random.Random(7)
SCORES = [RANDOM.random() for _ in range(200)]


def judged(last: EvaluationResult, new: EvaluationResult) -> tuple[bool, str]:
    """Compare the subjects of two results as if both had been asked in one run."""
    live = replace(last.subjects[0], name="live")
    scores = {item.id: {"live": item.scores["acme"]} for item in last.items if "acme" in item.scores}
    items = [replace(item, scores={**item.scores, **scores.get(item.id, {})}) for item in new.items]
    both = replace(new, items=items, subjects=[*new.subjects, live])
    (outcome,) = no_worse_than_other(both, subject="acme", other="live")
    assert outcome.requirement == "rougeL: no worse than live"
    return outcome.met, outcome.reason


def test_loss_of_every_item_is_worse_with_its_figures_and_one_that_may_be_chance_is_not() -> None:
    met, reason = judged(result_of(SCORES), result_of([score - 0.1 for score in SCORES]))
    assert not met
    assert "and that of 'live' is 0." in reason
    assert "; the difference's 95 % interval, -0.1 to -0.1, should not" in reason
    noisy = [score + RANDOM.uniform(-0.5, 0.49) for score in SCORES]
    assert judged(result_of(SCORES), result_of(noisy))[0]
    assert judged(result_of(SCORES), result_of(SCORES))[0]


def test_higher_is_worse_where_lower_is_better() -> None:
    higher = [score + 0.1 for score in SCORES]
    assert not judged(result_of(SCORES, higher_is_better=False), result_of(higher, higher_is_better=False))[0]
    assert judged(result_of(higher, higher_is_better=False), result_of(SCORES, higher_is_better=False))[0]


def test_errors_of_the_new_version_count_as_the_lowest_score() -> None:
    """Else a version that fails on every hard item would look better."""
    new = [None if score < 0.5 else score for score in SCORES]
    met, reason = judged(result_of(SCORES), result_of(new))
    assert not met
    assert "errors as the lowest score" in reason
