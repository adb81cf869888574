from __future__ import annotations

from collections.abc import Callable

import pytest
from typer.testing import Result

from adapter_fleet.fleet.state.registry import UnreadableError
from tests.adapter_fleet.fleet_world import World, adapter
from tests.cli.fleet_account import FakeAccount

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def deployed(world: World) -> None:
    world.deploy(adapter("acme"))
    world.settle()


def test_environment_says_which_fleet(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTERS_STACK", "Tenants")
    assert run("status", fleet=False).exit_code == 0
    assert run("status", "--fleet", "fleet", fleet=False).exit_code == 0


def test_option_goes_before_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTERS_STACK", "Another")
    result = run("status", "--stack", "Tenants", fleet=False)
    assert (result.exit_code, result.stdout.split("\t")[:2]) == (0, ["acme", "in service"])


def test_without_either_the_options_are_told(run: Run) -> None:
    result = run("status", fleet=False)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Give --stack, or set ADAPTERS_STACK" in result.stderr


def test_fleet_in_a_nested_stack_is_found(run: Run, account: FakeAccount) -> None:
    account.stacks.stacks["Parent"] = [("AWS::CloudFormation::Stack", "Tenants")]
    assert run("status", "--stack", "Parent", fleet=False).exit_code == 0


def test_several_fleets_need_a_name(run: Run, account: FakeAccount) -> None:
    account.add_fleet("Tenants", "second", "Llm/Others")
    result = run("status", "--stack", "Tenants", fleet=False)
    assert (result.exit_code, result.stderr) == (
        2,
        "adapters: stack 'Tenants' has several fleets, and --fleet says which: Llm/Others, fleet\n"
        "Try 'adapters status --help'\n",
    )


@pytest.mark.parametrize("name", ["Llm/Others", "Others"])
def test_name_chooses_one_of_several_fleets(run: Run, account: FakeAccount, name: str) -> None:
    account.add_fleet("Tenants", "second", "Llm/Others")
    result = run("status", "--stack", "Tenants", "--fleet", name, fleet=False)
    message = "adapters: fleet 'Llm/Others' has received no manifest yet\n"
    assert (result.exit_code, result.stderr) == (4, message)


def test_stack_without_a_fleet_is_told(run: Run, account: FakeAccount) -> None:
    account.stacks.stacks["Other"] = [("AWS::DynamoDB::Table", "orders")]
    result = run("status", "--stack", "Other", fleet=False)
    assert (result.exit_code, result.stderr) == (4, "adapters: stack 'Other' has no fleet\n")


def test_table_that_may_not_be_read_does_not_hide_the_fleet(run: Run, account: FakeAccount) -> None:
    account.stacks.stacks["Tenants"].insert(0, ("AWS::DynamoDB::Table", "secrets"))
    account.refusals["secrets"] = "AccessDeniedException"
    assert run("status", "--stack", "Tenants", fleet=False).exit_code == 0


@pytest.mark.parametrize("code", ["AccessDeniedException", "ExpiredTokenException"])
def test_table_that_may_not_be_read_is_told_where_no_fleet_is_found(
    run: Run, account: FakeAccount, code: str
) -> None:
    account.stacks.stacks["Other"] = [("AWS::DynamoDB::Table", "secrets")]
    account.refusals["secrets"] = code
    result = run("status", "--stack", "Other", fleet=False)
    assert (result.exit_code, result.stderr) == (4, f"adapters: refused ({code})\n")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError("the table throttles writes, after 8 attempts"), "the table throttles writes, after 8"),
        (UnreadableError("row 'fleet' cannot be read: 'x'"), "row 'fleet' cannot be read: 'x'"),
    ],
)
def test_trouble_with_the_registry_is_one_line(
    run: Run, world: World, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(world.registry, "records", fail)
    result = run("status")
    assert (result.exit_code, result.stdout) == (4, "")
    assert result.stderr.startswith(f"adapters: {words}")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(("stack", "meant"), [("Nobody", ""), ("Tenatns", "; did you mean 'Tenants'?")])
def test_stack_that_is_not_there_is_told_with_the_region_and_what_may_be_meant(
    run: Run, stack: str, meant: str
) -> None:
    result = run("status", "--stack", stack, fleet=False)
    message = f"adapters: there is no stack '{stack}' in eu-central-1{meant}\n"
    assert (result.exit_code, result.stderr) == (4, message)


@pytest.mark.parametrize(("name", "meant"), [("nobody", ""), ("flet", "; did you mean 'fleet'?")])
def test_fleet_that_is_not_there_is_told_with_what_may_be_meant(run: Run, name: str, meant: str) -> None:
    result = run("status", "--stack", "Tenants", "--fleet", name, fleet=False)
    assert result.stderr == f"adapters: stack 'Tenants' has no one fleet named '{name}': fleet{meant}\n"
