"""Whether a version may be named in a manifest, by its evaluation, and where that is stored."""

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from adapters_cli.artifacts.evaluation_gate import EvaluationGate, store_evaluation
from adapters_cli.evaluation.result import EvaluationResult, RequirementOutcome, to_json
from adapters_cli.evaluation.stored_evaluation import to_stored
from adapters_cli.output.errors import CommandError
from tests.cli.evaluation_results import result_of
from tests.fakes import FakeS3

IDENTITY = "a" * 64
ARCHIVE = f"s3://my-adapters/prod/acme/sha256-{IDENTITY}.tar.gz"
FOLDER = f"s3://my-adapters/prod/acme/sha256-{IDENTITY}.evaluations/"


@pytest.fixture
def s3() -> FakeS3:
    return FakeS3("my-adapters", page_size=2)


def gate(s3: FakeS3, folder: Path, *results: EvaluationResult) -> EvaluationGate:
    files = [folder / f"{number}.json" for number in range(len(results))]
    for file, result in zip(files, results, strict=True):
        file.write_text(to_json(result))
    return EvaluationGate.of(files, s3)  # type: ignore[arg-type]


def test_result_is_found_by_the_identity_of_the_version(s3: FakeS3, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="this version, sha256:cccccccccccc, got sha256:aaaaaaaaaaaa"):
        gate(s3, tmp_path, result_of([0.5])).admit("c" * 64, ARCHIVE)
    assert s3.objects == {}
    both = gate(s3, tmp_path, result_of([0.5]), result_of([0.7], subject="beta", identity="b" * 64))
    assert both.admit("b" * 64, ARCHIVE.replace("a" * 64, "b" * 64)).figures["rougeL"].adapter == 0.7


def test_version_that_missed_its_bar_is_refused_with_the_figures(s3: FakeS3, tmp_path: Path) -> None:
    missed = RequirementOutcome(requirement="rougeL >= 0.4", subject="acme", met=False, reason="it is 0.3")
    with pytest.raises(CommandError, match=r"it is 0\.3"):
        gate(s3, tmp_path, result_of([0.3], requirements=[missed])).admit(IDENTITY, ARCHIVE)
    assert s3.objects == {}
    of_another = replace(missed, subject="beta")
    gate(s3, tmp_path, result_of([0.3], requirements=[of_another])).admit(IDENTITY, ARCHIVE)


def test_answers_that_are_errors_are_refused(s3: FakeS3, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="1 answer of its evaluation failed"):
        gate(s3, tmp_path, result_of([0.3, None])).admit(IDENTITY, ARCHIVE)


@pytest.mark.parametrize(("last", "admitted"), [(None, True), ("b", True), ("a", True), ("c", False)])
def test_version_that_was_compared_with_another_one_than_the_last_is_refused(
    s3: FakeS3, tmp_path: Path, last: str | None, admitted: bool
) -> None:
    met = RequirementOutcome(requirement="rougeL", subject="acme", met=True, reason="it is", than="b" * 64)
    compared = gate(s3, tmp_path, result_of([0.5], requirements=[met]))
    message = "compared with sha256:bbbbbbbbbbbb, and follows sha256:cccccccccccc"
    with nullcontext() if admitted else pytest.raises(CommandError, match=message):
        compared.admit(IDENTITY, ARCHIVE, None if last is None else last * 64)


def test_result_that_the_manifest_records_already_is_not_stored_again(s3: FakeS3, tmp_path: Path) -> None:
    once = gate(s3, tmp_path, result_of([0.5]))
    record = once.admit(IDENTITY, ARCHIVE)
    assert once.admit(IDENTITY, ARCHIVE, IDENTITY, record) is record
    assert len(s3.objects) == 1
    later = gate(s3, tmp_path, result_of([0.5], made_at="2026-03-02T09:30:00Z"))
    assert later.admit(IDENTITY, ARCHIVE, IDENTITY, record).at == "2026-03-02T09:30:00Z"


def stored(s3: FakeS3, archive: str = ARCHIVE, score: float = 0.5) -> str:
    return store_evaluation(s3, archive, IDENTITY, result_of([score]), "acme")  # type: ignore[arg-type]


def test_result_is_beside_the_archive_by_time_and_dataset_whatever_names_that(s3: FakeS3) -> None:
    assert stored(s3) == f"{FOLDER}20260301T093000Z-dddddddddddd.json"
    (found,) = s3.objects.values()
    assert found.body == to_stored(result_of([0.5]), "acme")
    assert stored(s3, "s3://my-adapters/prod/acme/v7.tar.gz").startswith(FOLDER)


def test_no_result_is_ever_replaced_and_the_tenth_of_a_second_is_refused(s3: FakeS3) -> None:
    scores = [number / 10 for number in range(9)]
    uris = {stored(s3, score=score) for score in scores}
    assert len(uris) == len(s3.objects) == 9
    means = {json.loads(found.body)["comparisons"][0]["mean"] for found in s3.objects.values()}
    assert means == set(scores)
    with pytest.raises(CommandError, match="is there already"):
        stored(s3)
