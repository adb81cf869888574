from dataclasses import replace

import pytest
from typer.testing import CliRunner

from adapters_cli.fleets.adapter_lookup import AdapterLookup
from adapters_cli.fleets.fleet_lookup import Fleet, find_fleet, newest_generation
from adapters_cli.main import app
from adapters_cli.output.errors import CommandError
from tests.adapter_fleet.fleet_world import World, adapter
from tests.cli.fleet_account import FakeAccount


@pytest.fixture
def fleet(world: World, account: FakeAccount) -> Fleet:
    world.apply(adapter("acme"), adapter("beta"), replace(adapter("solo"), component="Own"))
    account.stack = "Tenants"
    return find_fleet(account)


def lookup(fleet: Fleet) -> AdapterLookup:
    return AdapterLookup(fleet, newest_generation(fleet))


def test_names_of_usual_components_take_no_reading_of_the_whole_fleet(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("adapter_fleet.fleet.state.registry.RecordRows.all")
    monkeypatch.delattr("adapter_fleet.fleet.state.registry.GenerationRows.desired")
    assert lookup(fleet).find(["beta", "acme"]) == {"p-beta": "beta", "p-acme": "acme"}
    assert lookup(fleet).component("acme") == "p-acme"


@pytest.mark.parametrize(
    ("name", "component", "adapter"),
    [("solo", "Own", "solo"), ("Own", "Own", "solo"), ("p-acme", "p-acme", "acme")],
)
def test_component_is_a_name_of_its_adapter(fleet: Fleet, name: str, component: str, adapter: str) -> None:
    assert lookup(fleet).find([name]) == {component: adapter}


def test_adapter_that_moves_to_another_component_is_the_new_one(
    fleet: Fleet, account: FakeAccount, world: World
) -> None:
    world.deploy(replace(adapter("acme"), component="moved"), adapter("beta"))
    world.run_newest(deadline=1.0)
    assert world.registry.records.all()["p-acme"].counted is not None
    moving = find_fleet(account)
    assert lookup(moving).find(["acme"]) == {"moved": "acme"}


def test_every_name_that_nobody_has_is_an_error(fleet: Fleet) -> None:
    with pytest.raises(CommandError, match="no adapter 'one'\nthe fleet has no adapter 'two'"):
        lookup(fleet).find(["one", "acme", "two"])


def test_adapter_that_is_gone_has_the_usual_component(fleet: Fleet) -> None:
    assert [lookup(fleet).component(name) for name in ("gone", "p-gone")] == ["p-gone", "p-gone"]


def completed(account: FakeAccount, line: str) -> list[str]:
    """Complete a line as bash does."""
    environment = {
        "_ADAPTERS_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
    }
    result = CliRunner().invoke(app, [], prog_name="adapters", env=environment, obj=account)
    return result.stdout.split()


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("command", ["status", "history", "logs", "describe", "rollback", "remove"])
def test_names_of_the_fleet_s_adapters_are_completed(account: FakeAccount, command: str) -> None:
    assert completed(account, f"adapters {command} --stack Tenants a") == ["acme"]


@pytest.mark.usefixtures("fleet")
def test_fleet_of_the_environment_is_used_and_without_one_there_is_nothing_to_complete(
    account: FakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.stack = None
    assert completed(account, "adapters logs a") == []
    assert completed(account, "adapters logs --stack none a") == []
    account.stack = None
    monkeypatch.setenv("ADAPTERS_STACK", "Tenants")
    assert completed(account, "adapters logs b") == ["beta"]


def test_commands_and_options_are_completed(account: FakeAccount) -> None:
    assert completed(account, "adapters pref") == ["preflight"]
    assert "--qualifier" in completed(account, "adapters preflight --qu")
    assert "--region" in completed(account, "adapters preflight --reg")
