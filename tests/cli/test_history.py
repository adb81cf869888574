from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from typer.testing import Result

from tests.adapter_fleet.fleet_world import World, adapter

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def lived(world: World) -> None:
    world.deploy(adapter("acme"), adapter("zeta"))
    world.settle()
    world.deploy(adapter("acme", 2), adapter("zeta"))
    world.settle()


def test_newest_event_comes_first(run: Run) -> None:
    fields = [line.split("\t") for line in run("history", "acme").stdout.splitlines()]
    assert [field[1:5] for field in fields] == [
        ["updated", "2", "v1.tar.gz", "v2.tar.gz"],
        ["created", "1", "-", "v1.tar.gz"],
    ]
    assert fields[0][0].startswith("1970-01-12T")


def test_limit_leaves_older_ones_out(run: Run) -> None:
    assert len(run("history", "acme", "--limit", "1").stdout.splitlines()) == 1


def test_json_has_a_line_for_each_event(run: Run) -> None:
    events = [json.loads(line) for line in run("history", "acme", "--json").stdout.splitlines()]
    assert [(event["what"], event["after"]) for event in events] == [
        ("updated", "v2.tar.gz"),
        ("created", "v1.tar.gz"),
    ]


@pytest.mark.parametrize("name", ["zeta", "p-zeta"])
def test_adapter_that_is_gone_still_has_one(run: Run, world: World, name: str) -> None:
    world.deploy(adapter("acme", 2))
    world.settle()
    assert run("history", name).stdout.splitlines()[0].split("\t")[1] == "deleted"


def test_unknown_adapter_has_none(run: Run) -> None:
    result = run("history", "nobody")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "nothing is known of an adapter 'nobody'\n"
