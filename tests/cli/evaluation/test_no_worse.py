"""The gate `--against`."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from adapters_cli.evaluation.no_worse import no_worse_than_other
from adapters_cli.evaluation.result import EvaluationResult
from tests.cli.evaluation_results import result_of

random.seed(7)
SCORES = [random.random() for _ in range(200)]


def stored(scores: list[float | None] | list[float], **more: Any) -> EvaluationResult:
    return result_of(scores, **more)


def judged(last: EvaluationResult, new: EvaluationResult) -> tuple[bool, str]:
    """Compare the subjects of two results as if both had been asked in one run."""
    live = replace(last.subjects[0], name="live")
    scores = {item.id: {"live": item.scores["acme"]} for item in last.items if "acme" in item.scores}
    items = [replace(item, scores={**item.scores, **scores.get(item.id, {})}) for item in new.items]
    both = replace(new, items=items, subjects=[*new.subjects, live])
    (outcome,) = no_worse_than_other(both, subject="acme", other="live")
    assert outcome.requirement == "rougeL: no worse than live"
    return outcome.met, outcome.reason


def test_same_scores_are_no_worse() -> None:
    assert judged(stored(SCORES), stored(SCORES))[0]


def test_loss_of_every_item_is_worse_with_its_figures() -> None:
    met, reason = judged(stored(SCORES), stored([score - 0.1 for score in SCORES]))
    assert not met
    assert "and that of 'live' is 0." in reason
    assert "; the difference's 95 % interval, -0.1 to -0.1, should not" in reason


def test_loss_that_may_be_chance_passes() -> None:
    noisy = [score + random.uniform(-0.5, 0.49) for score in SCORES]
    assert judged(stored(SCORES), stored(noisy))[0]


def test_higher_is_worse_where_lower_is_better() -> None:
    higher = [score + 0.1 for score in SCORES]
    assert not judged(stored(SCORES, higher_is_better=False), stored(higher, higher_is_better=False))[0]
    assert judged(stored(higher, higher_is_better=False), stored(SCORES, higher_is_better=False))[0]


def test_errors_of_the_new_version_count_as_the_lowest_score() -> None:
    """Else a version that fails on every hard item would look better."""
    new = [None if score < 0.5 else score for score in SCORES]
    met, reason = judged(stored(SCORES), stored(new))
    assert not met
    assert "errors as the lowest score" in reason
