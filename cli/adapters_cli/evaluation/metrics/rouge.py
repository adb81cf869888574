"""ROUGE: the words, pairs of words or longest common subsequence that answer and reference share."""

from collections.abc import Sequence

from rouge_score import rouge_scorer
from rouge_score.tokenizers import Tokenizer

from adapters_cli.evaluation.metrics.metric import Metric, Pair, library, without_words, words_of
from adapters_cli.evaluation.result import MetricFacts

ROUGE_TITLES = {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L"}


class Rouge(Metric):
    """The F1 of one kind of ROUGE, by rouge-score with words in any script."""

    def __init__(self, name: str) -> None:
        """Score by `rouge1`, `rouge2` or `rougeL`."""
        self.facts = MetricFacts(
            name=name,
            title=f"{ROUGE_TITLES[name]} F1 ({library('rouge-score')}, words of any script, no stemmer)",
        )
        self._scorer = rouge_scorer.RougeScorer([name], tokenizer=_Words())

    def scores(self, pairs: Sequence[Pair]) -> list[float]:
        """Return the F1 of each pair."""
        return [self._score(answer, reference) for answer, reference in pairs]

    def _score(self, answer: str, reference: str) -> float:
        if not words_of(answer) and not words_of(reference):
            return without_words(answer, reference)
        return float(self._scorer.score(reference, answer)[self.facts.name].fmeasure)


class _Words(Tokenizer):  # type: ignore[misc]  # rouge-score has no types
    def tokenize(self, text: str) -> list[str]:
        return words_of(text)
