"""BERTScore: how near the tokens of answer and reference are to each other, as vectors of a BERT."""

from collections.abc import Sequence

from adapters_cli.evaluation.metrics.bert_model import BertModel, Vectors
from adapters_cli.evaluation.metrics.metric import Metric, Pair, without_words
from adapters_cli.evaluation.result import MetricFacts

_PAIRS_AT_ONCE = 256
_MOST_KEPT_NUMBERS = 32_000_000
"""128 MB of references' vectors, which every subject of an evaluation needs again."""


class BertScore(Metric):
    """The F1 of bert-score, without weights by frequency and without its rescaling.

    Two answers about the same thing are near each other though one is wrong, so that differences are smaller
    than those of ROUGE.
    """

    def __init__(self, model: BertModel, *, model_title: str) -> None:
        """Score by a model's vectors. `model_title` names its weights."""
        self.facts = MetricFacts(
            name="bert_score",
            title=f"BERTScore F1 ({model_title}, {model.layers} layers, not rescaled)",
            lowest=-1,
        )
        self._model = model
        self._references: dict[str, Vectors] = {}

    def scores(self, pairs: Sequence[Pair]) -> list[float]:
        """Return the F1 of each pair."""
        stripped = [(answer.strip(), reference.strip()) for answer, reference in pairs]
        # One text has vectors that differ by 1e-7 between two batches, and is still the same.
        found = {pair: without_words(*pair) for pair in stripped}
        others = [pair for pair in found if all(pair) and pair[0] != pair[1]]
        for start in range(0, len(others), _PAIRS_AT_ONCE):
            part = others[start : start + _PAIRS_AT_ONCE]
            answers = self._vectors(list(dict.fromkeys(answer for answer, _ in part)))
            references = self._reference_vectors(list(dict.fromkeys(reference for _, reference in part)))
            found |= {pair: _f1(answers[pair[0]], references[pair[1]]) for pair in part}
        return [found[pair] for pair in stripped]

    def _reference_vectors(self, texts: Sequence[str]) -> dict[str, Vectors]:
        if sum(vectors.size for vectors in self._references.values()) > _MOST_KEPT_NUMBERS:
            self._references.clear()
        self._references |= self._vectors([text for text in texts if text not in self._references])
        return self._references

    def _vectors(self, texts: Sequence[str]) -> dict[str, Vectors]:
        return dict(zip(texts, self._model.vectors(texts), strict=True))


def _f1(answer: Vectors, reference: Vectors) -> float:
    near = answer @ reference.T
    # As in bert-score, [CLS] and [SEP] count for nothing, but a token may be nearest to one of them.
    precision, recall = near.max(axis=1)[1:-1], near.max(axis=0)[1:-1]
    if not precision.size or not recall.size:
        return 0.0
    both = float(precision.mean()), float(recall.mean())
    return 2 * both[0] * both[1] / sum(both) if sum(both) else 0.0
