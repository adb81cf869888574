"""Settling ends, and does not blame an artifact that serves."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from adapter_fleet.fleet.planning.context import PlanContext
from adapter_fleet.fleet.planning.decide import Step, decide
from adapter_fleet.fleet.planning.observe import SETTLING_SECONDS
from adapter_fleet.fleet.planning.settle import MAX_LOST_WRITES, settle, with_failure
from adapter_fleet.fleet.state.components import ObservedComponent, Status
from adapter_fleet.fleet.state.failures import Cause, Failure
from adapter_fleet.fleet.state.records import AdapterRecord, Intent, Write
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter
from tests.adapter_fleet.fleet.planning.states import NAME, NOW, TARGET, contexts, records, wants

SERVED, NEXT = Artifact(uri="s3://b/1.tar.gz"), Artifact(uri="s3://b/2.tar.gz")
WANT = DesiredAdapter(name="a", component=NAME, artifact=NEXT)
CONTEXT = PlanContext(now=NOW, generation=1, target=TARGET)
CREATION = Intent(write=Write.CREATE, at=NOW - 3, generation=1, artifact=NEXT, acknowledged=NOW - 2)
UPDATE = replace(CREATION, write=Write.UPDATE, modified_before=NOW - 900)
UPDATING = AdapterRecord(name="a", component=NAME, owned=NOW - 900, serving=SERVED)


def live(created: float) -> ObservedComponent:
    return ObservedComponent(
        status=Status.CREATING, created=created, modified=created, arn="arn", endpoint="endpoint",
        base="base", artifact_uri=NEXT.uri, described=True,
    )  # fmt: skip


def in_service(created: float, **changes: Any) -> ObservedComponent:
    return replace(live(created), status=Status.IN_SERVICE, artifact_uri=SERVED.uri, **changes)


@pytest.mark.slow
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
    artifact = SERVED if of_what_serves else NEXT
    failure = Failure(cause=cause, reason="why", artifact=artifact, at=NOW - 20, generation=1)
    found = in_service(NOW - 40, modified=NOW - 10)
    record = AdapterRecord(name="a", component=NAME, owned=NOW - 40, live=found, failure=failure)
    settled, events = settle(record, replace(WANT, artifact=SERVED), CONTEXT)
    assert settled.serving == SERVED
    assert [event.what for event in events] == ["adopted"]
    assert (settled.failure is None) == (of_what_serves and cause.retried)


def test_last_good_version_that_the_manifest_wants_is_not_restored_when_it_fails() -> None:
    failure = Failure(cause=Cause.ARTIFACT, reason="why", artifact=NEXT, at=NOW - 20, generation=1)
    record = replace(UPDATING, last_good=SERVED, failure=failure)
    settled, _ = with_failure(record, SERVED, "wrong", CONTEXT, want=replace(WANT, artifact=SERVED))
    assert settled.failure is not None
    assert settled.failure.artifact == SERVED


def test_component_in_service_after_it_failed_is_known_again_though_its_modified_time_has_not_moved() -> None:
    found = in_service(NOW - 40, modified=NOW - 10)
    record = AdapterRecord(name="a", component=NAME, owned=NOW - 40, vouched=NOW - 10, live=found)
    want = replace(WANT, artifact=SERVED)
    settled, _ = settle(record, want, CONTEXT)
    assert settled.serving == SERVED
    assert decide(settled, want, CONTEXT).step is not Step.LOOK


@pytest.mark.parametrize(("seconds", "owned"), [(0.0, True), (SETTLING_SECONDS + 1, False)])
def test_component_that_appears_when_its_creation_is_acknowledged_is_the_fleets(
    seconds: float, owned: bool
) -> None:
    record = AdapterRecord(name="a", component=NAME, intent=CREATION, live=live(NOW - 2 - seconds))
    settled, _ = settle(record, WANT, CONTEXT)
    assert (settled.owned is not None) is owned


def test_creation_of_an_earlier_execution_ends_as_described() -> None:
    """The registry may be a backup, and the component changed since."""
    found = in_service(NOW - 2, described=False)
    creation = replace(CREATION, base="base")
    record = AdapterRecord(name="a", component=NAME, intent=creation, live=found)
    settled, _ = settle(record, WANT, CONTEXT)
    assert (settled.serving, settled.base) == (NEXT, "base")
    later = replace(CONTEXT, since=NOW)
    assert settle(record, WANT, later) == (replace(record, owned=NOW - 2), [])
    assert settle(replace(record, live=in_service(NOW - 2)), WANT, later)[0].serving == SERVED


def test_component_that_someone_created_during_an_update_is_not_the_fleets() -> None:
    update = replace(CREATION, write=Write.UPDATE)
    record = AdapterRecord(name="a", component=NAME, owned=NOW - 500, intent=update, live=live(NOW - 2))
    assert settle(record, WANT, CONTEXT)[0].owned != NOW - 2


def test_component_that_is_gone_was_deleted_by_hand_unless_a_write_is_under_way() -> None:
    record = AdapterRecord(name="a", component=NAME, owned=NOW - 500, serving=SERVED, absent_at=NOW)
    settled, events = settle(record, WANT, CONTEXT)
    assert (settled.owned, settled.drifted) == (None, "someone deleted it")
    assert [event.what for event in events] == ["drifted"]
    waiting = replace(record, intent=replace(CREATION, acknowledged=NOW))
    assert settle(waiting, WANT, CONTEXT) == (waiting, [])


def test_last_of_many_writes_without_an_effect_is_a_failure_and_the_first_of_the_next() -> None:
    sent = NOW - SETTLING_SECONDS - 5
    update = replace(UPDATE, at=sent, acknowledged=sent)
    record = replace(UPDATING, intent=update, live=in_service(NOW - 900))
    settled, _ = settle(replace(record, lost=MAX_LOST_WRITES - 2), WANT, CONTEXT)
    assert (settled.failure, settled.lost, settled.intent) == (None, MAX_LOST_WRITES - 1, None)
    settled, _ = settle(replace(record, lost=MAX_LOST_WRITES - 1), WANT, CONTEXT)
    assert settled.failure is not None
    assert (settled.failure.cause, settled.lost) == (Cause.CAPACITY, 0)


def test_update_that_fails_for_the_same_reason_as_the_one_before_is_a_failure() -> None:
    there = in_service(NOW - 900, modified=NOW - 1, failure_reason="bad tensors")
    record = replace(UPDATING, intent=replace(UPDATE, failure_reason_before="bad tensors"), live=there)
    settled, _ = settle(record, WANT, CONTEXT)
    assert settled.failure is not None
    assert (settled.failure.cause, settled.failure.artifact) == (Cause.ARTIFACT, NEXT)


@pytest.mark.parametrize(
    ("later", "ended", "moved_ended"),
    [(1.0, False, False), (5.0, False, True), (SETTLING_SECONDS, True, True)],
)
def test_describe_that_may_be_from_before_an_update_of_the_same_address_ends_it_only_later(
    later: float, ended: bool, moved_ended: bool
) -> None:
    update = replace(UPDATE, at=NOW - later, artifact=SERVED, acknowledged=NOW - later)
    there = in_service(NOW - 900)
    moved = replace(there, modified=NOW - later - 0.5)
    record = replace(UPDATING, intent=update, live=moved)
    settled, _ = settle(record, replace(WANT, artifact=SERVED), CONTEXT)
    assert (settled.intent is None) is ended
    after = replace(record, live=replace(there, modified=NOW - later + 0.5))
    settled, _ = settle(after, replace(WANT, artifact=SERVED), CONTEXT)
    assert (settled.intent is None) is moved_ended


@pytest.mark.parametrize("known", ["x", None], ids=["of what serves", "of the manifest"])
def test_digest_of_the_last_good_version_is_kept_or_comes_from_the_manifest(known: str | None) -> None:
    want = replace(WANT, artifact=replace(SERVED, digest="x" if known is None else None))
    serving = replace(SERVED, digest=known)
    record = replace(UPDATING, live=in_service(NOW - 900), serving=serving, vouched=NOW - 900)
    settled, _ = settle(record, want, CONTEXT)
    assert settled.last_good is not None
    assert settled.last_good.digest == "x"


def test_version_that_was_ordered_since_is_sent_though_somebody_changed_the_component() -> None:
    by_hand = replace(SERVED, uri="s3://b/hand.tar.gz")
    record = replace(UPDATING, serving=by_hand, last_good=SERVED, drifted="by hand", vouched=NOW - 900)
    record = replace(record, live=in_service(NOW - 900))
    assert decide(record, WANT, replace(CONTEXT, spares_changes=True)).step is Step.UPDATE


def test_component_that_stays_in_transition_for_an_hour_is_stuck_and_says_for_how_long() -> None:
    record = AdapterRecord(name="a", component=NAME, owned=NOW - 4000, live=live(NOW - 4000))
    decision = decide(record, WANT, CONTEXT)
    assert (decision.step, decision.why) == (
        Step.STUCK,
        "Creating for 66 minutes; the service refuses writes meanwhile",
    )
