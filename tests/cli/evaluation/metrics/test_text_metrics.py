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


def test_an_empty_answer_is_right_if_the_reference_is_empty(metric: Metric) -> None:
    pairs = [("", ""), (" \n", ""), ("", "\t")]
    assert metric.scores(pairs) == [1, 1, 1]


def test_an_empty_answer_to_anything_else_is_wrong(metric: Metric) -> None:
    assert metric.scores([("", "the cat"), ("the cat", ""), (" ", "the")]) == [0, 0, 0]


def test_no_pairs_have_no_scores(metric: Metric) -> None:
    assert metric.scores([]) == []


@pytest.mark.parametrize(
    "text",
    [
        "the cat sat on the mat",
        "Заказ доставили вчера вечером",
        "वह हिन्दी बोलती है",
        "我的订单今天早上到了",
        "وصل الطلب صباح اليوم",
        "สินค้าที่สั่งมาถึง",
    ],
)
def test_an_identical_text_of_any_script_has_the_best_score(metric: Metric, text: str) -> None:
    # METEOR's penalty is half of the share of runs, cubed: one run of n words.
    least = 0.98 if metric.facts.name == "meteor" else 1
    assert least <= metric.scores([(text, text)])[0] <= 1


def test_texts_without_a_word_are_compared_as_they_are(metric: Metric) -> None:
    assert metric.scores([("...", "..."), ("?!", " ?!\n")]) == [1, 1]


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


def test_stems_are_alike_for_meteor_alone() -> None:
    pairs = [("billing", "bill")]
    rouge, meteor = metrics_of(["rouge1", "meteor"])
    assert rouge.scores(pairs) == [0]
    assert meteor.scores(pairs) == [0.5]


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
