# ruff: noqa: N803 - the names are those of boto3
from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from adapter_fleet.manifest.desired import DesiredAdapter
from tests.adapter_fleet.fleet_world import World, adapter
from tests.cli.fleet_account import FakeAccount, Run, rows
from tests.fakes.clients import FakeClient

DAY = 86400.0


class FakeTelemetry:
    """Requests by the name of a component, as points of time and value, and the log of the base."""

    def __init__(self) -> None:
        self.requests: dict[str, list[tuple[float, float]]] = {}
        self.lines: list[tuple[float, str]] = []

    def metrics(
        self, *, MetricDataQueries: list[dict[str, Any]], StartTime: datetime, EndTime: datetime
    ) -> Iterator[dict[str, Any]]:
        begin, end = StartTime.timestamp(), EndTime.timestamp()
        for query in MetricDataQueries:
            metric, period = query["MetricStat"]["Metric"], query["MetricStat"]["Period"]
            assert (metric["MetricName"], begin % period) == ("Invocations", 0)
            points = self.requests.get(metric["Dimensions"][0]["Value"], [])
            inside = [(at, value) for at, value in points if begin <= at < end]
            times = [datetime.fromtimestamp(at // period * period, UTC) for at, _ in inside]
            values = [value for _, value in inside]
            yield {"MetricDataResults": [{"Id": query["Id"], "Timestamps": times, "Values": values}]}

    def log(
        self, *, logGroupName: str, startTime: int, endTime: int, filterPattern: str = '""'
    ) -> Iterator[dict[str, Any]]:
        assert logGroupName == "/aws/sagemaker/InferenceComponents/base"
        text = json.loads(filterPattern)
        lines = [(int(at * 1000), line) for at, line in self.lines if text in line]
        found = [(at, line) for at, line in lines if startTime <= at < endTime]
        yield {"events": [{"timestamp": at, "message": line} for at, line in found]}


@pytest.fixture
def now(world: World) -> float:
    """Noon of a day."""
    world.clock.time = (world.clock.now() // DAY + 1) * DAY + DAY / 2
    return world.clock.time


def of_tenant(name: str, tenant: str) -> DesiredAdapter:
    return replace(adapter(name), tags={"tenant": tenant})


@pytest.fixture(autouse=True)
def used(now: float, world: World, account: FakeAccount) -> FakeTelemetry:
    """Three adapters of two tenants, of which acme has three quarters of the tokens."""
    world.apply(of_tenant("acme", "A"), of_tenant("apex", "A"), of_tenant("beta", "B"))
    told = FakeTelemetry()
    world.clock.time = now
    told.requests = {"p-acme": [(now - 60, 3.0), (now - 30 * DAY, 1000.0)], "p-beta": [(now - 60, 1.0)]}
    told.lines = [
        (now - 60, "INFO scheduler: answered adapter=p-acme prompt_tokens=20 completion_tokens=10"),
        (now - 59, "INFO scheduler: answered adapter=p-acme prompt_tokens=20 completion_tokens=25"),
        (now - 58, "INFO scheduler: answered adapter=p-beta prompt_tokens=5 completion_tokens=5"),
        (now - 57, "INFO scheduler: answered adapter= prompt_tokens=10 completion_tokens=5"),
        (now - 56, "INFO scheduler: answered something else"),
    ]
    account.clients |= {
        "cloudwatch": FakeClient(pages={"get_metric_data": told.metrics}),
        "logs": FakeClient(pages={"filter_log_events": told.log}),
    }
    return told


def test_largest_user_is_first_and_columns_are_named_beside_the_rows(run: Run) -> None:
    result = run("usage")
    assert result.exit_code == 0
    assert rows(result) == [
        ["acme", "3", "40", "35", "75.0"],
        ["base", "0", "10", "5", "15.0"],
        ["beta", "1", "5", "5", "10.0"],
    ]
    columns, sums = result.stderr.splitlines()
    assert columns.startswith("fleet, since ")
    assert columns.endswith(": adapter, requests, tokens in, tokens out, share")
    assert sums == "4 requests, 55 tokens in, 45 tokens out"
    assert rows(run("usage", "--since", "40d"))[0][:2] == ["acme", "1003"]


def test_tag_sums_its_adapters_and_those_without_it_are_named_so(run: Run) -> None:
    assert [row[:4] for row in rows(run("usage", "--by", "tenant"))] == [
        ["A", "3", "40", "35"],
        ["base", "0", "10", "5"],
        ["B", "1", "5", "5"],
    ]
    result = run("usage", "--by", "tenent")
    assert [row[0] for row in rows(result)] == ["(no tenent)", "base"]
    assert result.stderr.splitlines()[0] == "no adapter has the tag 'tenent'; did you mean 'tenant'?"


def test_terminal_shows_shares_at_one_place(terminal: Callable[..., list[str]]) -> None:
    headings, *rows = terminal("usage")
    assert headings.split()[0] == "ADAPTER"
    assert [row.split()[0] for row in rows] == ["acme", "base", "beta"]
    assert len({row.index("%") for row in rows}) == 1


def test_document_has_each_day_and_the_total(run: Run) -> None:
    document = json.loads(run("usage", "--json").stdout)
    assert document.keys() == {"days", "total"}
    assert [line["requests"] for line in document["total"]] == [3.0, 0.0, 1.0]
    assert sum(line["requests"] for line in document["days"]) == 4.0


def test_container_may_tell_tokens_in_another_way(run: Run, used: FakeTelemetry, now: float) -> None:
    pattern = r"lora=(?P<adapter>\S+) in:(?P<prompt>\d+) out:(?P<completion>\d+)"
    # Without tokens, requests make the share.
    found = rows(run("usage", "--tokens", pattern))
    assert [(row[0], row[4]) for row in found] == [("acme", "75.0"), ("beta", "25.0")]
    used.lines = [(now - 5, "lora=p-beta in:7 out:9")]
    assert rows(run("usage", "--tokens", pattern))[0][:4] == ["beta", "1", "7", "9"]


@pytest.mark.parametrize(
    ("adapter", "name", "tenant"),
    [("native", "native", "native"), ("p-gone", "gone (not in the fleet)", "(no tenant)")],
)
def test_tokens_of_an_adapter_that_the_fleet_has_not_are_not_the_base_s(
    run: Run, used: FakeTelemetry, now: float, adapter: str, name: str, tenant: str
) -> None:
    line = f"INFO scheduler: answered adapter={adapter} prompt_tokens=7 completion_tokens=9"
    used.lines = [(now - 5, line)]
    assert [row[:4] for row in rows(run("usage"))] == [
        [name, "0", "7", "9"],
        ["acme", "3", "0", "0"],
        ["beta", "1", "0", "0"],
    ]
    assert rows(run("usage", "--by", "tenant"))[0][:4] == [tenant, "0", "7", "9"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--since", "30m"), "'--since' should be a time such as 12h or 7d"),
        (("--tokens", "("), "'--tokens' should be a regular expression"),
        (("--tokens", "(?P<adapter>x)"), "should have the groups (?P<completion>…) and (?P<prompt>…)"),
    ],
)
def test_mistakes_are_wrong_usage(run: Run, arguments: tuple[str, ...], message: str) -> None:
    result = run("usage", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in " ".join(result.stderr.replace("│", " ").split())
