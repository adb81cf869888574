"""What is kept of an evaluation beside an adapter's archive."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapter_fleet.evaluation import Figure, Requirement, evaluations_folder
from adapters_cli.evaluation.result import Decoding, RequirementOutcome, from_json, read_result, to_json
from adapters_cli.evaluation.stored_evaluation import record_of, to_stored
from adapters_cli.output.errors import CommandError
from tests.cli.evaluation_results import DATASET, SECRET, result_of

URI = f"{evaluations_folder('s3://b/acme/x.tar.gz', 'a' * 64)}r.json"


def test_it_has_scores_by_item_and_no_text_of_any() -> None:
    text = to_stored(result_of([0.5, None, 1]), "acme").decode()
    document = json.loads(text)
    assert document["items"] == ["item-0", "item-1", "item-2"]
    assert document["scores"]["rougeL"] == {"baseline": [0.2, 0.2, 0.2], "subject": [0.5, None, 1]}
    assert SECRET not in text
    assert "throttled" not in text


def test_record_has_the_figures_of_the_manifest_and_names_the_base_model_and_the_decoding() -> None:
    result = result_of([0.5, 0.25], made_at="2026-03-01T10:30:00.5+01:00")
    record = record_of(result, "acme", URI)
    assert (record.result, record.dataset, record.at) == (URI, DATASET, "2026-03-01T09:30:00Z")
    assert (record.base, record.figures) == ("base", {"rougeL": Figure(base=0.2, adapter=0.375)})
    decoding = Decoding(max_tokens=64, stop=("\n",))
    record = record_of(replace(result, decoding=decoding, base_model="llama"), "acme", URI)
    assert (record.base, record.decoding) == ("llama", 'max_tokens=64, temperature=0, stop=["\\n"]')


@pytest.mark.parametrize("factor", [2, 3, 10])
def test_fleet_judges_the_record_as_publish_judges_the_result(factor: int) -> None:
    required = Requirement.parse(f"rougeL >= base * {factor}")
    for right in range(1, 30):
        base, scores = right / 300, [1.0] * (factor * right) + [0.0] * (300 - factor * right)
        record = record_of(result_of(scores, base=base), "acme", URI)
        assert required.judge(record.means)[0], right


def test_metric_that_no_manifest_can_have_is_an_error() -> None:
    with pytest.raises(CommandError, match="a metric should have 1 to 100 characters"):
        record_of(result_of([1], metric=f"regex:{'x' * 100}"), "acme", URI)


MET = RequirementOutcome(requirement="Grüße >= 0.5", subject="acme", met=True, reason="猫")
RESULT = result_of([0.75, None], requirements=[MET])


def test_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(to_json(RESULT))
    found = read_result(path)
    assert json.loads(to_json(found)) == json.loads(to_json(RESULT))
    assert list(found.items) == RESULT.items
    assert list(found.comparisons) == RESULT.comparisons
    assert list(found.requirements) == [MET]


def edited(**changes: Any) -> str:
    return json.dumps({**json.loads(to_json(RESULT)), **changes})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("no json", "it is no JSON"),
        ('{"format": "other", "version": 2}', "it is no result of 'adapters evaluate'"),
        (edited(version=1), "'version' should be 2, got 1"),
        (edited(more=1), "more"),
        (edited(seed="7"), "a value has the wrong type"),
        (edited(items=[{"id": "1"}]), "prompt"),
        (edited(baseline=None), "it is no result"),
    ],
)
def test_anything_else_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r"^old") as error:
        from_json(text, where="old.json")
    assert problem in str(error.value)
