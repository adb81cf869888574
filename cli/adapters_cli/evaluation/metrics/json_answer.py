"""Answers in JSON: whether they are valid, and whether their fields are right."""

import json
from collections.abc import Mapping, Sequence
from typing import NoReturn

from adapter_fleet.common.bounded_text import short_repr
from adapters_cli.evaluation.metrics.metric import Metric, Pair
from adapters_cli.evaluation.result import MetricFacts

_INVALID = object()


class JsonValid(Metric):
    """1 for an answer that is JSON from its first to its last character, but for white space, else 0."""

    facts = MetricFacts(name="json_valid", title="Valid JSON (the whole answer)")

    def scores(self, pairs: Sequence[Pair]) -> list[float]:
        """Return 1 or 0 for each pair."""
        return [float(_parsed(answer) is not _INVALID) for answer, _ in pairs]


class JsonField(Metric):
    """1 for an answer whose field has the value of the reference's field, else 0.

    A reference that is no JSON object is the value itself, as a text.
    """

    def __init__(self, field: str, *, name: str) -> None:
        """Compare one field of the outermost object."""
        self.facts = MetricFacts(name=name, title=f"JSON field {field} (equal value)")
        self._field = field

    def check(self, references: Sequence[str]) -> None:
        """Raise ValueError if a reference is an object without the field."""
        for reference in references:
            self._expected(reference)

    def scores(self, pairs: Sequence[Pair]) -> list[float]:
        """Return 1 or 0 for each pair."""
        return [
            float(_equal(_object(answer).get(self._field, _INVALID), self._expected(reference)))
            for answer, reference in pairs
        ]

    def _expected(self, reference: str) -> object:
        parsed = _parsed(reference)
        if not isinstance(parsed, dict):
            return reference.strip()
        if self._field not in parsed:
            raise ValueError(
                f"'{self.facts.name}' should be a field of every reference, got {short_repr(reference)}"
            )
        return parsed[self._field]


class JsonFields(Metric):
    """The share of the reference's fields that the answer has with the same value.

    Fields that only the answer has do not count.
    """

    facts = MetricFacts(name="json_fields", title="JSON fields (share of the reference's with equal value)")

    def check(self, references: Sequence[str]) -> None:
        """Raise ValueError if a reference is not a JSON object with a field or more."""
        for reference in references:
            _fields(reference)

    def scores(self, pairs: Sequence[Pair]) -> list[float]:
        """Return the share for each pair."""
        return [self._score(_object(answer), _fields(reference)) for answer, reference in pairs]

    def _score(self, answer: Mapping[str, object], expected: Mapping[str, object]) -> float:
        right = sum(_equal(answer.get(field, _INVALID), value) for field, value in expected.items())
        return right / len(expected)


def _fields(reference: str) -> Mapping[str, object]:
    fields = _object(reference)
    if not fields:
        raise ValueError(
            f"'json_fields' should have a JSON object with fields as every reference, got"
            f" {short_repr(reference)}"
        )
    return fields


def _object(text: str) -> Mapping[str, object]:
    parsed = _parsed(text)
    return parsed if isinstance(parsed, dict) else {}


def _parsed(text: str) -> object:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return _INVALID


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _equal(one: object, other: object) -> bool:
    """Compare JSON values. In Python alone, True equals 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other
