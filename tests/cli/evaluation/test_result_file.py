import json
from pathlib import Path
from typing import Any

import pytest

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
from adapters_cli.evaluation.result_file import from_json, read_result, to_json

RESULT = EvaluationResult(
    made_at="2026-01-02T03:04:05Z",
    product_version="0.1.0",
    endpoint="llm",
    engine=None,
    dataset=DatasetFacts(source="tickets.jsonl", digest="a" * 64, items=1),
    decoding=Decoding(max_tokens=64, stop=("\n",)),
    seed=7,
    resamples=9_999,
    baseline=Subject(name="base", component="llm-base"),
    subjects=[Subject(name="acme", component="llm-acme", artifact="s3://b/a.tar.gz", identity="b" * 64)],
    metrics=[MetricFacts(name="rougeL", title="ROUGE-L")],
    comparisons=[
        Comparison(
            subject="acme", metric="rougeL", items=1, baseline_mean=0.5, mean=0.75, difference=0.25,
            interval=Interval(low=0.125, high=0.5), relative=0.5, relative_interval=None, p_value=0.01,
            p_adjusted=0.02, better=1, worse=0, equal=0, warnings=("few items",),
        )
    ],
    latency=[Latency(subject="acme", answers=1, errors=1, p50=0.5, p90=1, p99=1.5)],
    items=[
        EvaluatedItem(
            id="1", prompt="Grüße", reference="猫",
            answers={"base": Answer(text="x", seconds=0.5), "acme": Answer(error="too long")},
            scores={"base": {"rougeL": 0.5}},
        )
    ],
    requirements=[RequirementOutcome(requirement="rougeL >= 0.5", subject="acme", met=True, reason="0.75")],
)  # fmt: skip


def test_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(to_json(RESULT))
    found = read_result(path)
    assert json.loads(to_json(found)) == json.loads(to_json(RESULT))
    assert list(found.items) == RESULT.items
    assert list(found.comparisons) == RESULT.comparisons


def edited(**changes: Any) -> str:
    return json.dumps({**json.loads(to_json(RESULT)), **changes})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("no json", "it is no JSON"),
        ("[]", "it is no result of 'adapters evaluate'"),
        ('{"format": "other", "version": 2}', "it is no result"),
        (edited(version=1), "'version' should be 2, got 1"),
        (edited(more=1), "more"),
        (edited(seed="7"), "a value has the wrong type"),
        (edited(items=[{"id": "1"}]), "prompt"),
        (edited(baseline=None), "it is no result"),
    ],
)
def test_anything_else_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r"^old") as error:
        from_json(text, where="old.json")
    assert problem in str(error.value)


def test_field_that_is_missing_is_refused() -> None:
    document = json.loads(to_json(RESULT))
    del document["engine"]
    with pytest.raises(ValueError, match="engine"):
        from_json(json.dumps(document), where="old.json")
