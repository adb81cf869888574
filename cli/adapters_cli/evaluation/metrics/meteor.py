"""METEOR: the words that answer and reference share, also as stems, and in how many runs they stand."""

from collections.abc import Sequence

from nltk.stem.porter import PorterStemmer
from nltk.translate.meteor_score import single_meteor_score

from adapters_cli.evaluation.metrics.metric import Metric, Pair, library, without_words, words_of
from adapters_cli.evaluation.result import MetricFacts


class Meteor(Metric):
    """METEOR by NLTK, with words of any script and English stems, without synonyms.

    WordNet, which has the synonyms, would be a download. Two texts without a shared word and stem score 0.
    """

    def __init__(self) -> None:
        """Name the library's version."""
        self.facts = MetricFacts(
            name="meteor",
            title=f"METEOR ({library('nltk')}, words of any script, Porter stemmer, without WordNet)",
        )
        self._stemmer = PorterStemmer()

    def scores(self, pairs: Sequence[Pair]) -> list[float]:
        """Return the METEOR of each pair."""
        return [self._score(answer, reference) for answer, reference in pairs]

    def _score(self, answer: str, reference: str) -> float:
        said, right = words_of(answer), words_of(reference)
        if not said and not right:
            return without_words(answer, reference)
        if not said or not right:
            return 0.0
        return float(single_meteor_score(right, said, stemmer=self._stemmer, wordnet=_NoSynonyms()))


class _NoSynonyms:
    """Stands for WordNet."""

    def synsets(self, word: str) -> list[object]:  # noqa: ARG002 - WordNet's signature
        return []
