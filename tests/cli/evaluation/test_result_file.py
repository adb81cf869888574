import json
from pathlib import Path
from typing import Any

import pytest

from adapters_cli.evaluation.result import RequirementOutcome
from adapters_cli.evaluation.result_file import from_json, read_result, to_json
from tests.cli.evaluation_results import result_of

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
        ("[]", "it is no result of 'adapters evaluate'"),
        ('{"format": "other", "version": 2}', "it is no result"),
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


def test_field_that_is_missing_is_refused() -> None:
    document = json.loads(to_json(RESULT))
    del document["engine"]
    with pytest.raises(ValueError, match="engine"):
        from_json(json.dumps(document), where="old.json")
