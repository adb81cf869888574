"""The result of an evaluation as it is kept beside an adapter's archive: figures and scores, and no texts.

Prompts, references and answers may be customers' texts, and everybody who reads archives reads this too.
"""

import json
from dataclasses import replace
from datetime import UTC, datetime

from adapter_fleet.common.serialization import converter
from adapter_fleet.evaluation import EvaluationRecord, Figure, problems_of_record
from adapters_cli.evaluation.result import EvaluationResult
from adapters_cli.output.errors import CommandError

_FORMAT = 1
_DIGITS = 9
"""Decimal places of the figures in a manifest: so many that a fleet judges as `adapters evaluate` does.

A requirement takes means as equal up to 1e-6, and may multiply the base model's.
"""


def to_stored(result: EvaluationResult, subject: str) -> bytes:
    """Return what a result says of one subject as JSON, with the scores of its items alone."""
    kept = replace(
        result,
        subjects=[found for found in result.subjects if found.name == subject],
        comparisons=[found for found in result.comparisons if found.subject == subject],
        requirements=[found for found in result.requirements if found.subject == subject],
        items=[],
    )
    document = converter.unstructure(kept)
    [document["subject"]] = document.pop("subjects")
    document["items"] = [item.id for item in result.items]
    document["scores"] = {
        metric.name: {
            side: [item.scores.get(name, {}).get(metric.name) for item in result.items]
            for side, name in (("baseline", result.baseline.name), ("subject", subject))
        }
        for metric in result.metrics
    }
    whole = {"format": _FORMAT, **document}
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def record_of(result: EvaluationResult, subject: str, uri: str) -> EvaluationRecord:
    """Return what a manifest records of one subject, whose result is stored at `uri`.

    Raises CommandError if a manifest cannot have it, as with too many metrics.
    """
    record = EvaluationRecord(
        result=uri,
        dataset=result.dataset.digest,
        at=recorded_time(result),
        figures={
            found.metric: Figure(base=round(found.baseline_mean, _DIGITS), adapter=round(found.mean, _DIGITS))
            for found in result.comparisons
            if found.subject == subject
        },
        base=result.base_model or result.baseline.component,
        decoding=result.decoding.text,
    )
    problems = [f"evaluation.{key}: {problem}" for key, problem in problems_of_record(record)]
    if problems:
        raise CommandError("\n".join(problems))
    return record


def recorded_time(result: EvaluationResult) -> str:
    """Return when a result was made, as a manifest records it."""
    return datetime.fromisoformat(result.made_at).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
