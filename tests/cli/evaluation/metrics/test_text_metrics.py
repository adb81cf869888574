"""What ROUGE, METEOR and BERTScore have in common, and their edges."""

import random
from pathlib import Path

import pytest

from adapters_cli.evaluation.metrics import bert_score as module
from adapters_cli.evaluation.metrics.bert_model import BertModel
from adapters_cli.evaluation.metrics.bert_score import BertScore
from adapters_cli.evaluation.metrics.choose import metrics_of
from adapters_cli.evaluation.metrics.metric import Metric
from tests.cli.evaluation.metrics.tiny_bert import write_bert

NAMES = ["rouge1", "rouge2", "rougeL", "meteor", "bert_score"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(params=NAMES)
def metric(request: pytest.FixtureRequest, bert: Path) -> Metric:
    name = f"bert_score:{bert}" if request.param == "bert_score" else request.param
    (made,) = metrics_of([name])
    return made


def test_texts_without_a_word_are_compared_as_they_are(metric: Metric) -> None:
    assert metric.scores([("", ""), (" \n", ""), ("", "\t"), ("...", "..."), ("?!", " ?!\n")]) == [1] * 5
    assert metric.scores([("", "the cat"), ("the cat", ""), (" ", "the")]) == [0] * 3


def test_a_score_depends_on_its_pair_alone(metric: Metric) -> None:
    words = ["the", "cat", "dog", "sat", "on", "mat"]
    source = random.Random(1)
    pairs = [
        tuple(" ".join(source.choices(words, k=source.randrange(7))) for _ in range(2)) for _ in range(60)
    ]
    whole = metric.scores(pairs)  # type: ignore[arg-type]
    one_by_one = [metric.scores([pair])[0] for pair in pairs]  # type: ignore[list-item]
    assert whole == pytest.approx(one_by_one, abs=1e-5)
    assert all(metric.facts.lowest <= score <= metric.facts.highest + 1e-6 for score in whole)


def test_bert_score_in_parts_is_the_same_as_at_once(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = BertModel(bert)
    pairs = [(f"the cat sat {'mat ' * (n % 5)}", f"dogs on {'the ' * (n % 7)}") for n in range(70)]
    whole = BertScore(model, model_title="tiny").scores(pairs)
    monkeypatch.setattr(module, "_PAIRS_AT_ONCE", 3)
    monkeypatch.setattr(module, "_MOST_KEPT_NUMBERS", 100)
    assert BertScore(model, model_title="tiny").scores(pairs) == pytest.approx(whole, abs=1e-5)


def test_bert_score_computes_a_reference_once_for_all_subjects(
    bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = BertModel(bert)
    computed: list[str] = []
    vectors = model.vectors

    def counted(texts: list[str]) -> object:
        computed.extend(texts)
        return vectors(texts)

    monkeypatch.setattr(model, "vectors", counted)
    metric = BertScore(model, model_title="tiny")
    for answer in ("cat", "dog"):
        metric.scores([(answer, "the mat"), (f"{answer} .", "the mat"), ("same", "same")])
    assert computed.count("the mat") == 1
    assert "same" not in computed
