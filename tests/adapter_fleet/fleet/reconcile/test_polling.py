"""When components with a write under way are looked at again."""

from typing import Any

import pytest

from adapter_fleet.fleet.planning.decide import Step
from adapter_fleet.fleet.reconcile.polling import Polling
from adapter_fleet.fleet.state.records import AdapterRecord, Event, Intent, Write
from adapter_fleet.manifest.desired import Artifact
from tests.adapter_fleet.fake_service import FakeClock

ARTIFACT = Artifact(uri="s3://b/1.tar.gz")


def under_way(write: Write, at: float) -> AdapterRecord:
    intent = Intent(write=write, at=at, generation=1, artifact=ARTIFACT, acknowledged=at)
    return AdapterRecord(name="a", component="p-a", intent=intent)


def polling(seconds: dict[str, float], *, resumes: bool = False) -> tuple[Polling, float]:
    clock = FakeClock()
    return Polling(clock, write_seconds=seconds, resumes=resumes), clock.now()


def test_component_that_is_due_does_not_wait_for_one_that_is_due_later() -> None:
    polling = Polling(FakeClock(), write_seconds={}, resumes=False)
    # In the order of the manifest, as after a listing.
    polling._look_at = {"p-a": 129.0, "p-b": 105.0}
    assert polling.next_times() == [105.0]
    assert list(polling.take_due(110.0)) == ["p-b"]
    assert polling.next_times() == [129.0]


def about(moment: float) -> Any:
    return pytest.approx(moment, rel=0, abs=0.01)


def test_update_is_described_when_it_should_have_ended() -> None:
    made, now = polling({"update": 5.0})
    made.track(under_way(Write.UPDATE, now - 2.0), Step.WAIT)
    assert made.next_times() == [about(now + 3.05)]


@pytest.mark.parametrize(("known", "at"), [({}, 2.0), ({"update": 100.0}, 2.0), ({"update": 5.0}, 6.0)])
def test_update_that_ends_late_or_at_an_unknown_time_is_polled(known: dict[str, float], at: float) -> None:
    made, now = polling(known)
    made.track(under_way(Write.UPDATE, now - at), Step.WAIT)
    made.begin_poll(now)
    assert made.in_flight == {"p-a"}
    assert list(made.take_due(now + 1000.0)) == []


def test_creation_is_polled_when_it_should_have_ended_but_at_once_after_the_machine_has_waited() -> None:
    for resumes, wait in ((False, 8.05), (True, 1.0)):
        made, now = polling({"create": 10.0}, resumes=resumes)
        made.track(under_way(Write.CREATE, now - 2.0), Step.WAIT)
        assert made.next_times() == [about(now + wait)]
    # That is once.
    assert made.begin_poll(now + 1.0) == ["p-a"]
    made.track(under_way(Write.CREATE, now - 2.0), Step.KEEP)
    made.track(under_way(Write.CREATE, now - 2.0), Step.WAIT)
    assert made.next_times() == [about(now + 8.05)]


def test_seconds_of_writes_follow_the_newest_and_deletions_are_looked_for_a_little_earlier() -> None:
    made, _ = polling({})
    for what, seconds in (("created", 10.0), ("created", 20.0), ("deleted", 10.0), ("adopted", 99.0)):
        made.learn(Event(component="p-a", name="a", at=0.0, what=what, generation=1, seconds=seconds))
    assert made.write_seconds == {Write.CREATE: 13.0, Write.DELETE: 9.0}
