"""Results of evaluations in S3."""

from __future__ import annotations

import json

import pytest

from adapters_cli.artifacts.evaluation_store import store_evaluation
from adapters_cli.evaluation.result import EvaluationResult
from adapters_cli.evaluation.stored_evaluation import to_stored
from adapters_cli.output.errors import CommandError
from tests.cli.evaluation_results import result_of
from tests.fakes.s3 import FakeS3

IDENTITY = "a" * 64
ARCHIVE = f"s3://my-adapters/prod/acme/sha256-{IDENTITY}.tar.gz"
FOLDER = f"s3://my-adapters/prod/acme/sha256-{IDENTITY}.evaluations/"


@pytest.fixture
def s3() -> FakeS3:
    return FakeS3("my-adapters", page_size=2)


def stored(s3: FakeS3, archive: str, identity: str, result: EvaluationResult, subject: str) -> str:
    return store_evaluation(s3, archive, identity, result, subject)  # type: ignore[arg-type]


def evaluation(score: float = 0.5, at: str = "09:30:00", dataset: str = "d") -> EvaluationResult:
    made_at = f"2026-03-01T{at}Z"
    return result_of([score], made_at=made_at, dataset=dataset * 64)


def test_result_is_beside_the_archive_by_time_and_dataset(s3: FakeS3) -> None:
    uri = stored(s3, ARCHIVE, IDENTITY, evaluation(), "acme")
    assert uri == f"{FOLDER}20260301T093000Z-dddddddddddd.json"
    (found,) = s3.objects.values()
    assert found.body == to_stored(evaluation(), "acme")


def test_archive_that_is_not_named_by_its_identity_has_results_too(s3: FakeS3) -> None:
    uri = stored(s3, "s3://my-adapters/prod/acme/v7.tar.gz", IDENTITY, evaluation(), "acme")
    assert uri.startswith(FOLDER)


def test_no_result_is_ever_replaced(s3: FakeS3) -> None:
    uris = {stored(s3, ARCHIVE, IDENTITY, evaluation(score), "acme") for score in (0.1, 0.2, 0.3)}
    assert len(uris) == len(s3.objects) == 3
    means = {json.loads(found.body)["comparisons"][0]["mean"] for found in s3.objects.values()}
    assert means == {0.1, 0.2, 0.3}


def test_tenth_result_of_a_second_is_refused(s3: FakeS3) -> None:
    for _ in range(9):
        stored(s3, ARCHIVE, IDENTITY, evaluation(), "acme")
    with pytest.raises(CommandError, match="is there already"):
        stored(s3, ARCHIVE, IDENTITY, evaluation(), "acme")
