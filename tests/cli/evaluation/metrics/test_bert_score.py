"""Which models are read, and how texts are cut; `test_text_metrics.py` has the figures of a real one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters_cli.evaluation.metrics.bert_score import BertModel
from tests.cli.evaluation.metrics.tiny_bert import POSITIONS, random_weights, write_bert

TEXTS = ["the cat sat on the mat .", "dogs", "", "the the the the the the"]


@pytest.mark.slow
def test_vectors_of_a_text_do_not_depend_on_the_others(tmp_path: Path) -> None:
    model = BertModel(write_bert(tmp_path))
    alone = [model.vectors([text])[0] for text in TEXTS]
    many = model.vectors(TEXTS * 400)
    assert len(many) == 1600
    for place, vectors in enumerate(many):
        assert vectors == pytest.approx(alone[place % len(TEXTS)], abs=2e-6)


@pytest.mark.parametrize(
    ("settings", "tokens"),
    [(None, POSITIONS), ({"model_max_length": 6}, 6), ({"model_max_length": 1e30}, 12)],
)
def test_a_long_text_is_cut_where_the_model_ends(
    tmp_path: Path, settings: dict[str, Any] | None, tokens: int
) -> None:
    (vectors,) = BertModel(write_bert(tmp_path, settings=settings)).vectors(["cat " * 50])
    assert len(vectors) == tokens


def test_weights_of_16_bits_and_an_encoder_behind_a_prefix_are_read(tmp_path: Path) -> None:
    plain = random_weights()
    head = {f"bert.{name}": weight for name, weight in plain.items()} | {"cls.bias": np.zeros(1, np.float32)}
    halves: Any = {name: weight.astype(np.float16) for name, weight in plain.items()}
    whole, *others = (
        BertModel(write_bert(tmp_path / f"{number}", weights)).vectors(TEXTS[:1])[0]
        for number, weights in enumerate((plain, head, halves))
    )
    assert others[0].tolist() == whole.tolist()
    assert others[1] == pytest.approx(whole, abs=0.02)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"model_type": "roberta"}, "'model_type' should be bert, got 'roberta'"),
        ({"hidden_act": "relu"}, "'hidden_act' should be gelu, got 'relu'"),
        ({"position_embedding_type": "relative_key"}, "'position_embedding_type' should be absolute"),
        ({"num_hidden_layers": "many"}, "invalid literal for int"),
        ({"num_hidden_layers": 3}, "no 'encoder.layer.2.attention.self.query.weight'"),
    ],
)
def test_another_model_is_refused(tmp_path: Path, config: dict[str, Any], reason: str) -> None:
    write_bert(tmp_path, **config)
    with pytest.raises(ValueError, match="'bert_score' should have a BERT, got ") as refused:
        BertModel(tmp_path)
    assert reason in str(refused.value)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_file_that_is_damaged_or_missing_is_refused(tmp_path: Path, name: str) -> None:
    write_bert(tmp_path)
    (tmp_path / name).write_text("{")
    with pytest.raises(ValueError, match="'bert_score' should have a BERT, got "):
        BertModel(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ValueError, match=rf"got {tmp_path} without {name}"):
        BertModel(tmp_path)
