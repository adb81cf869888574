"""The result of an evaluation as it is kept beside an adapter's archive: figures and scores, and no texts.

Prompts, references and answers may be customers' texts, and everybody who reads archives reads this too.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from adapter_fleet.common.serialization import converter
from adapter_fleet.evaluation.evaluation_record import EvaluationRecord, Figure, problems_of_record
from adapters_cli.evaluation.result import (
    Comparison,
    DatasetFacts,
    Decoding,
    EvaluationResult,
    Latency,
    MetricFacts,
    RequirementOutcome,
    Subject,
)
from adapters_cli.output.errors import CommandError

_FORMAT = 1
_DIGITS = 9
"""Decimal places of the figures in a manifest: so many that a fleet judges as `adapters publish` does.

A requirement takes means as equal up to 1e-6, and may multiply the base model's.
"""


@dataclass(frozen=True, kw_only=True)
class PairedScores:
    """The scores of one metric, in the order of the items. None where the answer was an error."""

    baseline: tuple[float | None, ...]
    subject: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class StoredEvaluation:
    """What an evaluation says of one subject.

    items:
        Ids of the items that were asked.
    scores:
        By metric.
    """

    made_at: str
    product_version: str
    endpoint: str
    dataset: DatasetFacts
    decoding: Decoding
    seed: int
    resamples: int
    baseline: Subject
    subject: Subject
    metrics: tuple[MetricFacts, ...]
    comparisons: tuple[Comparison, ...]
    latency: tuple[Latency, ...]
    items: tuple[str, ...]
    scores: Mapping[str, PairedScores]
    engine: str | None = None
    requirements: tuple[RequirementOutcome, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    format: int = _FORMAT

    @classmethod
    def of(cls, result: EvaluationResult, subject: str) -> "StoredEvaluation":
        """Return what a result says of the subject of this name."""
        asked = next(found for found in result.subjects if found.name == subject)
        names = (result.baseline.name, subject)
        return cls(
            made_at=result.made_at,
            product_version=result.product_version,
            endpoint=result.endpoint,
            engine=result.engine,
            dataset=result.dataset,
            decoding=result.decoding,
            seed=result.seed,
            resamples=result.resamples,
            baseline=result.baseline,
            subject=asked,
            metrics=tuple(result.metrics),
            comparisons=tuple(found for found in result.comparisons if found.subject == subject),
            latency=tuple(found for found in result.latency if found.subject in names),
            requirements=tuple(found for found in result.requirements if found.subject == subject),
            versions=result.versions,
            items=tuple(item.id for item in result.items),
            scores={
                metric.name: PairedScores(
                    baseline=tuple(
                        item.scores.get(result.baseline.name, {}).get(metric.name) for item in result.items
                    ),
                    subject=tuple(item.scores.get(subject, {}).get(metric.name) for item in result.items),
                )
                for metric in result.metrics
            },
        )

    @property
    def passed(self) -> bool | None:
        """Whether every requirement was met; None if there was none."""
        return all(outcome.met for outcome in self.requirements) if self.requirements else None

    def record(self, uri: str, *, base: str) -> EvaluationRecord:
        """Return what a manifest records of this evaluation beside a base model, which is stored at `uri`.

        Raises CommandError if a manifest cannot have it, as with too many metrics.
        """
        record = EvaluationRecord(
            result=uri,
            dataset=self.dataset.digest,
            at=datetime.fromisoformat(self.made_at).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            figures={
                found.metric: Figure(
                    base=round(found.baseline_mean, _DIGITS), adapter=round(found.mean, _DIGITS)
                )
                for found in self.comparisons
            },
            base=base,
            decoding=self.decoding.text,
        )
        problems = [f"evaluation.{key}: {problem}" for key, problem in problems_of_record(record)]
        if problems:
            raise CommandError("\n".join(problems))
        return record

    def to_json(self) -> bytes:
        """Return the evaluation as JSON."""
        document = {"format": _FORMAT, **converter.unstructure(self)}
        return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "StoredEvaluation":
        """Read the JSON of `to_json`. Raises ValueError for anything else."""
        try:
            document = json.loads(text)
            if document["format"] != _FORMAT:
                raise ValueError(f"should have the format {_FORMAT}, got {document['format']!r}")
            read = converter.structure(document, cls)
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"is no stored result: {type(error).__name__}: {error}") from None
        count = len(read.items)
        if any(len(pair.baseline) != count or len(pair.subject) != count for pair in read.scores.values()):
            raise ValueError("is no stored result: it should have a score for each item")
        return read
