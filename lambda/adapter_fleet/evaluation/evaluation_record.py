"""What a manifest records of an evaluation: where its result is, and the figures that a gate looks at."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from adapter_fleet.common.archive_names import DIGEST
from adapter_fleet.common.bounded_text import short_repr
from adapter_fleet.common.s3_uri import SCHEME, bucket_and_key

MAX_METRICS = 20
_MAX_METRIC_CHARACTERS = 100
_MAX_URI_CHARACTERS = 1024
_MAX_TEXT_CHARACTERS = 256
_RESULT = re.compile(rf".*/sha256-(?P<digest>{DIGEST.pattern})\.evaluations/[^/]+\.json")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """The mean score of one metric: that of the base model, and that of the adapter."""

    base: float
    adapter: float


@dataclass(frozen=True, kw_only=True)
class EvaluationRecord:
    """The evaluation of one version of an adapter beside its base model.

    result:
        URI of the stored result. Its folder is named by the version's identity.
    dataset:
        SHA-256 of the items that were asked, in hexadecimal.
    at:
        When the evaluation was made, as in `2026-03-01T09:30:00Z`.
    figures:
        Mean scores by metric.
    base:
        The base model that was asked: its name, or its component's where the name is unknown.
    decoding:
        How the answers were generated, such as `max_tokens=64, temperature=0`.

    Records of earlier releases have neither base nor decoding. They stay readable, and reach no bar.
    """

    result: str
    dataset: str
    at: str
    figures: Mapping[str, Figure]
    base: str | None = None
    decoding: str | None = None

    @property
    def identity(self) -> str | None:
        """Identity of the evaluated version, in hexadecimal; None if `result` does not have it."""
        found = _RESULT.fullmatch(self.result)
        return found and found["digest"]

    @property
    def means(self) -> dict[str, tuple[float, float]]:
        """The mean scores by metric: the base model's and the adapter's."""
        return {metric: (figure.base, figure.adapter) for metric, figure in self.figures.items()}


def evaluations_folder(artifact_uri: str, identity: str) -> str:
    """Return the prefix of a version's stored results: beside its archive, named by its identity."""
    return f"{artifact_uri.rpartition('/')[0]}/sha256-{identity}.evaluations/"


def problems_of_record(record: EvaluationRecord) -> Iterator[tuple[str, str]]:
    """Find what is wrong with a record: the key, and the problem of its value."""
    if problem := _problem_of_result(record.result):
        yield "result", problem
    if not DIGEST.fullmatch(record.dataset):
        yield "dataset", f"should be 64 hexadecimal digits, got {short_repr(record.dataset)}"
    if not _is_moment(record.at):
        yield "at", f"should be a time such as '2026-03-01T09:30:00Z', got {short_repr(record.at)}"
    for key, text in (("base", record.base), ("decoding", record.decoding)):
        if text is not None and not (0 < len(text) <= _MAX_TEXT_CHARACTERS and text.isprintable()):
            most = f"should have 1 to {_MAX_TEXT_CHARACTERS} printable characters"
            yield key, f"{most}, got {short_repr(text)}"
    for problem in problems_of_figures(record.figures):
        yield "figures", problem


def problems_of_figures(figures: Mapping[str, Figure]) -> Iterator[str]:
    """Find why a manifest cannot have these figures."""
    if not 0 < len(figures) <= MAX_METRICS:
        yield f"should have 1 to {MAX_METRICS} metrics, got {len(figures)}"
    for metric, figure in figures.items():
        if not 0 < len(metric) <= _MAX_METRIC_CHARACTERS or not metric.isprintable():
            name = short_repr(metric)
            yield f"a metric should have 1 to {_MAX_METRIC_CHARACTERS} characters, got {name}"
        elif not (math.isfinite(figure.base) and math.isfinite(figure.adapter)):
            yield f"should be finite numbers, got {figure.base} and {figure.adapter} for {metric!r}"


def _problem_of_result(uri: str) -> str | None:
    bucket, _ = bucket_and_key(uri)
    if len(uri) > _MAX_URI_CHARACTERS:
        return f"should have at most {_MAX_URI_CHARACTERS} characters, got {len(uri)}"
    if not uri.startswith(SCHEME) or not bucket or not uri.isprintable() or not _RESULT.fullmatch(uri):
        form = "s3://<bucket>/<prefix>/sha256-<identity>.evaluations/<name>.json"
        return f"should be {form!r}, got {short_repr(uri)}"
    return None


def _is_moment(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return _MOMENT.fullmatch(text) is not None
