"""The plan is pure, total and deterministic, whatever the registry and the service say."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_fleet.fleet.planning.context import PlanContext
from adapter_fleet.fleet.planning.decide import Step, decide
from adapter_fleet.fleet.planning.guards import refusal
from adapter_fleet.fleet.planning.observe import merge_listing
from adapter_fleet.fleet.planning.plan import plan
from adapter_fleet.fleet.planning.settle import settle
from adapter_fleet.fleet.state.components import ObservedComponent, Status
from adapter_fleet.fleet.state.failures import Cause, Failure
from adapter_fleet.fleet.state.generations import Target
from adapter_fleet.fleet.state.records import AdapterRecord, Intent, Recheck, Write
from adapter_fleet.fleet.state.settings import DeletionLimit, FleetSettings, UpdateMode
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter, SmokeRequest

NOW = 1_000_000.0
NAME = "p-a"

artifacts = st.builds(
    Artifact,
    uri=st.sampled_from(["s3://b/1.tar.gz", "s3://b/2.tar.gz"]),
    digest=st.sampled_from([None, "x", "y"]),
)
moments = st.sampled_from([NOW - 4000, NOW - 40, NOW - 10, NOW])
lives = st.builds(
    ObservedComponent,
    status=st.sampled_from(Status),
    created=moments,
    modified=moments,
    arn=st.just("arn"),
    endpoint=st.sampled_from(["endpoint", "another"]),
    artifact_uri=st.sampled_from([None, "s3://b/1.tar.gz", "s3://b/2.tar.gz"]),
    base=st.sampled_from([None, "base", "another"]),
    failure_reason=st.sampled_from([None, "bad tensors", "Rate exceeded"]),
    described=st.booleans(),
    doubtful=st.booleans(),
)
intents = st.builds(
    Intent,
    write=st.sampled_from(Write),
    at=moments,
    generation=st.integers(1, 3),
    artifact=artifacts,
    acknowledged=st.none() | moments,
    modified_before=st.none() | moments,
    failure_reason_before=st.sampled_from([None, "bad tensors"]),
    restores=st.booleans(),
)
failures = st.builds(
    Failure,
    cause=st.sampled_from(Cause),
    reason=st.just("why"),
    artifact=artifacts,
    at=moments,
    attempts=st.integers(1, 5),
    retry_at=st.none() | st.sampled_from([NOW - 1, NOW + 100]),
    generation=st.integers(1, 3),
)
records = st.builds(
    AdapterRecord,
    name=st.just("a"),
    component=st.just(NAME),
    live=st.none() | lives,
    absent_at=st.none() | moments,
    owned=st.none() | moments,
    endpoint=st.sampled_from([None, "endpoint", "another"]),
    base=st.sampled_from([None, "base"]),
    serving=st.none() | artifacts,
    vouched=st.none() | moments,
    last_good=st.none() | artifacts,
    versions=st.lists(artifacts, max_size=5).map(tuple),
    other_stack=st.sampled_from([None, "Llm"]),
    restore_at=st.none() | st.just(NOW + 50),
    passed=st.none() | artifacts,
    intent=st.none() | intents,
    failure=st.none() | failures,
    tags=st.dictionaries(st.just("team"), st.just("x"), max_size=1),
    drifted=st.none() | st.just("by hand"),
    recheck=st.none() | st.sampled_from(Recheck),
)
wants = st.none() | st.builds(
    DesiredAdapter,
    name=st.just("a"),
    component=st.just(NAME),
    artifact=artifacts,
    smoke=st.none() | st.just(SmokeRequest(body={"inputs": "x"})),
)
contexts = st.builds(
    PlanContext,
    now=st.just(NOW),
    generation=st.integers(1, 3),
    endpoint=st.just("endpoint"),
    base=st.just("base"),
    update_mode=st.sampled_from(UpdateMode),
    deletes=st.booleans(),
    foreign=st.dictionaries(st.just(NAME), moments, max_size=1),
    claims=st.dictionaries(st.just(NAME), moments, max_size=1),
)


@given(records, wants, contexts)
def test_every_state_has_a_next_step(
    record: AdapterRecord, want: DesiredAdapter | None, context: PlanContext
) -> None:
    settled, _ = settle(record, want, context)
    decision = decide(settled, want, context)
    assert decision.step in Step
    assert (decision.artifact is not None) == (decision.step in (Step.CREATE, Step.UPDATE))


@given(records, wants, contexts)
def test_what_is_settled_stays_as_it_is(
    record: AdapterRecord, want: DesiredAdapter | None, context: PlanContext
) -> None:
    settled, _ = settle(record, want, context)
    again, events = settle(settled, want, context)
    assert again == settled
    assert events == []


@given(records, wants, contexts)
def test_component_that_is_not_known_to_be_the_fleets_is_not_written_on(
    record: AdapterRecord, want: DesiredAdapter | None, context: PlanContext
) -> None:
    settled, _ = settle(record, want, context)
    decision = decide(settled, want, context)
    live = settled.live
    if live is not None and settled.owned != live.created and decision.step.writes:
        assert decision.step is Step.CLAIM
        assert want is not None
        assert context.claims[NAME] == live.created


@given(records, wants, contexts)
def test_component_that_is_wanted_and_serves_is_deleted_only_where_that_is_allowed(
    record: AdapterRecord, want: DesiredAdapter | None, context: PlanContext
) -> None:
    settled, _ = settle(record, want, context)
    decision = decide(settled, want, context)
    live = settled.live
    if want is not None and decision.step is Step.DELETE and live is not None:
        elsewhere = settled.endpoint == "another" or settled.base == "another"
        replaces = context.update_mode is UpdateMode.REPLACE
        assert live.status is Status.FAILED or elsewhere or replaces


@given(records, wants, contexts)
def test_component_in_transition_is_left_alone(
    record: AdapterRecord, want: DesiredAdapter | None, context: PlanContext
) -> None:
    settled, _ = settle(record, want, context)
    decision = decide(settled, want, context)
    if settled.live is not None and settled.live.status.in_transition:
        assert not decision.step.writes or decision.step is Step.CLAIM


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
    context = PlanContext(now=NOW, generation=1, endpoint="endpoint", base="base")
    settled, events = settle(record, DesiredAdapter(name="a", component=NAME, artifact=served), context)
    assert settled.serving == served
    assert [event.what for event in events] == ["adopted"]
    assert (settled.failure is None) == (of_what_serves and cause.retried)


@given(records, wants, contexts)
def test_plan_of_the_same_state_is_the_same(
    record: AdapterRecord, want: DesiredAdapter | None, context: PlanContext
) -> None:
    wanted = {} if want is None else {NAME: want}
    assert plan({NAME: record}, wanted, context) == plan({NAME: record}, wanted, context)


@given(records, lives)
def test_older_listing_changes_nothing_that_is_known(
    record: AdapterRecord, listed: ObservedComponent
) -> None:
    live = record.live
    seen = merge_listing({NAME: record}, {NAME: listed}, base="base")[NAME]
    if live is not None and (listed.created, listed.modified) < (live.created, live.modified):
        assert seen == replace(record, live=replace(live, doubtful=False))


@pytest.mark.parametrize(
    ("fleet", "deleted", "setting"),
    [
        (100, 20, None),
        (100, 21, "deletion_guard"),
        (10, 9, None),
        (11, 3, "deletion_guard"),
        (1, 1, "allow_empty"),
    ],
)
def test_deletions_above_the_share_are_refused(fleet: int, deleted: int, setting: str | None) -> None:
    live = ObservedComponent(status=Status.IN_SERVICE, created=NOW, modified=NOW)
    records = {
        f"p-{number}": AdapterRecord(name=str(number), component=f"p-{number}", live=live, owned=NOW)
        for number in range(fleet)
    }
    wanted = {
        name: DesiredAdapter(name=name, component=name, artifact=Artifact(uri="s3://b/1.tar.gz"))
        for name in list(records)[deleted:]
    }
    target = Target(endpoint="endpoint", base="base", prefix="p", settings=FleetSettings())
    reason = refusal(records, wanted, target)
    assert (reason is None) == (setting is None)
    if setting is not None:
        assert reason is not None
        assert setting in reason


def test_share_of_deletions_is_a_setting() -> None:
    with pytest.raises(ValueError, match=r"'share' should be from 0 to 1, got 1\.5"):
        DeletionLimit(share=1.5)
