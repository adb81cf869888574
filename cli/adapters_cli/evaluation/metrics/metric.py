"""What every metric can do."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Protocol

from adapters_cli.evaluation.result import MetricFacts

Pair = tuple[str, str]
"""An answer and its reference."""


class ScoreError(Exception):
    """A metric cannot score a pair. `pair` is its place in what was to be scored, from 0."""

    def __init__(self, message: str, *, pair: int) -> None:
        super().__init__(message)
        self.pair = pair


class Metric(Protocol):
    """Scores answers by their references. The score of a pair depends on nothing but the pair."""

    facts: MetricFacts

    def scores(self, pairs: Sequence[Pair]) -> list[float]:
        """Return the score of each pair. Raises ScoreError."""


def library(name: str) -> str:
    """Return a library's name and version, as the titles of metrics have it."""
    return f"{name} {version(name)}"


def without_words(answer: str, reference: str) -> float:
    """Return the score where neither text has a word: 1 for the same text, else 0.

    An empty answer is right if the reference is empty. The libraries give 0, or fail.
    """
    return float(answer.strip() == reference.strip())
