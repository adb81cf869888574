import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from adapter_fleet.common.naming import FLEET_TAG
from adapter_fleet.fleet.state.fleet_settings import FailureLimit, FleetSettings
from tests.adapter_fleet.fleet_world import UID, World, adapter, artifact
from tests.cli.fleet_account import FakeAccount, Run, rows
from tests.fakes import FakeClient


def endpoints(*, PaginationConfig: dict[str, int]) -> Iterator[dict[str, Any]]:  # noqa: N803
    """SageMaker's list of endpoints, one on a page."""
    assert PaginationConfig == {"PageSize": 100}
    yield {"Endpoints": [{"EndpointName": "other"}]}
    yield {"Endpoints": [{"EndpointName": "endpoint"}]}


@pytest.fixture(autouse=True)
def components(world: World, account: FakeAccount) -> None:
    """A fleet of two, an adapter of a stack and one that was made by hand; a base elsewhere."""
    world.service.add_base("other", "other-base")
    world.apply(adapter("acme"), adapter("beta"))
    world.service.make("native", "s3://bucket/n.tar.gz")
    world.service.stacks["native"] = "Native"
    world.service.make("by-hand", "s3://bucket/h.tar.gz")
    account.clients["sagemaker"] = FakeClient(pages={"list_endpoints": endpoints})


def test_components_of_every_endpoint_are_listed_with_their_owners(
    run: Run, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run("list", fleet=False)
    assert result.exit_code == 0
    assert [row[:5] for row in rows(result)] == [
        ["endpoint", "base", "base", "-", "in service"],
        ["endpoint", "by-hand", "adapter", "-", "in service"],
        ["endpoint", "native", "adapter", "stack Native", "in service"],
        ["endpoint", "p-acme", "adapter", f"fleet {UID}", "in service"],
        ["endpoint", "p-beta", "adapter", f"fleet {UID}", "in service"],
        ["other", "other-base", "base", "-", "in service"],
    ]
    document = json.loads(run("list", "--json", fleet=False).stdout)
    owners = {each["component"]: (each["fleet"], each["stack"]) for each in document["components"]}
    expected = {"native": (None, "Native"), "p-acme": (UID, None), "by-hand": (None, None)}
    assert {name: owners[name] for name in expected} == expected
    monkeypatch.setenv("ADAPTERS_STACK", "Tenants")
    named = {row[1]: row[3] for row in rows(run("list", fleet=False))}
    assert (named["p-acme"], named["native"]) == (f"fleet {world.fleet().name}", "stack Native")


def test_one_endpoint_is_listed_alone_with_short_names_of_fleets(run: Run, world: World) -> None:
    uid = "c8437666-3cb5d848-aeda-418a-8a59-76814035660d"
    world.service.make("p-other", "s3://bucket/o.tar.gz", base="other-base", tags={FLEET_TAG: uid})
    listed = rows(run("list", "--endpoint", "other", fleet=False))
    assert [[row[1], row[3]] for row in listed] == [["other-base", "-"], ["p-other", "fleet c8437666"]]
    result = run("list", "--endpoint", "nowhere", fleet=False)
    assert (result.exit_code, "endpoint 'nowhere' is not there" in result.stderr) == (4, True)


def test_terminal_with_fewer_lines_than_endpoints_shows_one_component_of_each(
    terminal: Callable[..., list[str]],
) -> None:
    lines = terminal("list", height=1, fleet=False)
    assert [line.split()[0] for line in lines[1:]] == ["endpoint", "other"]


def test_terminal_gets_a_page_with_failures_first_and_reads_no_other_tags(
    terminal: Callable[..., list[str]], world: World
) -> None:
    names = [f"a{number:02}" for number in range(40)]
    world.with_settings(FleetSettings(failures=FailureLimit(count=1)))
    world.service.faults.broken[artifact(names[-1]).uri] = "no such tensor"
    world.apply(*map(adapter, names))
    world.service.calls.clear()
    lines = terminal("list", "--endpoint", "endpoint", columns=120, height=20, fleet=False)
    assert [line.split()[1] for line in lines[1:4]] == ["p-a39", "base", "by-hand"]
    assert "failed" in lines[1]
    assert lines[1].endswith("no such tensor")
    assert world.service.calls["ListTags"] == 20
