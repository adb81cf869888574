"""What a manifest records of an evaluation."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

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


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"result": f"https://x/sha256-{IDENTITY}.evaluations/a.json"}, "result"),
        ({"result": f"{FOLDER}deeper/a.json"}, "result"),
        ({"result": f"{FOLDER}\u202e.json"}, "result"),
        ({"result": f"{FOLDER}{'x' * 1024}.json"}, "result"),
        ({"dataset": "b" * 63}, "dataset"),
        ({"at": "2026-03-01 09:30:00"}, "at"),
        ({"at": "2026-13-01T09:30:00Z"}, "at"),
        ({"base": ""}, "base"),
        ({"decoding": "x" * 257}, "decoding"),
        ({"figures": {"": Figure(base=0, adapter=0)}}, "figures"),
        ({"figures": {"m" * 101: Figure(base=0, adapter=0)}}, "figures"),
        ({"figures": {f"m{n}": Figure(base=0, adapter=0) for n in range(21)}}, "figures"),
        ({"figures": {"rougeL": Figure(base=math.nan, adapter=0)}}, "figures"),
    ],
)
def test_problem_names_its_key(changed: dict[str, object], key: str) -> None:
    record = replace(RECORD, **changed)  # type: ignore[arg-type]
    assert [found for found, _ in problems_of_record(record)] == [key]
