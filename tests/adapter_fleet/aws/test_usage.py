"""What was used is counted once, and published as metrics."""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, cast

import pytest

from adapter_fleet.aws.usage_counter import LATE_SECONDS, Sample, UsageCounter, UsageCursor, UsageTelemetry
from adapter_fleet.fleet.state.dynamodb_table import DynamoDbTable
from adapter_fleet.usage.counting_settings import CountingSettings
from adapter_fleet.usage.fleet_members import FleetMembers
from tests.adapter_fleet.fake_service import FakeClock
from tests.adapter_fleet.fleet_world import World, adapter, deployed
from tests.adapter_fleet.memory_registry import MemoryDynamoDb

FLEET = {"Fleet": "fleet-1"}
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
NOON = 20_000 * DAY + DAY / 2


class FakeSource:
    """What was used: requests by component and time."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, float, float]] = []

    def requests(
        self, components: Iterable[str], start: float, end: float, *, period: int
    ) -> Iterator[tuple[str, float, float]]:
        assert start % period == 0
        names = set(components)
        return (one for one in self.asked if one[0] in names and start <= one[1] < end)


class Counting:
    """A counter with everything around it."""

    def __init__(self, members: FleetMembers, **settings: Any) -> None:
        self.source, self.samples = FakeSource(), list[Sample]()
        self.clock = FakeClock()
        self.cursor = UsageCursor(DynamoDbTable("fleet", cast(Any, MemoryDynamoDb()), sleep=self.clock.sleep))
        self.members, self.settings = members, settings

    def publish(self, sample: Sample) -> None:
        self.samples.append(sample)

    def run(self, at: float) -> float | None:
        self.samples.clear()
        return UsageCounter(
            uid="fleet-1",
            source=cast(Any, self.source),
            cursor=self.cursor,
            telemetry=cast(Any, self),
            clock=self.clock,
            settings=CountingSettings(**self.settings),
        ).run(self.members, at)

    def sums(self, metric: str) -> dict[tuple[str, ...], float]:
        """Return the sum of a metric by its dimensions without the fleet's."""
        found: dict[tuple[str, ...], float] = {}
        for sample in self.samples:
            key = tuple(f"{k}={v}" for k, v in sample.dimensions.items() if k != "Fleet")
            if metric in sample.values:
                found[key] = found.get(key, 0.0) + sample.values[metric]
        return found


@pytest.fixture
def members() -> FleetMembers:
    """Three adapters: two of tenant A, and one of tenant B."""
    world = World()
    tenants = {"acme": "A", "apex": "A", "beta": "B"}
    world.apply(*(replace(adapter(name), tags={"tenant": tenant}) for name, tenant in tenants.items()))
    return FleetMembers.of(world.registry, world.newest())


@pytest.fixture
def counting(members: FleetMembers) -> Counting:
    """Three minutes before noon: acme twice, beta once; the base and another fleet's adapter, too."""
    made = Counting(members, by=("tenant",))
    at = NOON - 3 * MINUTE
    made.source.asked = [("p-acme", at, 2.0), ("p-beta", at, 1.0), ("base", at, 9.0), ("q-acme", at, 9.0)]
    return made


AFTERWARDS = NOON + LATE_SECONDS


def test_use_is_counted_for_the_fleet_and_for_each_value_of_a_tag(counting: Counting) -> None:
    assert counting.run(AFTERWARDS) == NOON
    assert counting.sums("Requests") == {(): 3, ("tenant=A",): 2, ("tenant=B",): 1}


def test_each_adapter_has_metrics_of_its_own_if_that_is_wanted(counting: Counting) -> None:
    counting.settings = {"per_adapter": True}
    counting.run(AFTERWARDS)
    assert counting.sums("Requests") == {(): 3, ("Adapter=acme",): 2, ("Adapter=beta",): 1}


def test_next_run_goes_on_where_the_last_one_ended(counting: Counting) -> None:
    counting.run(AFTERWARDS)
    counting.source.asked.append(("p-acme", NOON, 7.0))
    counting.run(AFTERWARDS + 15 * MINUTE)
    assert counting.sums("Requests")[()] == 7


@pytest.mark.parametrize("later", [-900.0, 59.0])
def test_event_that_comes_twice_or_late_counts_nothing(counting: Counting, later: float) -> None:
    counting.run(AFTERWARDS)
    assert counting.run(AFTERWARDS + later) is None
    assert counting.samples == []


def test_run_that_another_one_has_overtaken_publishes_nothing(
    counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting.cursor, "advance", lambda _before, _after: False)
    assert counting.run(AFTERWARDS) is None
    assert counting.samples == []


def test_what_may_still_come_late_is_left_to_the_next_run(counting: Counting) -> None:
    counting.run(NOON)
    assert counting.sums("Requests") == {}
    counting.run(AFTERWARDS)
    assert counting.sums("Requests")[()] == 3


def test_each_hour_has_its_own_values(counting: Counting) -> None:
    counting.source.asked.append(("p-acme", NOON - 2 * HOUR, 4.0))
    counting.run(AFTERWARDS)
    values = [
        (sample.at, sample.values["Requests"])
        for sample in counting.samples
        if sample.dimensions == FLEET and "Requests" in sample.values
    ]
    assert values == [(NOON - 2 * HOUR, 4), (NOON - HOUR, 3)]


def test_function_that_was_down_for_days_goes_back_for_one(counting: Counting) -> None:
    assert counting.cursor.advance(None, NOON - 5 * DAY)
    counting.source.asked.append(("p-acme", NOON - 4 * DAY, 100.0))
    counting.run(AFTERWARDS)
    assert counting.sums("Requests")[()] == 3


@pytest.mark.parametrize(
    ("loras", "cpu_loras", "use", "cpu_use"), [(1, 2, 200, 100), (3, 3, 0, 0)], ids=["little room", "for all"]
)
def test_adapters_that_are_asked_at_a_time_are_compared_with_the_room(
    counting: Counting, loras: int, cpu_loras: int, use: int, cpu_use: int
) -> None:
    counting.settings = {"max_loras": loras, "max_cpu_loras": cpu_loras}
    counting.run(AFTERWARDS)
    assert counting.sums("AdaptersAtATime") == {(): 2}
    assert counting.sums("MaxLorasUse") == {(): use}
    assert counting.sums("MaxCpuLorasUse") == {(): cpu_use}


def test_deleted_fleet_has_no_declared_adapters() -> None:
    world = deployed(adapter("acme"))
    world.destroy()
    members = FleetMembers.of(world.registry, world.newest())
    assert members.declared == {}
    assert members.names == {"p-acme": "acme"}


@pytest.mark.parametrize(
    ("by", "message"),
    [
        (("größe",), "'by' should be keys of tags"),
        (("team", "team"), "'by' should have each key once, got 'team' twice"),
        (tuple("abcdef"), "'by' should be at most 5 keys of tags, got 6"),
    ],
)
def test_wrong_tags_are_an_error(by: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CountingSettings(by=by)


def cursor_of(client: MemoryDynamoDb) -> UsageCursor:
    return UsageCursor(DynamoDbTable("fleet", cast(Any, client), sleep=time.sleep))


def test_one_of_two_runs_counts_a_time() -> None:
    cursor = cursor_of(MemoryDynamoDb())
    assert cursor.read() is None
    assert cursor.advance(None, 60.0)
    assert not cursor.advance(None, 60.0)
    assert cursor.read() == 60.0
    assert cursor.advance(60.0, 120.0)
    assert not cursor.advance(60.0, 180.0)
    assert cursor.read() == 120.0


def test_write_that_is_sent_again_as_its_answer_was_lost_counts() -> None:
    class Repeating(MemoryDynamoDb):
        def update_item(self, **request: Any) -> Any:
            super().update_item(**request)
            return super().update_item(**request)

    cursor = cursor_of(Repeating())
    assert cursor.advance(None, 60.0)
    assert cursor.advance(60.0, 120.0)
    assert not cursor.advance(60.0, 180.0)


def test_line_is_in_the_embedded_metric_format(capsys: pytest.CaptureFixture[str]) -> None:
    sample = Sample(
        at=60.5, dimensions={"Fleet": "f", "tenant": "Bäcker"}, values={"Requests": 3, "MaxLorasUse": 0.5}
    )
    UsageTelemetry("Space").publish(sample)
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {
        "_aws": {
            "Timestamp": 60500,
            "CloudWatchMetrics": [
                {
                    "Namespace": "Space",
                    "Dimensions": [["Fleet", "tenant"]],
                    "Metrics": [
                        {"Name": "Requests", "Unit": "Count"},
                        {"Name": "MaxLorasUse", "Unit": "Percent"},
                    ],
                }
            ],
        },
        "Fleet": "f",
        "tenant": "B\\xe4cker",
        "Requests": 3,
        "MaxLorasUse": 0.5,
    }


@pytest.mark.parametrize(("tag", "value"), [(" ", "-"), ("", "-"), ("界" * 256, ("\\u754c" * 171)[:1024])])
def test_values_of_dimensions_are_such_as_cloudwatch_takes(
    capsys: pytest.CaptureFixture[str], tag: str, value: str
) -> None:
    UsageTelemetry("Space").publish(Sample(at=0.0, dimensions={"tenant": tag}, values={"Requests": 1}))
    assert json.loads(capsys.readouterr().out)["tenant"] == value
