"""Adapters of another environment's manifest that `adapters publish` copies."""

import json
from pathlib import Path

import pytest
from typer.testing import Result

from adapter_fleet.common.s3_uri import bucket_and_key
from adapter_fleet.manifest.desired import Probe
from adapter_fleet.manifest.manifest import Manifest
from adapter_rules.archives.packing import AdapterFiles
from tests.cli.commands.train.test_publish_evaluations import result_file
from tests.cli.publishing import World

PROD = "s3://prod-adapters/prod"


@pytest.fixture
def dev(depot: World) -> World:
    """A manifest of two adapters, of which acme has a probe and an evaluation, and an empty bucket."""
    depot.add("beta")
    (depot.adapters / "acme" / "probe.json").write_text(json.dumps({"prompt": "Who?", "answer": "acme"}))
    result = depot.publish(
        depot.adapters,
        "--manifest",
        str(depot.manifest),
        "--evaluation",
        result_file(depot, "acme"),
        "--evaluation",
        result_file(depot, "beta"),
    )
    assert result.exit_code == 0, result.output
    depot.s3.buckets = (*depot.s3.buckets, "prod-adapters")
    return depot


def to_prod(dev: World, *options: str) -> Result:
    into = ("--manifest", dev.folder / "prod.yaml")
    return dev.publish(dev.manifest, *into, *options, destination=PROD)


def prod(dev: World) -> Manifest:
    path = dev.folder / "prod.yaml"
    return Manifest.parse(path.read_bytes(), where="prod.yaml", folder=dev.folder)


def test_archive_goes_as_it_is_with_its_probe_and_its_evaluation(
    dev: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(AdapterFiles, "write_archive")  # nothing is packed
    result = to_prod(dev, "--name", "acme", "--percent", "5")
    assert result.exit_code == 0, result.output
    (entry,), (before, _) = prod(dev).adapters, dev.parsed().adapters
    key = dev.key("acme")
    assert dev.s3.bodies("prod-adapters")[key] == dev.s3.bodies("my-adapters")[key]
    assert entry.known_digest == before.known_digest
    assert (entry.checksum, entry.rank, entry.percent) == (before.checksum, before.rank, 5)
    assert entry.probe == Probe(prompt="Who?", answer="acme")
    assert entry.evaluation is not None
    assert before.evaluation is not None
    assert entry.evaluation.figures == before.evaluation.figures
    assert bucket_and_key(entry.evaluation.result)[1] in dev.s3.bodies("prod-adapters")
    assert prod(dev).base_model == dev.parsed().base_model


def test_what_the_bucket_has_is_not_copied_again(dev: World) -> None:
    assert to_prod(dev).exit_code == 0
    writes = list(dev.s3.writes)
    again = to_prod(dev, "--json")
    assert {one["state"] for one in json.loads(again.stdout)["adapters"]} == {"skipped"}
    assert dev.s3.writes == writes
    assert "unchanged" in to_prod(dev).stderr


def test_dry_run_copies_nothing(dev: World) -> None:
    writes = list(dev.s3.writes)
    result = to_prod(dev, "--dry-run", "--json")
    assert [one["state"] for one in json.loads(result.stdout)["adapters"]] == ["new", "new"]
    assert dev.s3.writes == writes


def test_archive_that_is_another_one_by_now_fails_alone(dev: World) -> None:
    other = dev.s3.bodies("my-adapters")[dev.key("beta")]
    dev.s3.put("my-adapters", dev.key("acme"), other)
    result = to_prod(dev)
    assert (result.exit_code, "acme: " in result.stderr, "digest: should be" in result.stderr) == (
        1,
        True,
        True,
    )
    assert [entry.name for entry in prod(dev).adapters] == ["beta"]


@pytest.mark.parametrize(
    ("options", "code", "why"),
    [
        (["--name", "acne"], 1, "it should have an adapter 'acne'; did you mean 'acme'?"),
        (["--base-model", "another/model"], 1, "base_model: should be 'another/model', got"),
        (["--probe-on", "base"], 2, "--probe-on is for adapters of this machine"),
    ],
)
def test_what_cannot_be_is_an_error_before_anything_is_copied(
    dev: World, options: list[str], code: int, why: str
) -> None:
    writes = list(dev.s3.writes)
    result = to_prod(dev, *options)
    assert (result.exit_code, why in result.stderr, dev.s3.writes) == (code, True, writes), result.stderr


def test_entry_of_this_machine_alone_says_how_to_come_to_one_in_s3(dev: World, tmp_path: Path) -> None:
    dev.manifest.write_text("adapters:\n- {name: acme, artifact: ./adapters/acme}\n")
    result = to_prod(dev)
    assert (result.exit_code, "'adapters import' writes it so" in result.stderr) == (1, True)
