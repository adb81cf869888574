"""The components that a person names, of a fleet in memory and of its endpoint."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from adapters_cli.fleets.named_components import NamedComponents, find_adapters, find_components
from adapters_cli.output.errors import CommandError, NoAnswerError, UsageError
from tests.adapter_fleet.fleet_world import World, adapter
from tests.cli.fleet_account import FakeAccount, Run
from tests.fakes import FakeClient


@pytest.fixture
def account(world: World, account: FakeAccount) -> FakeAccount:
    """A fleet, and the list of endpoints."""
    world.apply(adapter("beta"), adapter("acme"))
    pages = {"list_endpoints": lambda **_: [{"Endpoints": [{"EndpointName": "endpoint"}]}]}
    account.clients["sagemaker"] = FakeClient(pages=pages)
    return account


def adapters(
    account: FakeAccount, *names: str, components: Sequence[str] = (), **place: str
) -> NamedComponents:
    vars(account).update(place)
    return find_adapters(account, names, components)


def test_named_adapters_of_a_fleet_keep_their_order_which_is_that_of_popularity(account: FakeAccount) -> None:
    found = adapters(account, "beta", "acme", stack="Tenants")
    assert found.place is not None
    assert (found.endpoint, found.place.base) == ("endpoint", "base")
    assert list(found.names.items()) == [("p-beta", "beta"), ("p-acme", "acme")]


def test_all_adapters_of_a_fleet_that_serve_are_asked_if_none_is_named(account: FakeAccount) -> None:
    account.world.deploy(adapter("beta"), adapter("acme"), adapter("late"))
    assert set(adapters(account, stack="Tenants").names.values()) == {"acme", "beta"}
    account.world.registry.spoil("routes", "acme")  # nobody knows where its callers are sent
    assert set(adapters(account, stack="Tenants").names.values()) == {"beta"}


def test_components_are_of_the_named_endpoint_whatever_the_environment_says(
    account: FakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADAPTERS_STACK", "Other")
    assert list(adapters(account, endpoint="endpoint", components=["p-beta"]).names) == ["p-beta"]
    # All adapters, without the base.
    found = adapters(account, endpoint="endpoint")
    assert (set(found.names), found.place) == ({"p-acme", "p-beta"}, None)


@pytest.mark.parametrize("place", [{"stack": "Tenants"}, {"endpoint": "endpoint"}])
def test_unknown_component_is_an_error_with_the_name_that_may_be_meant(
    account: FakeAccount, place: dict[str, str]
) -> None:
    with pytest.raises(CommandError, match="no component 'p-betta'; did you mean 'p-beta'") as error:
        adapters(account, components=["p-betta"], **place)
    assert error.value.code == 1


@pytest.mark.parametrize(
    "command",
    [
        ["describe"],
        ["logs"],
        ["evaluate", "--endpoint", "endpoint", "--dataset", "items.csv"],
        ["benchmark", "--endpoint", "endpoint", "--yes"],
    ],
)
@pytest.mark.usefixtures("account")
def test_unknown_component_has_the_same_exit_code_in_every_command(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("items.csv").write_text("prompt,reference\na,b\n")
    result = run(*command, "-c", "p-betta", fleet=False)
    assert (result.exit_code, "no component 'p-betta'" in result.stderr) == (1, True), result.stderr


def test_endpoint_is_told_with_the_one_that_may_be_meant_and_takes_components(account: FakeAccount) -> None:
    with pytest.raises(NoAnswerError, match=r"'endpont' is not there, .*; did you mean 'endpoint'"):
        adapters(account, endpoint="endpont")
    with pytest.raises(UsageError, match="--endpoint takes the --component names"):
        adapters(account, "acme", endpoint="endpoint")


@pytest.mark.parametrize(
    ("place", "hint"),
    [({"stack": "Tenants"}, "adapters of the fleet, or --base"), ({"endpoint": "endpoint"}, "--component")],
)
def test_command_that_asks_what_is_named_needs_a_name(
    account: FakeAccount, place: dict[str, str], hint: str
) -> None:
    vars(account).update(place)
    with pytest.raises(UsageError, match=f"which adapter.*{hint}$"):
        find_components(account, [], [], base=False)


@pytest.mark.parametrize("place", [{"stack": "Tenants"}, {"endpoint": "endpoint"}])
def test_component_of_another_endpoint_is_unknown(account: FakeAccount, place: dict[str, str]) -> None:
    account.world.service.make("elsewhere", "s3://bucket/a.tar.gz").endpoint = "other"
    with pytest.raises(CommandError, match="endpoint endpoint has no component 'elsewhere'"):
        adapters(account, components=["elsewhere"], **place)
