"""CloudWatch's search expressions: `{namespace,dimension} MetricName="x" dimension="y"`.

[V user guide, "CloudWatch search expression syntax"] A schema in braces takes the metrics with exactly its
dimensions. Every term has to match: a text in quotes is the whole value of the metric's name or of a
dimension. Terms without quotes, OR and NOT are not known here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from local_sagemaker.monitoring.metric_reader import Metric

_SEARCH = re.compile(r'\s*\{([^}]*)\}((?:\s*\w+\s*=\s*"[^"]*")*)\s*')
_TERM = re.compile(r'(\w+)\s*=\s*"([^"]*)"')


@dataclass(frozen=True)
class Search:
    """One search: a schema, and the whole values of the metric's name and of dimensions."""

    namespace: str
    dimensions: frozenset[str]
    terms: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> "Search":
        """A search from its text; ValueError if it is not one."""
        match = _SEARCH.fullmatch(text)
        if match is None:
            raise ValueError(f"not supported in a search: {text!r}")
        namespace, *dimensions = [part.strip().strip('"') for part in match[1].split(",")]
        return cls(namespace, frozenset(dimensions), dict(_TERM.findall(match[2])))

    def takes(self, metric: Metric) -> bool:
        """Whether a metric of the namespace is found."""
        values = {**metric.dimensions, "MetricName": metric.name}
        return metric.dimensions.keys() == self.dimensions and self.terms.items() <= values.items()
