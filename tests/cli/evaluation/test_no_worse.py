"""The gates `--no-worse-than` and `--against`."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from adapters_cli.evaluation.no_worse import no_worse_than_last, no_worse_than_other
from adapters_cli.evaluation.result import EvaluationResult
from adapters_cli.output.errors import CommandError
from tests.cli.evaluation_results import result_of

random.seed(7)
SCORES = [random.random() for _ in range(200)]


def stored(scores: list[float | None] | list[float], **more: Any) -> EvaluationResult:
    return result_of(scores, **more)


def judged(last: EvaluationResult, new: EvaluationResult) -> tuple[bool, str]:
    (outcome,) = no_worse_than_last(last, new, subject="acme")
    assert outcome.requirement == "rougeL: no worse than last"
    return outcome.met, outcome.reason


def test_same_scores_are_no_worse() -> None:
    assert judged(stored(SCORES), stored(SCORES))[0]


def test_loss_of_every_item_is_worse_with_its_figures() -> None:
    met, reason = judged(stored(SCORES), stored([score - 0.1 for score in SCORES]))
    assert not met
    assert "and was" in reason
    assert "on 2026-03-01T09:30:00Z; the difference's 95 % interval, -0.1 to -0.1, should not" in reason


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


def test_items_are_paired_by_id_and_not_by_place() -> None:
    new = stored(SCORES)
    _, reason = judged(stored(SCORES), replace(new, items=new.items[::-1]))
    assert "interval, +0 to +0," in reason


def test_two_subjects_of_a_result_compare() -> None:
    result, live = stored([score - 0.1 for score in SCORES]), stored(SCORES, subject="live")
    items = [
        replace(item, scores={**item.scores, **other.scores})
        for item, other in zip(result.items, live.items, strict=True)
    ]
    both = replace(result, items=items, subjects=[*result.subjects, *live.subjects])
    (outcome,) = no_worse_than_other(both, subject="acme", other="live")
    assert (outcome.requirement, outcome.met) == ("rougeL: no worse than live", False)
    assert "and that of 'live' is 0." in outcome.reason


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"dataset": "e" * 64}, "another dataset .200 items of tickets.jsonl, sha256:dddddddddddd"),
        ({"max_tokens": 8}, "another decoding"),
        ({"metric": "meteor"}, "no scores of meteor; it has rougeL"),
    ],
)
def test_what_does_not_compare_is_an_error_that_says_why(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        no_worse_than_last(stored(SCORES), stored(SCORES, **changed), subject="acme")
