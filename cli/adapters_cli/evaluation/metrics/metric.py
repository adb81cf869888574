"""What every metric can do, the words that metrics compare, and the metric that needs no library."""

import unicodedata
from collections.abc import Sequence
from functools import cache
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


_WITHOUT_SPACES = (
    *("BOPOMOFO", "CJK", "HENTAIGANA", "HIRAGANA", "IDEOGRAPHIC", "KATAKANA", "KATAKANA-HIRAGANA"),
    *("KHMER", "LAO", "MYANMAR", "NEW", "TAI", "THAI"),
)
"""First words of the Unicode names of characters in scripts that put no space between words.

`NEW` is New Tai Lue.
"""
_ZERO_WIDTH_SPACE = "\u200b"


def words_of(text: str) -> list[str]:
    """Return the words of a text, for comparison: compatible forms (NFKC) and cases of letters are equal.

    - A word is letters, digits and the marks on them. Everything else separates words, as in rouge-score.
    - In a script without spaces between words each character with its marks is a word. So is each symbol
      such as an emoji.
    - On ASCII text the words are those of rouge-score without stemmer.
    """
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    words: list[str] = []
    before = "separator"
    for character in text:
        kind = _kind(character)
        if kind == "joiner":
            continue
        if kind == "mark":
            # On a letter or a word of its own. A mark on nothing is no word: NFKC makes one of a cedilla.
            kind = before
            joined = before != "separator"
        else:
            joined = kind == before == "letter"
        if joined:
            words[-1] += character
        elif kind != "separator":
            words.append(character)
        before = kind
    return words


@cache
def _kind(character: str) -> str:
    category = unicodedata.category(character)
    if category[0] == "M":
        return "mark"
    if category == "Cf" and character != _ZERO_WIDTH_SPACE:
        return "joiner"  # soft hyphens, direction marks, and joiners inside words of Persian and Hindi
    if category == "So":
        return "alone"
    if category[0] not in "LN":
        return "separator"
    script, _, _ = unicodedata.name(character, "").partition(" ")
    return "alone" if script in _WITHOUT_SPACES else "letter"


class ExactMatch(Metric):
    """1 for an answer that equals its reference but for white space around it, else 0."""

    facts = MetricFacts(name="exact_match", title="Exact match (white space around it ignored)")

    def scores(self, pairs: Sequence[Pair]) -> list[float]:
        """Return 1 or 0 for each pair."""
        return [float(answer.strip() == reference.strip()) for answer, reference in pairs]
