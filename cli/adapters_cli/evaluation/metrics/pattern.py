"""A regular expression that answers should match."""

import re
from collections.abc import Sequence

from adapters_cli.evaluation.metrics.metric import Metric, Pair
from adapters_cli.evaluation.result import MetricFacts


class Pattern(Metric):
    """1 for an answer in which a regular expression is found, else 0. The reference does not matter."""

    def __init__(self, pattern: str, *, name: str) -> None:
        """Compile the pattern; raise ValueError if it is none."""
        try:
            self._pattern = re.compile(pattern)
        except re.error as error:
            raise ValueError(f"'regex' should be a regular expression ({error}), got {pattern!r}") from None
        self.facts = MetricFacts(name=name, title=f"Answers with {pattern} (Python's re.search)")

    def scores(self, pairs: Sequence[Pair]) -> list[float]:
        """Return 1 or 0 for each pair."""
        return [float(self._pattern.search(answer) is not None) for answer, _ in pairs]
