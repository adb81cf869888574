"""Results of evaluations, as tests need them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from adapters_cli.evaluation.result import (
    Answer,
    DatasetFacts,
    Decoding,
    EvaluatedItem,
    EvaluationResult,
    MetricFacts,
    RequirementOutcome,
    Subject,
)
from adapters_cli.evaluation.statistics import compare, latency_of

DATASET = "d" * 64
SECRET = "a customer's text"


def result_of(
    scores: Sequence[float | None],
    *,
    base: float = 0.2,
    metric: str = "rougeL",
    subject: str = "acme",
    identity: str = "a" * 64,
    made_at: str = "2026-03-01T09:30:00Z",
    dataset: str = DATASET,
    max_tokens: int = 64,
    higher_is_better: bool = True,
    requirements: Sequence[RequirementOutcome] = (),
) -> EvaluationResult:
    """Return a result with these scores of an adapter, item by item; None for an error."""
    known = [score for score in scores if score is not None]
    found = compare([base] * len(known), known, subject_name=subject, metric=metric, seed=7, resamples=999)
    # The mean of equal scores is that score, which a sum would round.
    comparison = replace(found, baseline_mean=base, mean=sum(known) / len(known))
    answers = [
        Answer(error="throttled") if score is None else Answer(text=SECRET, seconds=0.1) for score in scores
    ]
    return EvaluationResult(
        made_at=made_at,
        product_version="1.0",
        endpoint="endpoint",
        engine="numpy",
        dataset=DatasetFacts(source="tickets.jsonl", digest=dataset, items=len(scores)),
        decoding=Decoding(max_tokens=max_tokens),
        seed=7,
        resamples=999,
        baseline=Subject(name="base", component="base"),
        subjects=[Subject(name=subject, component=f"llm-{subject}", identity=identity)],
        metrics=[MetricFacts(name=metric, title=metric, higher_is_better=higher_is_better)],
        comparisons=[comparison],
        latency=[latency_of(subject, answers, seed=7)],
        items=[
            EvaluatedItem(
                id=f"item-{number}",
                prompt=SECRET,
                reference=SECRET,
                answers={"base": Answer(text=SECRET, seconds=0.1), subject: answer},
                scores={"base": {metric: base}} | ({} if score is None else {subject: {metric: score}}),
            )
            for number, (score, answer) in enumerate(zip(scores, answers, strict=True))
        ],
        requirements=requirements,
    )
