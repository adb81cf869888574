"""What the functions tell: a line for each change, and the fleet's metrics."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from adapter_fleet.fleet.state.generations import Generation, Outcome
from adapter_fleet.fleet.state.records import Event, FleetRecord
from adapter_fleet.fleet.state.telemetry import FleetTelemetry
from tests.adapter_fleet.fleet_world import UID, World, adapter, artifact, deployed

FLEET = FleetRecord(uid=UID, name="fleet", machine="machine", rate=5.0)

Told = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def telemetry() -> FleetTelemetry:
    return FleetTelemetry(uid=UID, namespace="Fleets")


@pytest.fixture
def told(telemetry: FleetTelemetry, capsys: pytest.CaptureFixture[str]) -> Iterator[Told]:
    """What was written so far: logs and metrics are lines of JSON."""
    # One handler serves every logger of this name, and writes to what was the output when it was made.
    logs, (handler,) = io.StringIO(), logging.getLogger("adapter-fleet").handlers
    assert isinstance(handler, logging.StreamHandler)
    before = handler.setStream(logs)

    def lines() -> list[dict[str, Any]]:
        text = logs.getvalue() + capsys.readouterr().out
        return [json.loads(line) for line in text.splitlines()]

    yield lines
    if before is not None:
        handler.setStream(before)


def generation(outcome: Outcome, **fields: Any) -> Generation:
    world = World()
    made = world.deploy(adapter("a"))
    return Generation(number=made.number, request=made.request, outcome=outcome, **fields)


def metrics_of(lines: list[dict[str, Any]]) -> dict[str, Any]:
    (line,) = [line for line in lines if "_aws" in line]
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Fleets"
    assert directive["Dimensions"] == [["Fleet"]]
    assert line["Fleet"] == UID
    values = {metric["Name"]: line[metric["Name"]] for metric in directive["Metrics"]}
    return {name: value[0] if isinstance(value, list) else value for name, value in values.items()}


def test_line_of_a_change_says_from_what_to_what_in_what_time_and_why(
    telemetry: FleetTelemetry, told: Told
) -> None:
    telemetry.changed(
        Event(
            component="p-a",
            name="a",
            at=1.0,
            what="failed",
            generation=7,
            before="v1.tar.gz",
            after="v2.tar.gz",
            seconds=12.5,
            cause="bad tensors",
        )
    )
    (line,) = told()
    expected = {"level": "INFO", "service": "adapter-fleet", "message": "adapter failed", "adapter": "a"}
    expected |= {"component": "p-a", "change": "failed", "before": "v1.tar.gz", "after": "v2.tar.gz"}
    assert {"seconds": 12.5, "cause": "bad tensors", "generation": 7}.items() <= line.items()
    assert expected.items() <= line.items()


def test_every_change_of_a_fleet_is_told_with_its_versions_and_its_time() -> None:
    world = deployed(adapter("a"), adapter("b"))
    world.service.faults.broken[artifact("b", 2).uri] = "bad tensors"
    world.log.events.clear()
    world.apply(adapter("a", 2), adapter("b", 2), adapter("c"), retries=False)
    told = {event.name: event for event in world.log.events}
    assert {name: event.what for name, event in told.items()} == {
        "a": "updated",
        "b": "failed",
        "c": "created",
    }
    assert (told["a"].before, told["a"].after) == ("v1.tar.gz", "v2.tar.gz")
    assert told["a"].seconds == pytest.approx(5.0, abs=0.1)
    assert (told["b"].before, told["b"].after) == ("v1.tar.gz", "v2.tar.gz")
    assert told["b"].cause == "bad tensors"
    assert (told["c"].before, told["c"].after) == (None, "v1.tar.gz")
    assert {event.generation for event in told.values()} == {2}


def test_metrics_of_a_pass_have_the_counts_of_the_fleet_and_its_line_the_outcome(
    telemetry: FleetTelemetry, told: Told
) -> None:
    counts = {"desired": 9, "in_service": 5, "failed": 1, "pending": 3, "orphans": 7}
    made = generation(Outcome.OPEN, reason="b: bad tensors", writes=3, **counts)
    fleet = replace(FLEET, failed_passes=3, base_copies=3, checked_copies=2)
    telemetry.measured(
        made, fleet, age=61.5, throttles=4, drifted=2, asleep=1, misidentified=2, lost_archives=3
    )
    lines = told()
    (line,) = [line for line in lines if "_aws" not in line]
    expected = {"message": "pass ended", "generation": 1, "outcome": "open", "reason": "b: bad tensors"}
    assert expected.items() <= line.items()
    assert {"writes": 3, "rate": 5.0}.items() <= line.items()
    assert metrics_of(lines) == {
        "Desired": 9,
        "InService": 5,
        "Failed": 1,
        "Pending": 3,
        "ConvergenceAge": 61.5,
        "Throttles": 4,
        "Drifted": 2,
        "Orphans": 7,
        "FailedPasses": 3,
        "Rejected": 0,
        "Asleep": 1,
        "Misidentified": 2,
        "LostArchives": 3,
        "Copies": 3,
        "UncheckedCopies": 1,
    }


@pytest.mark.parametrize(
    ("outcome", "rejected"),
    [(Outcome.CONVERGED, 0), (Outcome.REFUSED, 1), (Outcome.FAILED, 1)],
)
def test_manifest_that_does_not_come_into_force_counts_as_rejected(
    telemetry: FleetTelemetry, told: Told, outcome: Outcome, rejected: int
) -> None:
    telemetry.measured(
        generation(outcome),
        FLEET,
        age=0.0,
        throttles=0,
        drifted=0,
        asleep=0,
        misidentified=0,
        lost_archives=0,
    )
    assert metrics_of(told())["Rejected"] == rejected


def test_manifest_that_is_refused_before_any_pass_counts_as_rejected(
    telemetry: FleetTelemetry, told: Told
) -> None:
    telemetry.rejected(generation(Outcome.REFUSED, reason="adapters: should be a list"))
    lines = told()
    assert metrics_of(lines) == {"Rejected": 1}
    (line,) = [line for line in lines if "_aws" not in line]
    assert (line["message"], line["reason"]) == ("manifest refused", "adapters: should be a list")


def test_what_holds_a_pass_up_is_a_warning(telemetry: FleetTelemetry, told: Told) -> None:
    telemetry.trouble("the base component 'base' is Creating")
    (line,) = told()
    assert (line["level"], line["reason"]) == ("WARNING", "the base component 'base' is Creating")
