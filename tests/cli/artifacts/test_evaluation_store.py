"""Results of evaluations in S3."""

from __future__ import annotations

import json

import pytest

from adapters_cli.artifacts import evaluation_store
from adapters_cli.artifacts.evaluation_store import EvaluationStore
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


@pytest.fixture
def store(s3: FakeS3) -> EvaluationStore:
    return EvaluationStore(s3)  # type: ignore[arg-type]


def evaluation(score: float = 0.5, at: str = "09:30:00", dataset: str = "d") -> EvaluationResult:
    made_at = f"2026-03-01T{at}Z"
    return result_of([score], made_at=made_at, dataset=dataset * 64)


def test_result_is_beside_the_archive_by_time_and_dataset(s3: FakeS3, store: EvaluationStore) -> None:
    uri = store.write(ARCHIVE, IDENTITY, evaluation(), "acme")
    assert uri == f"{FOLDER}20260301T093000Z-dddddddddddd.json"
    (found,) = s3.objects.values()
    assert found.body == to_stored(evaluation(), "acme")


def test_archive_that_is_not_named_by_its_identity_has_results_too(store: EvaluationStore) -> None:
    stored = store.write("s3://my-adapters/prod/acme/v7.tar.gz", IDENTITY, evaluation(), "acme")
    assert stored.startswith(FOLDER)


def test_no_result_is_ever_replaced(s3: FakeS3, store: EvaluationStore) -> None:
    uris = {store.write(ARCHIVE, IDENTITY, evaluation(score), "acme") for score in (0.1, 0.2, 0.3)}
    assert len(uris) == len(s3.objects) == 3
    means = {json.loads(found.body)["comparisons"][0]["mean"] for found in s3.objects.values()}
    assert means == {0.1, 0.2, 0.3}


def test_tenth_result_of_a_second_is_refused(store: EvaluationStore) -> None:
    for _ in range(9):
        store.write(ARCHIVE, IDENTITY, evaluation(), "acme")
    with pytest.raises(CommandError, match="is there already"):
        store.write(ARCHIVE, IDENTITY, evaluation(), "acme")


def test_result_that_is_too_large_is_not_written(
    s3: FakeS3, store: EvaluationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation_store, "MAX_BYTES", 100)
    with pytest.raises(CommandError, match="at most 100 bytes to be stored"):
        store.write(ARCHIVE, IDENTITY, evaluation(at="10:30:00"), "acme")
    assert s3.objects == {}
