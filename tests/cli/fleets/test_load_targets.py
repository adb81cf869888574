"""What a benchmark asks, of a fleet in memory and of its endpoint."""

from __future__ import annotations

from typing import Any

import pytest

from adapters_cli.fleets.load_targets import LoadTargets
from adapters_cli.output.errors import CommandError, NoAnswerError, UsageError
from tests.adapter_fleet.fleet_world import World, adapter
from tests.cli.fleet_account import FakeAccount


class FakeSageMaker:
    """Describes the components of the world's service."""

    def __init__(self, world: World) -> None:
        self._service = world.service

    def describe_inference_component(self, *, InferenceComponentName: str) -> dict[str, Any]:  # noqa: N803
        live = self._service.describe(InferenceComponentName)
        assert live is not None
        base = {} if live.base is None else {"BaseInferenceComponentName": live.base}
        return {"EndpointName": live.endpoint, "Specification": base, "ResponseMetadata": {}}

    def get_paginator(self, operation: str) -> FakeSageMaker:
        assert operation == "list_endpoints"
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [{"Endpoints": [{"EndpointName": "endpoint"}]}]


class BenchmarkedAccount(FakeAccount):
    def client(self, service: str, config: Any = None) -> Any:
        return {"sagemaker": FakeSageMaker(self.world)}[service]


@pytest.fixture
def account(world: World, monkeypatch: pytest.MonkeyPatch) -> FakeAccount:
    monkeypatch.delenv("ADAPTERS_STACK", raising=False)
    world.deploy(adapter("beta"), adapter("acme"))
    world.settle()
    return BenchmarkedAccount(world)


def targets(
    account: FakeAccount,
    *names: str,
    components: list[str] | None = None,
    stack: str | None = None,
    endpoint: str | None = None,
) -> LoadTargets:
    account.stack, account.endpoint = stack, endpoint
    return LoadTargets.find(account, names, components or [])


def test_named_adapters_of_a_fleet_keep_their_order_which_is_that_of_popularity(account: FakeAccount) -> None:
    found = targets(account, "beta", "acme", stack="Tenants")
    assert (found.endpoint, found.container.component) == ("endpoint", "base")
    assert list(found.adapters.items()) == [("p-beta", "beta"), ("p-acme", "acme")]


def test_all_adapters_of_a_fleet_are_asked_if_none_is_named(account: FakeAccount) -> None:
    assert set(targets(account, stack="Tenants").adapters.values()) == {"acme", "beta"}


def test_adapter_of_a_fleet_that_does_not_serve_yet_is_left_out(account: FakeAccount) -> None:
    account.world.deploy(adapter("beta"), adapter("acme"), adapter("late"))
    assert set(targets(account, stack="Tenants").adapters.values()) == {"acme", "beta"}


def test_environment_names_the_fleet(account: FakeAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTERS_STACK", "Tenants")
    assert dict(targets(account, "acme").adapters) == {"p-acme": "acme"}
    assert set(targets(account).adapters.values()) == {"acme", "beta"}


def test_component_is_of_the_named_endpoint_whatever_the_environment_says(
    account: FakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADAPTERS_STACK", "Other")
    assert list(targets(account, endpoint="endpoint", components=["p-beta"]).adapters) == ["p-beta"]


def test_all_adapters_of_an_endpoint_are_asked_without_its_base(account: FakeAccount) -> None:
    found = targets(account, endpoint="endpoint")
    assert (set(found.adapters), found.container.component) == ({"p-acme", "p-beta"}, "base")


def test_component_of_an_endpoint_is_asked_beside_its_base(account: FakeAccount) -> None:
    found = targets(account, endpoint="endpoint", components=["p-beta"])
    assert (list(found.adapters), found.container.component) == (["p-beta"], "base")


def test_unknown_adapter_of_a_fleet_is_an_error(account: FakeAccount) -> None:
    with pytest.raises(CommandError, match="the fleet has no adapter 'gone'"):
        targets(account, "gone", stack="Tenants")


@pytest.mark.parametrize("place", [{"stack": "Tenants"}, {"endpoint": "endpoint"}])
def test_unknown_component_is_an_error_with_the_name_that_may_be_meant(
    account: FakeAccount, place: dict[str, str]
) -> None:
    with pytest.raises(CommandError, match="no component 'p-betta'; did you mean 'p-beta'") as error:
        targets(account, components=["p-betta"], **place)
    assert error.value.code == 1


def test_endpoint_that_is_not_there_is_told_with_the_one_that_may_be_meant(account: FakeAccount) -> None:
    with pytest.raises(NoAnswerError, match=r"'endpont' is not there, .*; did you mean 'endpoint'"):
        targets(account, endpoint="endpont")


def test_adapters_of_an_endpoint_are_named_by_their_components(account: FakeAccount) -> None:
    with pytest.raises(UsageError, match="--endpoint takes --component"):
        targets(account, "acme", endpoint="endpoint")
