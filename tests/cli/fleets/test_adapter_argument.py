from __future__ import annotations

import pytest
from typer.testing import CliRunner

from adapters_cli.main import app
from tests.adapter_fleet.fleet_world import World, adapter
from tests.cli.fleet_account import FakeAccount


@pytest.fixture
def deployed(world: World) -> None:
    world.deploy(adapter("acme"), adapter("apex"), adapter("beta"))
    world.settle()


def completed(account: FakeAccount, line: str) -> list[str]:
    """Complete a line as bash does."""
    environment = {
        "_ADAPTERS_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
    }
    result = CliRunner().invoke(app, [], prog_name="adapters", env=environment, obj=account)
    return result.stdout.split()


@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize("command", ["status", "history", "logs", "describe", "rollback", "remove"])
def test_names_of_the_fleet_s_adapters_are_completed(account: FakeAccount, command: str) -> None:
    assert completed(account, f"adapters {command} --stack Tenants a") == ["acme", "apex"]


@pytest.mark.usefixtures("deployed")
def test_fleet_of_the_environment_is_used(account: FakeAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTERS_STACK", "Tenants")
    assert completed(account, "adapters logs b") == ["beta"]


def test_without_a_fleet_there_is_nothing_to_complete(account: FakeAccount) -> None:
    assert completed(account, "adapters logs a") == []
    assert completed(account, "adapters logs --stack none a") == []


def test_commands_and_options_are_completed(account: FakeAccount) -> None:
    assert completed(account, "adapters pref") == ["preflight"]
    assert "--qualifier" in completed(account, "adapters preflight --qu")
    assert "--region" in completed(account, "adapters preflight --reg")
