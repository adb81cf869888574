"""Exact match: the answer is the reference."""

from collections.abc import Sequence

from adapters_cli.evaluation.metrics.metric import Metric, Pair
from adapters_cli.evaluation.result import MetricFacts


class ExactMatch(Metric):
    """1 for an answer that equals its reference but for white space around it, else 0."""

    facts = MetricFacts(name="exact_match", title="Exact match (white space around it ignored)")

    def scores(self, pairs: Sequence[Pair]) -> list[float]:
        """Return 1 or 0 for each pair."""
        return [float(answer.strip() == reference.strip()) for answer, reference in pairs]
