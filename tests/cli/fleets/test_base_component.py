"""The place that a stack's name means, where the stack has several fleets."""

from dataclasses import replace

import pytest

from adapters_cli.fleets.base_component import BasePlace, base_place
from adapters_cli.output.errors import NoFleetError, UsageError
from tests.adapter_fleet.fleet_world import World, adapter
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
