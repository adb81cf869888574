"""The gate `--no-worse-than last`."""

from __future__ import annotations

import random
from typing import Any

import pytest

from adapters_cli.evaluation.no_worse import no_worse_than
from adapters_cli.evaluation.stored_evaluation import StoredEvaluation
from adapters_cli.output.errors import CommandError
from tests.cli.evaluation_results import result_of

random.seed(7)
SCORES = [random.random() for _ in range(200)]


def stored(scores: list[float | None] | list[float], **more: Any) -> StoredEvaluation:
    return StoredEvaluation.of(result_of(scores, **more), "acme")


def judged(last: StoredEvaluation, new: StoredEvaluation) -> tuple[bool, str]:
    (outcome,) = no_worse_than(last, new, subject="acme")
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
    last, new = stored(SCORES), stored(SCORES)
    reversed_ = {
        "items": tuple(reversed(new.items)),
        "scores": {
            "rougeL": type(new.scores["rougeL"])(
                baseline=new.scores["rougeL"].baseline, subject=new.scores["rougeL"].subject[::-1]
            )
        },
    }
    _, reason = judged(last, type(new)(**{**vars(new), **reversed_}))
    assert "interval, +0 to +0," in reason


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
        no_worse_than(stored(SCORES), stored(SCORES, **changed), subject="acme")
