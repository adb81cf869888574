from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import Result

from adapter_fleet.fleet.state.fleet_settings import FleetSettings
from adapters_cli.fleets.base_place import rank_limit_of_manifest
from tests.adapter_fleet.fleet_world import World, adapter
from tests.adapter_fleet.synthetic import SyntheticAdapter
from tests.cli.fleet_account import FakeAccount

URI = "s3://manifests/tenants.yaml"


@pytest.fixture
def of_stack(account: FakeAccount, world: World, monkeypatch: pytest.MonkeyPatch) -> FakeAccount:
    """A fleet whose limit is 8 and whose manifest is in S3, in the stack of the environment."""
    world.with_settings(FleetSettings(max_lora_rank=8))
    world.target = replace(world.target, manifest=URI)
    world.deploy(adapter("acme"))
    world.settle()
    monkeypatch.setenv("ADAPTERS_STACK", "Tenants")
    return account


def test_limit_is_that_of_the_fleet_that_reads_the_manifest(of_stack: FakeAccount) -> None:
    assert rank_limit_of_manifest(of_stack, URI) == 8


@pytest.mark.parametrize("manifest", ["s3://manifests/other.yaml", "adapters.yaml"])
def test_limit_of_another_manifest_is_not_known(of_stack: FakeAccount, manifest: str) -> None:
    assert rank_limit_of_manifest(of_stack, manifest) is None


@pytest.mark.parametrize("stack", ["Nobody", "Theirs"])
def test_fleet_that_cannot_be_found_or_read_is_no_error(
    of_stack: FakeAccount, monkeypatch: pytest.MonkeyPatch, stack: str
) -> None:
    monkeypatch.setenv("ADAPTERS_STACK", stack)
    of_stack.stacks.stacks["Theirs"] = [("AWS::DynamoDB::Table", "theirs")]
    of_stack.refusals["theirs"] = "AccessDeniedException"
    assert rank_limit_of_manifest(of_stack, URI) is None


def test_publish_refuses_a_rank_above_the_limit_of_the_fleet(
    of_stack: FakeAccount, run: Callable[..., Result], tmp_path: Path
) -> None:
    directory = SyntheticAdapter(rank=16).save(tmp_path / "high")
    result = run("publish", directory, "s3://my-adapters/prod", "--manifest", URI, fleet=False)
    assert result.exit_code == 1
    assert "should be at most 8 ('max_lora_rank'), got 16" in result.stderr
    assert ("manifests", "tenants.yaml") not in of_stack.buckets.objects
