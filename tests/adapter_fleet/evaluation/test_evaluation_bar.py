"""The bar that a fleet sets to the evaluations of new versions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adapter_fleet.evaluation.evaluation_bar import EvaluationBar
from adapter_fleet.evaluation.evaluation_record import EvaluationRecord
from tests.adapter_fleet.evaluation.test_evaluation_record import RECORD

BAR = EvaluationBar(requirements=("rougeL >= base + 20%", "rougeL >= 0.4"))


def test_version_without_a_record_is_told_what_is_required() -> None:
    ((key, problem),) = BAR.problems(None, adapter="acme")
    asked = "'rougeL >= base + 20%' and 'rougeL >= 0.4'"
    assert (key, problem) == ("", f"should be recorded, as the fleet requires {asked}, got nothing")


def test_each_figure_below_it_is_told() -> None:
    bar = EvaluationBar(
        requirements=("rougeL >= base + 200%", "rougeL >= 0.6", "rougeL >= 0.5", "meteor > 0")
    )
    problems = list(bar.problems(RECORD, adapter="acme"))
    assert problems == [
        ("figures", "rougeL of 'acme' is 0.5 and should be at least 0.6 (base 0.2 + 200%)"),
        ("figures", "rougeL of 'acme' is 0.5 and should be at least 0.6"),
        ("figures", "meteor of 'acme' has no figure: no item has a score of both"),
    ]


def test_record_of_another_dataset_is_told() -> None:
    bar = EvaluationBar(requirements=("rougeL >= 0.4",), dataset="c" * 64)
    ((key, problem),) = bar.problems(RECORD, adapter="acme")
    assert (key, problem) == ("dataset", f"should be sha256:{'c' * 64}, got sha256:{'b' * 64}")


@pytest.mark.parametrize("record", [replace(RECORD, base=None), replace(RECORD, decoding=None)])
def test_record_that_does_not_say_how_it_was_made_has_to_be_made_again(record: EvaluationRecord) -> None:
    ((key, problem),) = BAR.problems(record, adapter="acme")
    assert (key, problem) == (
        "base",
        "should be recorded, with the decoding; evaluate this version again, as its record is of an earlier"
        " release, got nothing",
    )


@pytest.mark.parametrize(
    ("bases", "counts"),
    [
        (("meta-llama/Llama-3.1-8B-Instruct", "llm-base"), True),
        (("llama-3.1-70b-instruct", "Llama-3.1-8B-Instruct"), True),
        (("llama-3.1-70b-instruct", "llm-base"), False),
        ((), True),
    ],
)
def test_record_counts_beside_the_base_model_it_names_alone(bases: tuple[str, ...], *, counts: bool) -> None:
    problems = list(replace(BAR, bases=bases).problems(RECORD, adapter="acme"))
    assert [key for key, _ in problems] == ([] if counts else ["base"])


def test_name_is_exempt_whatever_the_case() -> None:
    bar = EvaluationBar(requirements=("rougeL >= 0.4",), exempt=("Acme",))
    assert (bar.is_exempt("acme"), bar.is_exempt("acm")) == (True, False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"requirements": ()}, "'evaluation' should have one requirement or more, got none"),
        ({"requirements": ("rougeL",)}, "a requirement should be a metric"),
        ({"requirements": ("rougeL > 0",), "dataset": "x"}, "'dataset' should be 'sha256:' and 64"),
    ],
)
def test_bar_that_could_never_be_met_is_an_error(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EvaluationBar(**settings)  # type: ignore[arg-type]
