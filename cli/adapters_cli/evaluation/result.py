"""The result of an evaluation: what was asked, what each subject answered, and what the scores say.

Everything that a report shows is in it. Nothing here needs NumPy, so that every command can read a result.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cattrs import Converter
from cattrs.errors import ForbiddenExtraKeysError


@dataclass(frozen=True, kw_only=True)
class DatasetFacts:
    """Where the items come from.

    source:
        The path or name that the user gave.
    digest:
        SHA-256 of the items (id, prompt and reference of each, in order), in hexadecimal.
    items:
        How many there are.
    """

    source: str
    digest: str
    items: int


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How the answers were generated: the most likely token each time."""

    max_tokens: int
    stop: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The settings on one line, as a manifest records them."""
        stop = f", stop={json.dumps(self.stop)}" if self.stop else ""
        return f"max_tokens={self.max_tokens}, temperature=0{stop}"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A component that was asked.

    name:
        The user's name for it; the base model's is `base_name`.
    identity:
        SHA-256 of the adapter's canonical tar, in hexadecimal; None for the base model, or if unknown.
    """

    name: str
    component: str
    artifact: str | None = None
    identity: str | None = None


def base_name(adapters: Collection[str]) -> str:
    """Return the base model's name in reports: `base`, unless an adapter has this name."""
    return "base model" if "base" in adapters else "base"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a subject answered to an item. It has a text or an error.

    seconds:
        From the request to the whole answer.
    prompt_tokens, completion_tokens:
        As the container counts them; None where it does not.
    """

    text: str = ""
    error: str | None = None
    seconds: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(frozen=True, kw_only=True)
class EvaluatedItem:
    """An item of the dataset, with each subject's answer and its scores by metric.

    A score is missing where the answer is an error.
    """

    id: str
    prompt: str
    reference: str
    answers: Mapping[str, Answer]
    scores: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, kw_only=True)
class MetricFacts:
    """A metric as reports name it.

    name:
        In requirements and documents, such as `rougeL`.
    title:
        With what the figure rests on, such as `METEOR (stemmed, without WordNet)`.
    """

    name: str
    title: str
    higher_is_better: bool = True
    lowest: float = 0
    highest: float = 1


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A 95 % confidence interval of the paired bootstrap."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One metric of one subject beside the baseline, over the items that both answered.

    difference:
        Mean score of the subject less that of the baseline.
    relative, relative_interval:
        The difference as a share of the baseline's mean; None where that mean is 0.
    p_value, p_adjusted:
        Two-sided, of the paired permutation test; adjusted by Holm for all comparisons of the result.
    better, worse, equal:
        Items on which the subject's score is the better one, the worse one, or the same.
    warnings:
        Why the difference should not be believed yet; empty if there is no reason.
    """

    subject: str
    metric: str
    items: int
    baseline_mean: float
    mean: float
    difference: float
    interval: Interval
    relative: float | None
    relative_interval: Interval | None
    p_value: float
    p_adjusted: float
    better: int
    worse: int
    equal: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RequirementOutcome:
    """A requirement, the subject that it was held against, and why it is met or not.

    than:
        Identity of the version that the subject may not be worse than; None for a bar, or if it is unknown.
    """

    requirement: str
    subject: str
    met: bool
    reason: str
    than: str | None = None


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """One evaluation: a baseline and one or more subjects over the same items.

    engine:
        What generated the answers, as the container names itself; None if it does not.
    base_model:
        The name of the base model; None where it is unknown.
    seed, resamples:
        Of sampling, bootstrap and permutation test. The same run with the same seed gives the same figures.
    """

    made_at: str
    product_version: str
    endpoint: str
    engine: str | None
    dataset: DatasetFacts
    decoding: Decoding
    seed: int
    resamples: int
    baseline: Subject
    subjects: Sequence[Subject]
    metrics: Sequence[MetricFacts]
    comparisons: Sequence[Comparison]
    items: Sequence[EvaluatedItem]
    requirements: Sequence[RequirementOutcome] = ()
    base_model: str | None = None

    @property
    def passed(self) -> bool:
        """Return True if every requirement is met."""
        return all(outcome.met for outcome in self.requirements)

    def errors_of(self, name: str) -> int:
        """Return how many items a subject or the baseline answered with an error."""
        return sum(name in item.answers and item.answers[name].error is not None for item in self.items)


_FORMAT = "adapters-evaluation"
_VERSION = 2
"""Changes whenever a reader of the one before would misread the file."""

RESULT_FILE = "result.json"

_converter = Converter(forbid_extra_keys=True, detailed_validation=False)


def to_json(result: EvaluationResult) -> str:
    """Return a result as JSON."""
    document = {"format": _FORMAT, "version": _VERSION, **_converter.unstructure(result)}
    return json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)


def from_json(text: str | bytes, *, where: str) -> EvaluationResult:
    """Read a result. Raises ValueError for anything that `to_json` does not write."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{where}: it is no JSON: {error}") from None
    match document:
        case {"format": "adapters-evaluation", "version": version, **fields}:
            if version != _VERSION:
                raise ValueError(f"{where}: 'version' should be {_VERSION}, got {version!r}")
        case _:
            raise ValueError(f"{where}: it is no result of 'adapters evaluate'")
    try:
        result = _converter.structure(fields, EvaluationResult)
    except (ForbiddenExtraKeysError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{where}: it is no result of 'adapters evaluate': {error!r}") from None
    # cattrs takes 7 for "7". A file that is read must be written the same.
    if json.loads(json.dumps(_converter.unstructure(result))) != fields:
        raise ValueError(f"{where}: it is no result of 'adapters evaluate': a value has the wrong type")
    return result


def read_result(path: Path) -> EvaluationResult:
    """Read a result from a file. Raises OSError, and ValueError for a file that is none."""
    return from_json(path.read_bytes(), where=str(path))
