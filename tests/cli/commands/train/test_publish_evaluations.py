"""Results of `adapters evaluate` that `adapters publish` records."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from adapter_fleet.common.s3_uri import bucket_and_key
from adapter_fleet.evaluation import EvaluationRecord, Figure
from adapter_rules.archives.packing import identity_of
from adapters_cli.artifacts.evaluation_gate import EvaluationGate
from adapters_cli.evaluation.result import RequirementOutcome, to_json
from tests.cli.evaluation_results import result_of
from tests.cli.publishing import World

MISSED = RequirementOutcome(
    requirement="rougeL >= 0.9", subject="beta", met=False, reason="rougeL of 'beta' is 0.3"
)


def result_file(depot: World, name: str, *requirements: RequirementOutcome) -> str:
    """Write a result of the adapter that the directory has now."""
    result = result_of([0.5, 0.25], subject=name, identity=identity_of(depot.adapters / name))
    path = depot.folder / f"{name}.json"
    path.write_text(to_json(replace(result, requirements=requirements)))
    return str(path)


def publish(depot: World, *files: str, options: Sequence[str] = ()) -> Result:
    given = [part for file in files for part in ("--evaluation", file)]
    return depot.publish("--manifest", str(depot.manifest), *options, *given)


def evaluations(depot: World) -> dict[str, EvaluationRecord | None]:
    return {adapter.name: adapter.evaluation for adapter in depot.parsed().adapters}


def test_result_is_stored_and_the_manifest_records_it(depot: World) -> None:
    result = publish(depot, result_file(depot, "acme"))
    assert result.exit_code == 0, result.output
    record = evaluations(depot)["acme"]
    assert record is not None
    assert record.figures == {"rougeL": Figure(base=0.2, adapter=0.375)}
    assert record.result.startswith(depot.uri("acme").replace(".tar.gz", ".evaluations/"))
    bucket, key = bucket_and_key(record.result)
    stored = depot.s3.get_object(Bucket=bucket, Key=key)
    assert json.loads(stored["Body"].read())["dataset"]["digest"] == record.dataset


def test_version_that_missed_its_bar_fails_and_the_others_are_published(depot: World) -> None:
    depot.add("beta")
    files = [result_file(depot, "acme"), result_file(depot, "beta", MISSED)]
    dry = publish(depot, *files, options=["--dry-run", "--json"])
    states = {one["name"]: one["state"] for one in json.loads(dry.stdout)["adapters"]}
    assert (dry.exit_code, states, depot.s3.writes) == (1, {"acme": "new", "beta": "failed"}, [])
    result = publish(depot, *files)
    assert (result.exit_code, "beta: rougeL of 'beta' is 0.3" in result.stderr) == (1, True)
    assert list(evaluations(depot)) == ["acme"]


def test_version_that_others_named_meanwhile_is_not_replaced_without_a_comparison(
    depot: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(depot, result_file(depot, "acme"))
    depot.add("acme", rank=16)
    theirs = re.sub("sha256-[0-9a-f]{64}", f"sha256-{'c' * 64}", depot.manifest.read_text())
    admit = EvaluationGate.admit

    def meanwhile(self: EvaluationGate, *arguments: Any) -> EvaluationRecord:
        depot.manifest.write_text(theirs)
        return admit(self, *arguments)

    monkeypatch.setattr(EvaluationGate, "admit", meanwhile)
    result = publish(depot, result_file(depot, "acme"))
    assert (result.exit_code, "names another version of acme by now" in result.stderr) == (1, True)
    assert depot.manifest.read_text() == theirs


def test_new_version_without_an_evaluation_loses_the_old_one_with_a_note(depot: World) -> None:
    publish(depot, result_file(depot, "acme"))
    depot.add("acme", rank=16)
    result = publish(depot)
    assert result.exit_code == 0
    assert "not evaluated, so that the manifest drops that of the earlier version: acme" in result.stderr
    assert evaluations(depot) == {"acme": None}


def test_result_without_a_manifest_or_of_another_kind_is_wrong_usage(depot: World) -> None:
    file = result_file(depot, "acme")
    result = depot.publish("--evaluation", file)
    assert (result.exit_code, "an evaluation is recorded in a manifest" in result.stderr) == (2, True)
    Path(file).write_text("{}")
    result = publish(depot, file)
    assert (result.exit_code, "it is no result of 'adapters evaluate'" in result.stderr) == (2, True)
    assert depot.s3.writes == []
