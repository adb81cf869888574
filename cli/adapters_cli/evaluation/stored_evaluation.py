"""The result of an evaluation as it is kept beside an adapter's archive: figures and scores, and no texts.

Prompts, references and answers may be customers' texts, and everybody who reads archives reads this too.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from adapter_fleet.common.serialization import converter
from adapter_fleet.evaluation.evaluation_record import EvaluationRecord, Figure, problems_of_record
from adapters_cli.evaluation.result import EvaluatedItem, EvaluationResult
from adapters_cli.output.errors import CommandError

_FORMAT = 1
_DIGITS = 9
"""Decimal places of the figures in a manifest: so many that a fleet judges as `adapters evaluate` does.

A requirement takes means as equal up to 1e-6, and may multiply the base model's.
"""

_Scores = dict[str, dict[str, tuple[float | None, ...]]]
"""Scores by metric, of `baseline` and `subject`, in the order of the items. None where the answer failed."""


def without_texts(result: EvaluationResult, subject: str) -> EvaluationResult:
    """Return what a result says of one subject, with the scores of its items alone."""
    names = (result.baseline.name, subject)
    return replace(
        result,
        subjects=tuple(found for found in result.subjects if found.name == subject),
        metrics=tuple(result.metrics),
        comparisons=tuple(found for found in result.comparisons if found.subject == subject),
        latency=tuple(found for found in result.latency if found.subject in names),
        requirements=tuple(found for found in result.requirements if found.subject == subject),
        items=[
            _without_texts(item.id, {name: item.scores[name] for name in names if name in item.scores})
            for item in result.items
        ],
    )


def _without_texts(item: str, scores: Mapping[str, Mapping[str, float]]) -> EvaluatedItem:
    return EvaluatedItem(id=item, prompt="", reference="", answers={}, scores=scores)


def to_stored(result: EvaluationResult, subject: str) -> bytes:
    """Return what a result says of one subject as JSON."""
    kept = without_texts(result, subject)
    document = converter.unstructure(replace(kept, items=[]))
    [document["subject"]] = document.pop("subjects")
    document["items"] = [item.id for item in kept.items]
    document["scores"] = {
        metric.name: {
            side: [item.scores.get(name, {}).get(metric.name) for item in kept.items]
            for side, name in (("baseline", kept.baseline.name), ("subject", subject))
        }
        for metric in kept.metrics
    }
    whole = {"format": _FORMAT, **document}
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def from_stored(text: bytes) -> EvaluationResult:
    """Read the JSON of `to_stored`. Raises ValueError for anything else."""
    try:
        document = json.loads(text)
        if document["format"] != _FORMAT:
            raise ValueError(f"should have the format {_FORMAT}, got {document['format']!r}")
        ids = converter.structure(document["items"], tuple[str, ...])
        scores = converter.structure(document["scores"], _Scores)
        whole = {**document, "subjects": [document["subject"]], "items": []}
        result = converter.structure(whole, EvaluationResult)
        columns = {
            (metric, side): scores[metric][side] for metric in scores for side in ("baseline", "subject")
        }
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"is no stored result: {type(error).__name__}: {error}") from None
    if any(len(column) != len(ids) for column in columns.values()):
        raise ValueError("is no stored result: it should have a score for each item")
    names = {"baseline": result.baseline.name, "subject": result.subjects[0].name}
    return replace(
        result,
        items=[
            _without_texts(item, {name: _scores_at(place, columns, side) for side, name in names.items()})
            for place, item in enumerate(ids)
        ],
    )


def _scores_at(
    place: int, columns: Mapping[tuple[str, str], tuple[float | None, ...]], side: str
) -> dict[str, float]:
    """Return the scores of one item by metric."""
    return {
        metric: score
        for (metric, of_side), column in columns.items()
        if of_side == side and (score := column[place]) is not None
    }


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
