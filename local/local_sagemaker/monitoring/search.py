"""CloudWatch's search expressions: `{namespace,dimension} MetricName="x" dimension=part OR …`.

[V user guide, "CloudWatch search expression syntax"] A schema in braces takes the metrics with exactly its
dimensions. Every term has to match. A term in quotes is the whole value; another one matches if the value has
its tokens, which are divided by other characters than letters and digits, and where lower case turns to upper
case. `name=(a OR b)` takes either. `NOT` and nested parentheses are not known here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from local_sagemaker.monitoring.metric_reader import Metric

_SCHEMA = re.compile(r"\s*\{([^}]*)\}")
_VALUE = r'"[^"]*"|[^\s"()]+'
_TERM = re.compile(rf"(?:([\w:.]+)\s*=\s*)?(?:\(\s*((?:{_VALUE})(?:\s+OR\s+(?:{_VALUE}))*)\s*\)|({_VALUE}))")
_TOKEN = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


@dataclass(frozen=True)
class _Term:
    """What a value, or any value if name is empty, has to match: one of several texts."""

    name: str
    texts: Sequence[str]

    def matches(self, values: Mapping[str, str]) -> bool:
        among = [values[self.name]] if self.name in values else [] if self.name else list(values.values())
        return any(_matches(text, value) for text in self.texts for value in among)


@dataclass(frozen=True)
class Search:
    """One search."""

    namespace: str | None
    dimensions: frozenset[str] | None
    terms: Sequence[_Term]

    @classmethod
    def parse(cls, text: str) -> "Search":
        """A search from its text; ValueError if it is not one."""
        schema = _SCHEMA.match(text)
        names = [part.strip().strip('"') for part in schema[1].split(",")] if schema else []
        rest, terms = text[schema.end() :] if schema else text, []
        if re.search(r"\bNOT\b", rest):
            raise ValueError(f"not supported in a search: NOT, in {text!r}")
        for match in _TERM.finditer(re.sub(r"\bAND\b", " ", rest)):
            texts = re.split(r"\s+OR\s+", match[2]) if match[2] else [match[3]]
            terms.append(_Term((match[1] or "").rpartition(":")[2], texts))
        namespaces = [term.texts[0].strip('"') for term in terms if term.name == "Namespace"]
        return cls(
            names[0] if names else next(iter(namespaces), None),
            frozenset(names[1:]) if names else None,
            [term for term in terms if term.name != "Namespace"],
        )

    def takes(self, metric: Metric) -> bool:
        """Whether a metric of the namespace is found."""
        if self.dimensions is not None and metric.dimensions.keys() != self.dimensions:
            return False
        values = {**metric.dimensions, "MetricName": metric.name}
        return all(term.matches(values) for term in self.terms)


def _matches(text: str, value: str) -> bool:
    if text.startswith('"'):
        return text.strip('"') == value
    return _tokens(text) <= _tokens(value)


def _tokens(text: str) -> set[str]:
    return {token.lower() for token in _TOKEN.findall(text)}
