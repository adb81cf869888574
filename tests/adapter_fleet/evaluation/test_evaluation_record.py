"""What a manifest records of an evaluation, and the bar that a fleet sets to new versions."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from adapter_fleet.evaluation.evaluation_bar import EvaluationBar
from adapter_fleet.evaluation.evaluation_record import (
    EvaluationRecord,
    Figure,
    evaluations_folder,
    problems_of_record,
)

IDENTITY = "a" * 64
FOLDER = evaluations_folder(f"s3://bucket/prod/acme/sha256-{IDENTITY}.tar.gz", IDENTITY)
RECORD = EvaluationRecord(
    result=f"{FOLDER}20260301T093000Z-bbbbbbbbbbbb.json",
    dataset="b" * 64,
    at="2026-03-01T09:30:00Z",
    figures={"rougeL": Figure(base=0.2, adapter=0.5)},
    base="llama-3.1-8b-instruct",
    decoding="max_tokens=64, temperature=0",
)


def test_record_has_no_problem_and_knows_its_version_by_the_folder_beside_its_archive() -> None:
    assert f"s3://bucket/prod/acme/sha256-{IDENTITY}.evaluations/" == FOLDER
    assert list(problems_of_record(RECORD)) == []
    assert RECORD.identity == IDENTITY
    assert list(problems_of_record(replace(RECORD, base="x", decoding="x" * 256))) == []


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"result": f"https://x/sha256-{IDENTITY}.evaluations/a.json"}, "result"),
        ({"result": f"{FOLDER}\u202e.json"}, "result"),
        ({"dataset": "b" * 63}, "dataset"),
        ({"at": "2026-13-01T09:30:00Z"}, "at"),
        ({"base": ""}, "base"),
        ({"decoding": "x" * 257}, "decoding"),
        ({"figures": {"": Figure(base=0, adapter=0)}}, "figures"),
        ({"figures": {f"m{n}": Figure(base=0, adapter=0) for n in range(21)}}, "figures"),
        ({"figures": {"rougeL": Figure(base=math.nan, adapter=0)}}, "figures"),
    ],
)
def test_problem_names_its_key(changed: dict[str, object], key: str) -> None:
    record = replace(RECORD, **changed)  # type: ignore[arg-type]
    assert [found for found, _ in problems_of_record(record)] == [key]


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
