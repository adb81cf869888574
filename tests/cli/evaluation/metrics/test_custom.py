from pathlib import Path

import pytest

from adapters_cli.evaluation.metrics.choose import metrics_of
from adapters_cli.evaluation.metrics.metric import Metric
from adapters_cli.output.errors import CommandError

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
    assert (facts.higher_is_better, facts.lowest, facts.highest) == (False, 0, 10)


def test_a_truth_value_is_one_or_zero(tmp_path: Path) -> None:
    metric = custom(tmp_path, "same")
    assert metric.scores([("a", "a"), ("a", "b")]) == [1, 0]
    assert metric.facts.title == "same (own.py)"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("1 / len(answer)", "failed on pair 2: ZeroDivisionError: division by zero"),
        ("'much'", "should return a number, got 'much' for pair 1"),
        ("float('nan')", "should return a number, got nan"),
        ("float('inf')", "should return a number, got inf"),
    ],
)
def test_a_function_that_gives_no_finite_number_is_an_error(tmp_path: Path, value: str, reason: str) -> None:
    metric = custom(tmp_path, "f", f"def f(answer, reference): return {value}")
    with pytest.raises(CommandError, match=reason):
        metric.scores([("a", "b"), ("", "")])


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
