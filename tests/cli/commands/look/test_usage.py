# ruff: noqa: N803 - the names are those of boto3
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from adapter_fleet.fleet.state.fleet_settings import ReleaseSettings
from adapter_fleet.manifest.desired import DesiredAdapter
from tests.adapter_fleet.fleet_world import World, adapter, released
from tests.cli.fleet_account import FakeAccount, Run, rows
from tests.fakes import FakeClient

DAY = 86400.0


class FakeTelemetry:
    """Requests by the name of a component, as points of time and value."""

    def __init__(self, requests: dict[str, list[tuple[float, float]]]) -> None:
        self.requests = requests
        self.status = "Complete"

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
            result = {"Id": query["Id"], "Timestamps": times, "Values": values, "StatusCode": self.status}
            yield {"MetricDataResults": [result]}


@pytest.fixture
def now(world: World) -> float:
    """Noon of a day."""
    world.clock.time = (world.clock.now() // DAY + 1) * DAY + DAY / 2
    return world.clock.time


def of_tenant(name: str, tenant: str) -> DesiredAdapter:
    return replace(adapter(name), tags={"tenant": tenant})


@pytest.fixture(autouse=True)
def used(now: float, world: World, account: FakeAccount) -> FakeTelemetry:
    """Three adapters of two tenants, of which acme has three quarters of the requests of the last minute."""
    world.apply(of_tenant("acme", "A"), of_tenant("apex", "A"), of_tenant("beta", "B"))
    world.clock.time = now
    told = FakeTelemetry(
        {
            "p-acme": [(now - 60, 15.0), (now - 30 * DAY, 1000.0)],
            "p-beta": [(now - 60, 2.0)],
            "base": [(now - 60, 3.0)],
            "native": [(now - 60, 99.0)],  # an adapter of a stack
        }
    )
    account.clients |= {"cloudwatch": FakeClient(pages={"get_metric_data": told.metrics})}
    return told


def test_largest_user_is_first_and_columns_are_named_beside_the_rows(run: Run) -> None:
    result = run("usage")
    assert result.exit_code == 0
    assert rows(result) == [["acme", "15", "75.0"], ["base", "3", "15.0"], ["beta", "2", "10.0"]]
    columns, sums = result.stderr.splitlines()
    assert columns.startswith("fleet, since ")
    assert columns.endswith(": adapter, requests, share")
    assert sums == "20 requests"
    assert rows(run("usage", "--since", "40d"))[0][:2] == ["acme", "1015"]


def test_tag_sums_its_adapters_and_those_without_it_are_named_so(run: Run) -> None:
    found = [row[:2] for row in rows(run("usage", "--by", "tenant"))]
    assert found == [["A", "15"], ["base", "3"], ["B", "2"]]
    result = run("usage", "--by", "tenent")
    assert [row[0] for row in rows(result)] == ["(no tenent)", "base"]
    assert result.stderr.splitlines()[0] == "no adapter has the tag 'tenent'; did you mean 'tenant'?"


def test_terminal_shows_shares_at_one_place(terminal: Callable[..., list[str]]) -> None:
    headings, *rows = terminal("usage")
    assert headings.split()[0] == "ADAPTER"
    assert [row.split()[0] for row in rows] == ["acme", "base", "beta"]
    assert len({row.index("%") for row in rows}) == 1


def test_document_has_each_day_and_the_total(run: Run, now: float) -> None:
    document = json.loads(run("usage", "--json", "--since", "40d").stdout)
    before, today = (datetime.fromtimestamp(at, UTC).date().isoformat() for at in (now - 30 * DAY, now))
    assert document == {
        "days": [
            {"day": before, "who": "acme", "requests": 1000.0},
            {"day": today, "who": "acme", "requests": 15.0},
            {"day": today, "who": "base", "requests": 3.0},
            {"day": today, "who": "beta", "requests": 2.0},
        ],
        "total": [
            {"who": "acme", "requests": 1015.0},
            {"who": "base", "requests": 3.0},
            {"who": "beta", "requests": 2.0},
        ],
    }


def test_length_of_minutes_is_wrong_usage(run: Run) -> None:
    result = run("usage", "--since", "30m")
    assert (result.exit_code, result.stdout) == (2, "")
    message = " ".join(result.stderr.replace("│", " ").split())
    assert "'--since' should be a time such as 12h or 7d" in message


def test_sum_is_no_answer_where_cloudwatch_has_a_series_not_in_full(run: Run, used: FakeTelemetry) -> None:
    used.status = "PartialData"
    result = run("usage")
    assert (result.exit_code, result.stdout) == (4, "")
    assert "CloudWatch does not have Invocations of " in result.stderr


@pytest.mark.parametrize("ago", [1, 7])
def test_requests_of_versions_that_are_gone_are_their_adapter_s(
    run: Run, world: World, used: FakeTelemetry, ago: int
) -> None:
    world.with_settings(replace(world.settings, releases=ReleaseSettings(keep=0, drain_seconds=80.0)))
    for version in range(2, ago + 3):
        world.apply(replace(released("acme", version), tags={"tenant": "A"}))
        world.clock.time += 200.0
        world.drift()
    used.requests["p-acme-22222222"] = [(world.clock.now() - 60, 7.0)]
    assert "p-acme-22222222" not in world.service.components
    assert ["acme", "22"] in [row[:2] for row in rows(run("usage", "--since", "12h"))]
    assert ["A", "22"] in [row[:2] for row in rows(run("usage", "--since", "12h", "--by", "tenant"))]
