# ruff: noqa: N803 - the names are those of boto3
from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from adapter_fleet.manifest.desired import DesiredAdapter
from tests.adapter_fleet.fleet_world import World, adapter
from tests.cli.fleet_account import FakeAccount

Run = Callable[..., Result]
DAY = 86400.0
PRICES = 'date = 2026-11-01\ncurrency = "EUR"\n[hourly]\n"ml.g5.2xlarge" = 6.0\n'


class FakeMetrics:
    """Sums of metrics by the name of a component or an endpoint, as points of time and value."""

    def __init__(self) -> None:
        self.points: dict[tuple[str, str], list[tuple[float, float]]] = {}

    def get_paginator(self, operation: str) -> FakeMetrics:
        assert operation == "get_metric_data"
        return self

    def paginate(
        self, *, MetricDataQueries: list[dict[str, Any]], StartTime: datetime, EndTime: datetime
    ) -> Iterator[dict[str, Any]]:
        for query in MetricDataQueries:
            stat = query["MetricStat"]
            metric, period = stat["Metric"], stat["Period"]
            assert StartTime.timestamp() % period == 0
            name = metric["Dimensions"][0]["Value"]
            inside = [
                (at, value)
                for at, value in self.points.get((metric["MetricName"], name), [])
                if StartTime.timestamp() <= at < EndTime.timestamp()
            ]
            yield {
                "MetricDataResults": [
                    {
                        "Id": query["Id"],
                        "Timestamps": [
                            datetime.fromtimestamp(at // period * period, UTC) for at, _ in inside
                        ],
                        "Values": [value for _, value in inside],
                    }
                ]
            }


class FakeLines:
    """The log of the base's containers."""

    def __init__(self) -> None:
        self.lines: list[tuple[float, str]] = []

    def get_paginator(self, operation: str) -> FakeLines:
        assert operation == "filter_log_events"
        return self

    def paginate(
        self, *, logGroupName: str, startTime: int, endTime: int, filterPattern: str = '""'
    ) -> Iterator[dict[str, Any]]:
        assert logGroupName == "/aws/sagemaker/InferenceComponents/base"
        text = json.loads(filterPattern)
        yield {
            "events": [
                {"timestamp": int(at * 1000), "message": line}
                for at, line in self.lines
                if text in line and startTime <= at * 1000 < endTime
            ]
        }


class FakeEndpoint:
    def describe_endpoint(self, *, EndpointName: str) -> dict[str, Any]:
        assert EndpointName == "endpoint"
        return {"EndpointConfigName": "config"}

    def describe_endpoint_config(self, *, EndpointConfigName: str) -> dict[str, Any]:
        assert EndpointConfigName == "config"
        variant = {"VariantName": "all", "InstanceType": "ml.g5.2xlarge"}
        return {"ProductionVariants": [variant], "MetricsConfig": {"MetricPublishFrequencyInSeconds": 30}}


@pytest.fixture
def now(world: World) -> float:
    """Noon of a day."""
    world.clock.time = (world.clock.now() // DAY + 1) * DAY + DAY / 2
    return world.clock.time


def of_tenant(name: str, tenant: str) -> DesiredAdapter:
    return replace(adapter(name), tags={"tenant": tenant})


@pytest.fixture(autouse=True)
def used(now: float, world: World, account: FakeAccount, monkeypatch: pytest.MonkeyPatch) -> FakeMetrics:
    """Three adapters of two tenants. Yesterday nobody asked; today acme has three quarters of the tokens."""
    world.deploy(of_tenant("acme", "A"), of_tenant("apex", "A"), of_tenant("beta", "B"))
    world.settle()
    metrics, log = FakeMetrics(), FakeLines()
    world.clock.time = now
    metrics.points = {
        ("Invocations", "p-acme"): [(now - 60, 3.0), (now - 30 * DAY, 1000.0)],
        ("Invocations", "p-beta"): [(now - 60, 1.0)],
        # Two values a minute of one instance: an hour today, two hours yesterday.
        ("MemoryUtilization", "endpoint"): [(now - 60, 120.0), (now - DAY, 240.0)],
    }
    log.lines = [
        (now - 60, "INFO scheduler: answered adapter=p-acme prompt_tokens=20 completion_tokens=10"),
        (now - 59, "INFO scheduler: answered adapter=p-acme prompt_tokens=20 completion_tokens=25"),
        (now - 58, "INFO scheduler: answered adapter=p-beta prompt_tokens=5 completion_tokens=5"),
        (now - 57, "INFO scheduler: answered adapter= prompt_tokens=10 completion_tokens=5"),
        (now - 56, "INFO scheduler: answered something else"),
    ]
    clients = {"cloudwatch": metrics, "logs": log, "sagemaker": FakeEndpoint()}
    monkeypatch.setattr(account, "client", lambda service, config=None: clients[service], raising=False)
    return metrics


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    path = tmp_path / "prices.toml"
    path.write_text(PRICES)
    return path


def rows(result: Result) -> list[list[str]]:
    assert result.exit_code == 0, result.output
    return [line.split("\t") for line in result.stdout.splitlines()]


def test_largest_user_is_first(run: Run) -> None:
    assert rows(run("usage")) == [
        ["acme", "3", "40", "35", "-", "75.0 %"],
        ["base", "0", "10", "5", "-", "15.0 %"],
        ["beta", "1", "5", "5", "-", "10.0 %"],
    ]


def test_columns_are_named_in_a_pipe_beside_the_rows(run: Run) -> None:
    columns, sums = run("usage").stderr.splitlines()
    assert columns.startswith("fleet, since ")
    assert columns.endswith(": adapter, requests, tokens in, tokens out, cost, share")
    assert sums == "4 requests, 55 tokens in, 45 tokens out"


def test_tag_sums_its_adapters(run: Run) -> None:
    assert [row[:4] for row in rows(run("usage", "--by", "tenant"))] == [
        ["A", "3", "40", "35"],
        ["base", "0", "10", "5"],
        ["B", "1", "5", "5"],
    ]


def test_longer_time_has_more(run: Run) -> None:
    assert rows(run("usage", "--since", "40d"))[0][:2] == ["acme", "1,003"]


def test_terminal_shows_shares_at_one_place(terminal: Callable[..., list[str]], prices: Path) -> None:
    headings, *rows = terminal("usage", "--prices", prices)
    assert headings.split()[0] == "ADAPTER"
    assert [row.split()[0] for row in rows] == ["acme", "base", "beta", "(unused)"]
    assert len({row.index("%") for row in rows}) == 1


def test_adapters_without_the_tag_are_named_so(run: Run) -> None:
    result = run("usage", "--by", "tenent")
    assert [row[0] for row in rows(result)] == ["(no tenent)", "base"]
    assert result.stderr.splitlines()[0] == "no adapter has the tag 'tenent'; did you mean 'tenant'?"


def test_cost_of_instances_is_shared_out_by_tokens(run: Run, prices: Path) -> None:
    result = run("usage", "--prices", prices)
    costs = {row[0]: row[4] for row in rows(result)}
    assert costs == {"acme": "4.50", "base": "0.90", "beta": "0.60", "(unused)": "12.00"}
    assert "45 tokens out, 18.00 EUR\n" in result.stderr
    assert "costs in EUR, by the prices of 2026-11-01" in result.stderr


def test_without_tokens_requests_share_the_cost(run: Run, prices: Path) -> None:
    result = run("usage", "--prices", prices, "--tokens", "(?P<adapter>x)(?P<prompt>x)(?P<completion>x)")
    costs = {row[0]: row[4] for row in rows(result)}
    assert costs == {"acme": "4.50", "beta": "1.50", "(unused)": "12.00"}


def test_costs_of_all_add_up_to_the_endpoint_s(run: Run, prices: Path) -> None:
    document = json.loads(run("usage", "--json", "--prices", prices).stdout)
    assert sum(line["cost"] for line in document["total"]) == pytest.approx(18.0)
    assert sum(line["cost"] for line in document["days"]) == pytest.approx(18.0)


def test_container_may_tell_tokens_in_another_way(run: Run, account: FakeAccount, now: float) -> None:
    account.client("logs").lines = [(now - 5, "lora=p-beta in:7 out:9")]
    pattern = r"lora=(?P<adapter>\S+) in:(?P<prompt>\d+) out:(?P<completion>\d+)"
    assert rows(run("usage", "--tokens", pattern))[0][:4] == ["beta", "1", "7", "9"]


def test_tokens_of_later_versions_are_the_adapter_s(run: Run, account: FakeAccount, now: float) -> None:
    line = "INFO scheduler: answered adapter=p-beta.12 prompt_tokens=7 completion_tokens=9"
    account.client("logs").lines = [(now - 5, line)]
    assert rows(run("usage"))[0][:4] == ["beta", "1", "7", "9"]


def test_tokens_of_an_adapter_of_no_fleet_are_not_the_base_s(
    run: Run, account: FakeAccount, now: float
) -> None:
    line = "INFO scheduler: answered adapter=native prompt_tokens=7 completion_tokens=9"
    account.client("logs").lines = [(now - 5, line)]
    assert [row[:4] for row in rows(run("usage"))] == [
        ["native", "0", "7", "9"],
        ["acme", "3", "0", "0"],
        ["beta", "1", "0", "0"],
    ]


def test_adapter_that_is_not_there_any_more_is_named_so(run: Run, account: FakeAccount, now: float) -> None:
    line = "INFO scheduler: answered adapter=p-gone prompt_tokens=7 completion_tokens=9"
    account.client("logs").lines = [(now - 5, line)]
    assert rows(run("usage"))[0][:4] == ["gone (removed)", "0", "7", "9"]
    assert rows(run("usage", "--by", "tenant"))[0][:4] == ["(no tenant)", "0", "7", "9"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('currency = "EUR"\n[hourly]\nx = 1', "'date' should be the day of the prices"),
        ("date = 2026-11-01\n[hourly]\nx = 1", "'currency' should be a word"),
        ('date = 2026-11-01\ncurrency = "EUR"', "'hourly' should be a table"),
        ('date = 2026-11-01\ncurrency = "EUR"\n[hourly]\nx = -1', "should be a number, at least 0, got -1"),
        ('date = 2026-11-01\ncurrency = "EUR"\n[hourly]\nx = nan', "at least 0, got nan"),
        ('date = 2026-11-01\ncurrency = "EUR"\n[hourly]\nx = inf', "at least 0, got inf"),
        ('date = 2026-11-01\ncurrency = "EUR"\n[hourly]\nx = 1', "has none of 'ml.g5.2xlarge'"),
        ("date", "no list of prices"),
    ],
)
def test_wrong_price_list_is_wrong_usage(run: Run, tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    result = run("usage", "--prices", path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--since", "7"), "'--since' should be a time such as 12h or 7d"),
        (("--since", "30m"), "'--since' should be a time such as 12h or 7d"),
        (("--tokens", "("), "'--tokens' should be a regular expression"),
        (("--tokens", "(?P<adapter>x)"), "should have the groups (?P<completion>…) and (?P<prompt>…)"),
    ],
)
def test_mistakes_are_wrong_usage(run: Run, arguments: tuple[str, ...], message: str) -> None:
    result = run("usage", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in " ".join(result.stderr.replace("│", " ").split())
