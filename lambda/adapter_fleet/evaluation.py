"""Evaluations of versions: what a manifest records of one, and the bar that it should reach."""

import math
import operator
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from adapter_fleet.common.bounded_text import short_repr
from adapter_fleet.common.naming import DIGEST, is_same_model, known_or_meant
from adapter_fleet.common.s3_uri import SCHEME, bucket_and_key

MAX_METRICS = 20
_MAX_METRIC_CHARACTERS = 100
_MAX_URI_CHARACTERS = 1024
_MAX_TEXT_CHARACTERS = 256
_RESULT = re.compile(rf".*/sha256-(?P<digest>{DIGEST.pattern})\.evaluations/[^/]+\.json")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """The mean score of one metric.

    base:
        That of the base model.
    adapter:
        That of the adapter.
    """

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


_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
# The metric's name may have any of these signs, as a regular expression is a metric. The bar has none, so
# that only one reading fits.
_FORM = re.compile(
    rf"\s*(?P<metric>\S.*?)\s*(?<![<>=!])(?P<comparison>>=|<=|>|<)\s*"
    rf"(?:(?P<base>base)(?:\s*(?P<sign>[-+*])\s*)?)?(?P<number>{_NUMBER})?\s*(?P<percent>%)?\s*",
    re.ASCII,
)
_COMPARISONS = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}
_WORDS = {">=": "at least", ">": "more than", "<=": "at most", "<": "less than"}
_EXAMPLES = "'exact_match >= 0.9' or 'rougeL >= base + 20%'"
_PRECISION = 1e-6
"""Means that differ by less are equal: 0.1 + 0.2 reaches a bar of 0.3, and no metric is more precise."""


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """A metric's mean beside a number, or beside the mean of the base model.

    Example:
        >>> requirement = Requirement.parse("rougeL >= base + 20%")
        >>> requirement.judge({"rougeL": (0.5, 0.7)}, subject="triage")
        (True, "rougeL of 'triage' is 0.7 and should be at least 0.6 (base 0.5 + 20%)")

    comparison:
        One of `>=`, `>`, `<=` and `<`.
    sign:
        How the number changes the base model's mean: `+`, `-` or `*`. None if the number stands alone.
    percent:
        True if the number is a percentage: of the base model's mean after `+` and `-`, else of 1.
    """

    metric: str
    comparison: str
    number: float
    sign: str | None = None
    percent: bool = False

    @classmethod
    def parse(cls, text: str) -> "Requirement":
        """Read `METRIC COMPARISON NUMBER`, `METRIC COMPARISON base`, or `base` changed by a number.

        Any metric's name is accepted: `check_metric` compares it with those of an evaluation.
        """
        found = _FORM.fullmatch(text)
        if found is None:
            raise _form_error(text)
        base, sign, number = found["base"], found["sign"], found["number"]
        percent = found["percent"] is not None
        if base is None:
            well_formed = number is not None
        elif number is None:
            well_formed = sign is None and not percent
        else:
            well_formed = sign is not None
        if not well_formed or not math.isfinite(value := float(number or 0)):
            raise _form_error(text)
        return cls(
            metric=found["metric"],
            comparison=found["comparison"],
            number=value,
            sign="+" if base and sign is None else sign,
            percent=percent,
        )

    def __str__(self) -> str:
        """Return the requirement as `parse` reads it."""
        return f"{self.metric} {self.comparison} {self._bar_text('base')}"

    def check_metric(self, known: Iterable[str]) -> None:
        """Raise ValueError, with the closest name, unless the metric is one of the known."""
        known = list(known)
        if self.metric not in known:
            hint = known_or_meant(self.metric, known)
            raise ValueError(f"'{self}' should name a metric of the evaluation ({hint}), got {self.metric!r}")

    def check_range(self, lowest: float, highest: float) -> None:
        """Raise ValueError for a number that no score in this range meets, such as 90 where 1 is the best."""
        if self.sign is not None and (self.percent or self.sign == "*"):
            return
        number = self.number / 100 if self.percent else self.number
        change = -number if self.sign == "-" else number
        if self.comparison in (">=", ">"):
            met = (number if self.sign is None else lowest + change) <= highest
        else:
            met = (number if self.sign is None else highest + change) >= lowest
        if not met:
            meant = f"; did you mean {self.number:g} %?" if not self.percent and 1 < number <= 100 else ""
            raise ValueError(
                f"'{self}' should have a number that {self.metric} reaches ({lowest:g} to {highest:g}), got"
                f" {self.number:g}{meant}"
            )

    def judge(
        self, figures: Mapping[str, tuple[float, float]], *, subject: str = "the adapter"
    ) -> tuple[bool, str]:
        """Return whether the subject meets the requirement, and a sentence with the figures.

        `figures` has the mean of the base model and of the subject by metric. A metric without figures is
        not met. A gain relative to a mean of 0 cannot be shown, and is not met.
        """
        base, mean = figures.get(self.metric, (math.nan, math.nan))
        if not math.isfinite(mean) or (self.sign and not math.isfinite(base)):
            return False, f"{self.metric} of {subject!r} has no figure: no item has a score of both"
        bar = self._bar(base)
        equal = abs(mean - bar) <= _PRECISION
        of_nothing = self._is_share and abs(base) <= _PRECISION and (equal or self._asks_gain)
        compare = _COMPARISONS[self.comparison]
        met = not of_nothing and compare(0.0 if equal else mean - bar, 0.0)
        share = f" ({self._bar_text(f'base {base:.4g}')})" if self.sign else ""
        nothing = "; a change relative to 0 cannot be shown, so give a number" if of_nothing else ""
        return met, (
            f"{self.metric} of {subject!r} is {_shown(mean, bar)} and should be {_WORDS[self.comparison]}"
            f" {_shown(bar, mean)}{share}{nothing}"
        )

    @property
    def _is_share(self) -> bool:
        return self.sign is not None and (self.percent or self.sign == "*") and self._bar(1.0) != 1.0

    @property
    def _asks_gain(self) -> bool:
        return (self._bar(1.0) > 1.0) == (self.comparison in (">=", ">"))

    def _bar(self, base: float) -> float:
        number = self.number / 100 if self.percent else self.number
        if self.sign is None:
            return number
        if self.sign == "*":
            return base * number
        # Of the mean's size: 20 % above -0.5 is -0.4.
        change = abs(base) * number if self.percent else number
        return base + change if self.sign == "+" else base - change

    def _bar_text(self, base: str) -> str:
        number = f"{self.number!r}".removesuffix(".0") + ("%" if self.percent else "")
        if self.sign is None:
            return number
        return base if (self.sign, number) == ("+", "0") else f"{base} {self.sign} {number}"


def _shown(value: float, other: float) -> str:
    """Return a figure with enough digits to tell it from the other one."""
    digits = next((digits for digits in range(4, 17) if f"{value:.{digits}g}" != f"{other:.{digits}g}"), 4)
    return f"{value:.{digits}g}"


def _form_error(text: str) -> ValueError:
    return ValueError(
        "a requirement should be a metric, one of >=, >, <= and <, and a number, 'base' or 'base' with"
        f" +, - or * and a number, such as {_EXAMPLES}, got {text!r}"
    )


@dataclass(frozen=True, kw_only=True)
class EvaluationBar:
    """What the recorded evaluation of a version should reach before the fleet takes it.

    requirements:
        As `Requirement.parse` reads them.
    dataset:
        Digest of the items, in hexadecimal; None for any.
    exempt:
        Names of adapters that need no evaluation.
    bases:
        The names of the base model and of its component, one of which a record should have; empty for any.
    """

    requirements: tuple[str, ...]
    dataset: str | None = None
    exempt: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.requirements:
            raise ValueError("'evaluation' should have one requirement or more, got none")
        if self.dataset is not None and not DIGEST.fullmatch(self.dataset):
            raise ValueError(f"'dataset' should be 'sha256:' and 64 hexadecimal digits, got {self.dataset!r}")
        self.parsed  # noqa: B018 - a wrong requirement is an error at once

    @cached_property
    def parsed(self) -> list[Requirement]:
        """The requirements. Raises ValueError for a wrong one."""
        return [Requirement.parse(text) for text in self.requirements]

    def is_exempt(self, adapter: str) -> bool:
        """Return True if an adapter needs no evaluation."""
        return adapter.casefold() in {name.casefold() for name in self.exempt}

    def problems(self, record: EvaluationRecord | None, *, adapter: str) -> Iterator[tuple[str, str]]:
        """Find why a version does not reach the bar: the key of its record, or '', and the problem."""
        if record is None:
            asked = " and ".join(f"'{requirement}'" for requirement in self.parsed)
            yield "", f"should be recorded, as the fleet requires {asked}, got nothing"
            return
        if record.base is None or record.decoding is None:
            again = "evaluate this version again, as its record is of an earlier release"
            yield "base", f"should be recorded, with the decoding; {again}, got nothing"
        elif self.bases and not any(is_same_model(record.base, base) for base in self.bases):
            known = " or ".join(map(repr, self.bases))
            yield "base", f"should be {known}; evaluate this version beside it, got {record.base!r}"
        if self.dataset is not None and record.dataset != self.dataset:
            yield "dataset", f"should be sha256:{self.dataset}, got sha256:{record.dataset}"
        for requirement in self.parsed:
            met, reason = requirement.judge(record.means, subject=adapter)
            if not met:
                yield "figures", reason
