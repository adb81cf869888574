"""Results of evaluations in S3."""

from __future__ import annotations

import pytest

from adapters_cli.artifacts import evaluation_store
from adapters_cli.artifacts.evaluation_store import EvaluationStore
from adapters_cli.evaluation.result import EvaluationResult
from adapters_cli.evaluation.stored_evaluation import without_texts
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


def test_result_is_beside_the_archive_by_time_and_dataset(store: EvaluationStore) -> None:
    uri = store.write(ARCHIVE, IDENTITY, evaluation(), "acme")
    assert uri == f"{FOLDER}20260301T093000Z-dddddddddddd.json"
    assert store.read(uri) == without_texts(evaluation(), "acme")


def test_archive_that_is_not_named_by_its_identity_has_results_too(store: EvaluationStore) -> None:
    stored = store.write("s3://my-adapters/prod/acme/v7.tar.gz", IDENTITY, evaluation(), "acme")
    assert stored.startswith(FOLDER)


def test_newest_is_that_of_the_dataset_if_one_is_named(store: EvaluationStore) -> None:
    for at, dataset in (("09:30:00", "d"), ("11:30:00", "e"), ("10:30:00", "d")):
        store.write(ARCHIVE, IDENTITY, evaluation(at=at, dataset=dataset), "acme")
    newest = [store.newest(ARCHIVE, IDENTITY, dataset=dataset) for dataset in (None, "d" * 64, "f" * 64)]
    made = [found and found.made_at for found in newest]
    assert made == ["2026-03-01T11:30:00Z", "2026-03-01T10:30:00Z", None]
    assert len(store.uris(ARCHIVE, IDENTITY)) == 3


def test_newest_of_one_second_is_the_last_one(store: EvaluationStore) -> None:
    for score in (0.1, 0.2, 0.3):
        last = store.write(ARCHIVE, IDENTITY, evaluation(score), "acme")
    assert store.newest(ARCHIVE, IDENTITY) == store.read(last)


def test_result_of_another_version_is_none_of_this_one(store: EvaluationStore) -> None:
    store.write(ARCHIVE, IDENTITY, evaluation(), "acme")
    assert store.newest(ARCHIVE.replace("a" * 64, "b" * 64), "b" * 64) is None


def test_no_result_is_ever_replaced(s3: FakeS3, store: EvaluationStore) -> None:
    uris = {store.write(ARCHIVE, IDENTITY, evaluation(score), "acme") for score in (0.1, 0.2, 0.3)}
    assert len(uris) == len(s3.objects) == 3
    assert {store.read(uri).comparisons[0].mean for uri in uris} == {0.1, 0.2, 0.3}


def test_tenth_result_of_a_second_is_refused(store: EvaluationStore) -> None:
    for _ in range(9):
        store.write(ARCHIVE, IDENTITY, evaluation(), "acme")
    with pytest.raises(CommandError, match="is there already"):
        store.write(ARCHIVE, IDENTITY, evaluation(), "acme")


def test_result_that_is_too_large_is_neither_written_nor_read(
    s3: FakeS3, store: EvaluationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = store.write(ARCHIVE, IDENTITY, evaluation(), "acme")
    monkeypatch.setattr(evaluation_store, "MAX_BYTES", 100)
    with pytest.raises(CommandError, match="at most 100 bytes to be stored"):
        store.write(ARCHIVE, IDENTITY, evaluation(at="10:30:00"), "acme")
    with pytest.raises(CommandError, match="at most 100 bytes"):
        store.read(stored)
    assert len(s3.objects) == 1


@pytest.mark.parametrize("body", [b"", b"{}", b'{"format": 1}', b"\xff"])
def test_object_that_is_no_result_is_an_error_with_its_address(
    s3: FakeS3, store: EvaluationStore, body: bytes
) -> None:
    s3.put("my-adapters", "x.json", body)
    with pytest.raises(CommandError, match=r"s3://my-adapters/x\.json"):
        store.read("s3://my-adapters/x.json")


def test_missing_result_is_an_error(store: EvaluationStore) -> None:
    with pytest.raises(CommandError, match="there is no such result"):
        store.read("s3://my-adapters/x.json")
