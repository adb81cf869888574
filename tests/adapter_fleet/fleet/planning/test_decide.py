"""The next step of a component is defined and allowed, whatever the registry and SageMaker say."""

from __future__ import annotations

from hypothesis import given

from adapter_fleet.fleet.planning.context import PlanContext
from adapter_fleet.fleet.planning.decide import Step, decide
from adapter_fleet.fleet.planning.plan import plan
from adapter_fleet.fleet.planning.settle import settle
from adapter_fleet.fleet.state.components import Status
from adapter_fleet.fleet.state.fleet_settings import UpdateMode
from adapter_fleet.fleet.state.records import AdapterRecord
from adapter_fleet.manifest.desired import DesiredAdapter
from tests.adapter_fleet.fleet.planning.states import NAME, contexts, records, wants


@given(records, wants, contexts)
def test_every_state_has_a_next_step(
    record: AdapterRecord, want: DesiredAdapter | None, context: PlanContext
) -> None:
    settled, _ = settle(record, want, context)
    decision = decide(settled, want, context)
    assert decision.step in Step
    assert (decision.artifact is not None) == (decision.step in (Step.CREATE, Step.UPDATE))


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
        replaces = context.target.settings.update_mode is UpdateMode.REPLACE
        assert live.status is Status.FAILED or elsewhere or replaces


@given(records, wants, contexts)
def test_component_in_transition_is_left_alone(
    record: AdapterRecord, want: DesiredAdapter | None, context: PlanContext
) -> None:
    settled, _ = settle(record, want, context)
    decision = decide(settled, want, context)
    if settled.live is not None and settled.live.status.in_transition:
        assert not decision.step.writes or decision.step is Step.CLAIM


@given(records, wants, contexts)
def test_plan_of_the_same_state_is_the_same(
    record: AdapterRecord, want: DesiredAdapter | None, context: PlanContext
) -> None:
    wanted = {} if want is None else {NAME: want}
    assert plan({NAME: record}, wanted, context) == plan({NAME: record}, wanted, context)
