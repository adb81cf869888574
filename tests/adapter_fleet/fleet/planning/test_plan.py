"""The plan is deterministic."""

from __future__ import annotations

from hypothesis import given

from adapter_fleet.fleet.planning.context import PlanContext
from adapter_fleet.fleet.planning.plan import plan
from adapter_fleet.fleet.state.records import AdapterRecord
from adapter_fleet.manifest.desired import DesiredAdapter
from tests.adapter_fleet.fleet.planning.states import NAME, contexts, records, wants


@given(records, wants, contexts)
def test_plan_of_the_same_state_is_the_same(
    record: AdapterRecord, want: DesiredAdapter | None, context: PlanContext
) -> None:
    wanted = {} if want is None else {NAME: want}
    assert plan({NAME: record}, wanted, context) == plan({NAME: record}, wanted, context)
