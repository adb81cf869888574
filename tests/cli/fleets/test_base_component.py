"""The place that a stack's name means, where the stack has several fleets."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import Result

from adapter_fleet.fleet.state.fleet_settings import FleetSettings
from adapters_cli.fleets.base_component import BasePlace, base_place, rank_limit_of_manifest
from adapters_cli.output.errors import NoFleetError, UsageError
from tests.adapter_fleet.fleet_world import World, adapter
from tests.adapter_fleet.synthetic import SyntheticAdapter
from tests.cli.fleet_account import FakeAccount


def add_fleet(account: FakeAccount, name: str, base: str) -> None:
    """Add a fleet with a manifest to the stack."""
    other = World()
    other.target = replace(other.target, base=base)
    other.deploy(adapter("globex"))
    account.add_fleet("Tenants", name, name)
    account.others[name] = other.registry


@pytest.fixture(autouse=True)
def deployed(world: World) -> None:
    world.deploy(adapter("acme"))


def place_of(account: FakeAccount) -> BasePlace:
    return base_place(account, "Tenants", option="--on")


def test_fleets_on_one_base_have_one_place_and_those_on_several_are_told_with_their_bases(
    account: FakeAccount,
) -> None:
    add_fleet(account, "other", base="base")
    # One without a manifest does not count.
    account.add_fleet("Tenants", "new", "new")
    assert (place_of(account).endpoint, place_of(account).base) == ("endpoint", "base")
    add_fleet(account, "second", base="another")
    with pytest.raises(UsageError, match="'--on' should be one of them: another, base"):
        place_of(account)


def test_stack_whose_fleets_have_no_manifest_has_no_place(account: FakeAccount) -> None:
    account.add_fleet("Empty", "new", "Llm/New")
    with pytest.raises(NoFleetError, match="no fleet of stack 'Empty' has received a manifest yet"):
        base_place(account, "Empty", option="--on")


URI = "s3://manifests/tenants.yaml"


@pytest.fixture
def of_stack(account: FakeAccount, world: World, monkeypatch: pytest.MonkeyPatch) -> FakeAccount:
    """A fleet whose limit is 8 and whose manifest is in S3, in the stack of the environment."""
    world.with_settings(FleetSettings(max_lora_rank=8))
    world.target = replace(world.target, manifest=URI)
    world.apply(adapter("acme"))
    monkeypatch.setenv("ADAPTERS_STACK", "Tenants")
    return account


@pytest.mark.parametrize(
    ("manifest", "limit"), [(URI, 8), ("s3://manifests/other.yaml", None), ("adapters.yaml", None)]
)
def test_limit_is_that_of_the_fleet_that_reads_the_manifest(
    of_stack: FakeAccount, manifest: str, limit: int | None
) -> None:
    assert rank_limit_of_manifest(of_stack, manifest) == limit


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
