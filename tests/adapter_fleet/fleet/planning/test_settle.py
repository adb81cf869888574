"""Settling ends, and does not blame an artifact that serves."""

from __future__ import annotations

import pytest
from hypothesis import given

from adapter_fleet.fleet.planning.context import PlanContext
from adapter_fleet.fleet.planning.decide import Step, decide
from adapter_fleet.fleet.planning.settle import settle
from adapter_fleet.fleet.state.components import ObservedComponent, Status
from adapter_fleet.fleet.state.failures import Cause, Failure
from adapter_fleet.fleet.state.records import AdapterRecord
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter
from tests.adapter_fleet.fleet.planning.states import NAME, NOW, contexts, records, target, wants


@given(records, wants, contexts)
def test_what_is_settled_stays_as_it_is(
    record: AdapterRecord, want: DesiredAdapter | None, context: PlanContext
) -> None:
    settled, _ = settle(record, want, context)
    again, events = settle(settled, want, context)
    assert again == settled
    assert events == []


@pytest.mark.parametrize("cause", Cause)
@pytest.mark.parametrize("of_what_serves", [True, False])
def test_adapter_that_is_found_serving_has_not_failed_for_a_cause_that_passes(
    cause: Cause, of_what_serves: bool
) -> None:
    """Its registry was lost, and its archive was not to be had before a listing showed that it is there."""
    served, other = Artifact(uri="s3://b/1.tar.gz"), Artifact(uri="s3://b/2.tar.gz")
    record = AdapterRecord(
        name="a",
        component=NAME,
        owned=NOW - 40,
        live=ObservedComponent(
            status=Status.IN_SERVICE, created=NOW - 40, modified=NOW - 10, arn="arn", endpoint="endpoint",
            base="base", artifact_uri=served.uri, described=True,
        ),
        failure=Failure(
            cause=cause, reason="why", artifact=served if of_what_serves else other, at=NOW - 20,
            generation=1,
        ),
    )  # fmt: skip
    context = PlanContext(now=NOW, generation=1, target=target())
    settled, events = settle(record, DesiredAdapter(name="a", component=NAME, artifact=served), context)
    assert settled.serving == served
    assert [event.what for event in events] == ["adopted"]
    assert (settled.failure is None) == (of_what_serves and cause.retried)


def test_component_in_service_after_it_failed_is_known_again_though_its_modified_time_has_not_moved() -> None:
    served = Artifact(uri="s3://b/1.tar.gz")
    record = AdapterRecord(
        name="a",
        component=NAME,
        owned=NOW - 40,
        vouched=NOW - 10,
        live=ObservedComponent(
            status=Status.IN_SERVICE, created=NOW - 40, modified=NOW - 10, arn="arn", endpoint="endpoint",
            base="base", artifact_uri=served.uri, described=True,
        ),
    )  # fmt: skip
    want = DesiredAdapter(name="a", component=NAME, artifact=served)
    context = PlanContext(now=NOW, generation=1, target=target())
    settled, _ = settle(record, want, context)
    assert settled.serving == served
    assert decide(settled, want, context).step is not Step.LOOK
