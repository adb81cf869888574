"""Results of evaluations, as tests need them."""

from __future__ import annotations

from collections.abc import Sequence

from adapters_cli.evaluation.result import (
    Answer,
    Comparison,
    DatasetFacts,
    Decoding,
    EvaluatedItem,
    EvaluationResult,
    Interval,
    Latency,
    MetricFacts,
    RequirementOutcome,
    Subject,
)

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
    mean = sum(known) / len(known)
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
        comparisons=[
            Comparison(
                subject=subject,
                metric=metric,
                items=len(known),
                baseline_mean=base,
                mean=mean,
                difference=mean - base,
                interval=Interval(low=mean - base - 0.01, high=mean - base + 0.01),
                relative=None,
                relative_interval=None,
                p_value=0.01,
                p_adjusted=0.01,
                better=1,
                worse=0,
                equal=0,
            )
        ],
        latency=[Latency(subject=subject, answers=len(known), errors=0, p50=0.1, p90=0.2, p99=0.3)],
        items=[
            EvaluatedItem(
                id=f"item-{number}",
                prompt=SECRET,
                reference=SECRET,
                answers={
                    "base": Answer(text=SECRET, seconds=0.1),
                    subject: Answer(error="throttled") if score is None else Answer(text=SECRET, seconds=0.1),
                },
                scores={"base": {metric: base}} | ({} if score is None else {subject: {metric: score}}),
            )
            for number, score in enumerate(scores)
        ],
        requirements=requirements,
    )
