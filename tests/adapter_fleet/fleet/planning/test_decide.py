"""The next step of a component is defined and allowed, whatever the registry and SageMaker say."""

import pytest
from hypothesis import given, settings

from adapter_fleet.fleet.planning.context import PlanContext
from adapter_fleet.fleet.planning.decide import Step, decide
from adapter_fleet.fleet.planning.plan import plan
from adapter_fleet.fleet.planning.settle import settle
from adapter_fleet.fleet.state.components import Status
from adapter_fleet.fleet.state.records import AdapterRecord
from adapter_fleet.manifest.desired import DesiredAdapter
from tests.adapter_fleet.fleet.planning.states import NAME, contexts, records, wants


@pytest.mark.slow
@settings(max_examples=250)
@given(records, wants, contexts)
def test_every_state_has_a_next_step_that_is_allowed(
    record: AdapterRecord, want: DesiredAdapter | None, context: PlanContext
) -> None:
    settled, _ = settle(record, want, context)
    decision = decide(settled, want, context)
    step, live = decision.step, settled.live
    takes_artifact = step in (Step.CREATE, Step.UPDATE, Step.CONFIRM) or decision.restores
    assert (decision.artifact is not None) == takes_artifact
    if live is not None and settled.owned != live.created and step.writes:
        # It is not known to be the fleet's.
        assert step is Step.CLAIM
        assert want is not None
        assert context.claims[NAME] == live.created
    if live is not None and live.status.in_transition:
        assert not step.writes or step is Step.CLAIM
    if live is not None and want is not None and step is Step.DELETE:
        elsewhere = settled.endpoint == "another" or settled.base == "another"
        assert live.status is Status.FAILED or elsewhere
    wanted = {} if want is None else {NAME: want}
    assert plan({NAME: record}, wanted, context) == plan({NAME: record}, wanted, context)
