"""What is kept of an evaluation beside an adapter's archive."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from adapter_fleet.evaluation.evaluation_record import Figure, evaluations_folder
from adapter_fleet.evaluation.requirement import Requirement
from adapters_cli.evaluation.result import Decoding, RequirementOutcome
from adapters_cli.evaluation.stored_evaluation import StoredEvaluation
from adapters_cli.output.errors import CommandError
from tests.cli.evaluation_results import DATASET, SECRET, result_of

URI = f"{evaluations_folder('s3://b/acme/x.tar.gz', 'a' * 64)}r.json"


def test_it_has_scores_by_item_and_no_text_of_any() -> None:
    stored = StoredEvaluation.of(result_of([0.5, None, 1]), "acme")
    assert stored.items == ("item-0", "item-1", "item-2")
    assert stored.scores["rougeL"].subject == (0.5, None, 1)
    assert stored.scores["rougeL"].baseline == (0.2, 0.2, 0.2)
    text = stored.to_json().decode()
    assert SECRET not in text
    assert "throttled" not in text


def test_it_is_read_as_it_was_written() -> None:
    outcome = RequirementOutcome(requirement="rougeL >= 0.4", subject="acme", met=False, reason="it is 0.3")
    stored = StoredEvaluation.of(result_of([0.3, None], requirements=[outcome]), "acme")
    assert StoredEvaluation.from_json(stored.to_json()) == stored
    assert stored.passed is False


@pytest.mark.parametrize(
    "change",
    [
        lambda document: [],
        lambda document: document | {"format": 2},
        lambda document: {key: document[key] for key in document if key != "items"},
        lambda document: document | {"items": ["item-0"]},
        lambda document: document | {"scores": {"rougeL": 5}},
    ],
)
def test_anything_else_is_refused(change: object) -> None:
    document = json.loads(StoredEvaluation.of(result_of([0.5, 1]), "acme").to_json())
    with pytest.raises(ValueError, match=r"should have|is no stored result"):
        StoredEvaluation.from_json(json.dumps(change(document)).encode())  # type: ignore[operator]


def test_record_has_the_figures_of_the_manifest() -> None:
    stored = StoredEvaluation.of(result_of([0.5, 0.25], made_at="2026-03-01T10:30:00.5+01:00"), "acme")
    record = stored.record(URI, base="llama")
    assert (record.result, record.dataset, record.at) == (URI, DATASET, "2026-03-01T09:30:00Z")
    assert record.figures == {"rougeL": Figure(base=0.2, adapter=0.375)}


def test_record_names_the_base_model_and_the_decoding() -> None:
    stored = StoredEvaluation.of(result_of([1]), "acme")
    record = replace(stored, decoding=Decoding(max_tokens=64, stop=("\n",))).record(URI, base="llama")
    assert (record.base, record.decoding) == ("llama", 'max_tokens=64, temperature=0, stop=["\\n"]')


@pytest.mark.parametrize("factor", [2, 3, 10])
def test_fleet_judges_the_record_as_publish_judges_the_result(factor: int) -> None:
    required = Requirement.parse(f"rougeL >= base * {factor}")
    for right in range(1, 30):
        base, scores = right / 300, [1.0] * (factor * right) + [0.0] * (300 - factor * right)
        stored = StoredEvaluation.of(result_of(scores, base=base), "acme")
        assert required.judge(stored.record(URI, base="llama").means)[0], right


def test_metric_that_no_manifest_can_have_is_an_error() -> None:
    with pytest.raises(CommandError, match="a metric should have 1 to 100 characters"):
        StoredEvaluation.of(result_of([1], metric=f"regex:{'x' * 100}"), "acme").record(URI, base="llama")
