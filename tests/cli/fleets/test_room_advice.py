# ruff: noqa: N803 - the names are those of boto3
from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from typer.testing import Result

from adapter_fleet.serving.engine_settings import VLLM_VARIABLES
from adapter_fleet.usage.working_set import Room, WorkingSet
from adapters_cli.fleets.room_advice import LoraLimits, advice
from tests.adapter_fleet.fleet_world import World, adapter
from tests.cli.fleet_account import FakeAccount

Run = Callable[..., Result]
LIMITS = LoraLimits(max_loras=10, max_cpu_loras=20)


def working(*sizes: int) -> WorkingSet:
    return WorkingSet(asked=max(sizes, default=0), period=60, sizes=tuple(sorted(sizes)))


@pytest.mark.parametrize(
    ("sizes", "rooms"),
    [
        ((), ("fits", "fits")),
        ((8,), ("fits", "fits")),
        ((9,), ("near", "fits")),
        ((10,), ("near", "fits")),
        ((11,), ("outgrown", "fits")),
        ((17,), ("outgrown", "near")),
        ((21,), ("outgrown", "outgrown")),
        # One period of a hundred is no working set.
        ((*[5] * 99, 50), ("fits", "fits")),
        ((*[5] * 90, *[15] * 10), ("outgrown", "fits")),
    ],
)
def test_usual_number_is_compared_with_each_limit(sizes: tuple[int, ...], rooms: tuple[str, str]) -> None:
    found = advice(working(*sizes), LIMITS, 1000)
    assert tuple(room for room, _ in found.values()) == rooms


def test_setting_that_would_have_room_again_is_named() -> None:
    _, text = advice(working(12), LIMITS, 1000)["max_loras"]
    assert "12 adapters at a time, and room for 10" in text
    assert text.endswith("raise max_loras (OPTION_MAX_LORAS) to 15")
    (room, _) = advice(working(12), LoraLimits(max_loras=15, max_cpu_loras=20), 1000)["max_loras"]
    assert room is Room.FITS


def test_variable_is_that_of_the_container() -> None:
    limits = LoraLimits(max_loras=10, max_cpu_loras=20, variables=VLLM_VARIABLES)
    assert "(SM_VLLM_MAX_CPU_LORAS)" in advice(working(30), limits, 1000)["max_cpu_loras"][1]


def test_room_for_all_adapters_is_enough_whatever_is_asked() -> None:
    assert {room for room, _ in advice(working(10), LIMITS, 10).values()} == {Room.FITS}


class FakeMetrics:
    """Minutes with requests, by component."""

    def __init__(self) -> None:
        self.minutes: dict[str, list[float]] = {}

    def get_paginator(self, operation: str) -> FakeMetrics:
        assert operation == "get_metric_data"
        return self

    def paginate(
        self, *, MetricDataQueries: list[dict[str, Any]], StartTime: datetime, EndTime: datetime
    ) -> Iterator[dict[str, Any]]:
        for query in MetricDataQueries:
            period = query["MetricStat"]["Period"]
            name = query["MetricStat"]["Metric"]["Dimensions"][0]["Value"]
            begins = sorted({at // period * period for at in self.minutes.get(name, [])})
            inside = [at for at in begins if StartTime.timestamp() <= at < EndTime.timestamp()]
            times = [datetime.fromtimestamp(at, UTC) for at in inside]
            yield {
                "MetricDataResults": [{"Id": query["Id"], "Timestamps": times, "Values": [2.0] * len(inside)}]
            }


class FakeBase:
    def __init__(self, **variables: str) -> None:
        self._variables = variables

    def describe_inference_component(self, *, InferenceComponentName: str) -> dict[str, Any]:
        assert InferenceComponentName == "base"
        return {"Specification": {"Container": {"Environment": self._variables}}}


class TestCommand:
    @pytest.fixture
    def metrics(self, world: World, account: FakeAccount, monkeypatch: pytest.MonkeyPatch) -> FakeMetrics:
        """Four adapters; room for one in GPU memory, and for three in CPU memory."""
        world.deploy(*map(adapter, ("a", "b", "c", "d")))
        world.settle()
        found = FakeMetrics()
        base = FakeBase(OPTION_MAX_LORAS="1", OPTION_MAX_CPU_LORAS="3")
        clients = {"cloudwatch": found, "sagemaker": base}
        monkeypatch.setattr(account, "client", lambda service, config=None: clients[service], raising=False)
        return found

    def test_adapters_that_are_asked_in_the_same_minute_are_counted(
        self, run: Run, metrics: FakeMetrics, world: World
    ) -> None:
        now = world.clock.now() // 60 * 60
        metrics.minutes = {"p-a": [now - 120, now - 60], "p-b": [now - 120], "p-c": [now - 600]}
        result = run("capacity", "--from-usage")
        assert result.exit_code == 1
        assert "3 of 4 adapters asked within 3 h\nin 60 s at a time: 1 usually, 2 in 95 %" in result.stderr
        rows = [line.split("\t") for line in result.stdout.splitlines()]
        assert [row[:2] for row in rows] == [["max_loras", "outgrown"], ["max_cpu_loras", "fits"]]

    def test_longer_look_counts_five_minutes_at_a_time(
        self, run: Run, metrics: FakeMetrics, world: World
    ) -> None:
        now = world.clock.now() // 300 * 300
        metrics.minutes = {"p-a": [now - 300], "p-b": [now - 240]}
        document = json.loads(run("capacity", "--from-usage", "--hours", "24", "--json").stdout)
        assert (document["period_seconds"], document["at_a_time"]["most"], document["asked"]) == (300, 2, 2)
        assert document["advice"]["max_loras"]["room"] == "outgrown"

    def test_fleet_that_nobody_asks_fits(self, run: Run, metrics: FakeMetrics) -> None:
        assert run("capacity", "--from-usage").exit_code == 0

    def test_needs_a_fleet(self, run: Run) -> None:
        assert run("capacity", "--from-usage", fleet=False).exit_code == 2

    @pytest.mark.parametrize("option", ["--environment", "--manifest", "--adapters"])
    def test_options_for_no_live_fleet_are_refused(self, run: Run, option: str) -> None:
        result = run("capacity", "--from-usage", option, "1")
        assert (result.exit_code, result.stdout) == (2, "")
        assert "--from-usage is about a live fleet" in " ".join(result.stderr.replace("│", " ").split())

    def test_container_that_does_not_tell_its_limits_is_said_so(
        self, run: Run, metrics: FakeMetrics, account: FakeAccount, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(account, "client", lambda service, config=None: FakeBase(), raising=False)
        result = run("capacity", "--from-usage")
        assert result.exit_code == 1
        assert "does not tell how many adapters it has room for" in result.stderr
