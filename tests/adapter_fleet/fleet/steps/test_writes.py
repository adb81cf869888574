"""What a step that writes records, before its call and after it was refused."""

from dataclasses import replace
from typing import Any

import pytest

from adapter_fleet.fleet.planning.context import PlanContext
from adapter_fleet.fleet.planning.decide import Decision, Step
from adapter_fleet.fleet.state.components import ObservedComponent, Status
from adapter_fleet.fleet.state.failures import Cause, Failure
from adapter_fleet.fleet.state.records import AdapterRecord
from adapter_fleet.fleet.state.rows.leased_table import Lease
from adapter_fleet.fleet.steps.task import Accepted, StepTask
from adapter_fleet.fleet.steps.writes import not_deleted, write
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter
from tests.adapter_fleet.fake_service import FakeClock
from tests.adapter_fleet.fleet.planning.states import TARGET

SERVED, NEXT, FAILED = (Artifact(uri=f"s3://b/{number}.tar.gz", digest=f"{number}") for number in range(3))
WANT = DesiredAdapter(name="a", component="p-a", artifact=NEXT)
CLOCK = FakeClock()
LIVE = ObservedComponent(
    status=Status.IN_SERVICE, created=CLOCK.now() - 100, modified=CLOCK.now() - 100, arn="arn", described=True
)
RECORD = AdapterRecord(name="a", component="p-a", owned=LIVE.created, live=LIVE, serving=SERVED)
FAILURE = Failure(cause=Cause.ARTIFACT, reason="bad tensors", artifact=FAILED, at=CLOCK.now() - 50)


class Ports:
    """A registry and a service that take everything."""

    def __getattr__(self, name: str) -> Any:
        return self

    def __call__(self, *_: object, **__: object) -> None:
        pass


def task_of(record: AdapterRecord, step: Step, *, want: DesiredAdapter | None = WANT) -> StepTask:
    ports: Any = Ports()
    lease = Lease(owner="x", token=1, expires=CLOCK.now() + 900)
    artifact = None if step is Step.DELETE else NEXT
    return StepTask(
        uid="fleet-1", registry=ports, service=ports, clock=CLOCK, leased=lambda: lease, record=record,
        context=PlanContext(now=CLOCK.now(), generation=1, target=TARGET), want=want,
        decision=Decision(step=step, artifact=artifact),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("record", "want", "artifact"),
    [
        (replace(RECORD, failure=FAILURE), WANT, FAILED),
        (RECORD, WANT, SERVED),
        (RECORD, None, Artifact(uri="")),
    ],
    ids=["it has failed", "it serves", "nobody wants it"],
)
def test_refused_deletion_counts_against_what_is_to_blame(
    record: AdapterRecord, want: DesiredAdapter | None, artifact: Artifact
) -> None:
    known = replace(record, last_good=SERVED)
    result = not_deleted(task_of(known, Step.DELETE, want=want), "it cannot be deleted for now")
    assert result.record.failure is not None
    assert result.record.failure.artifact.same_as(artifact)
    assert (result.record.last_good, result.record.restores) == (SERVED, 0)


def test_component_is_not_described_any_more_once_it_is_written() -> None:
    result = write(task_of(RECORD, Step.DELETE))
    assert isinstance(result, Accepted)
    assert result.record.intent is not None
    assert result.record.live is not None
    assert (result.record.live.described, result.record.live.status.in_transition) == (False, True)
