"""The plan of a fleet: the next step for each of its components.

Settling and deciding read nothing but their arguments, so the same state gives the same plan, in the Lambda
and on the command line.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from adapter_fleet.fleet.planning.context import PlanContext
from adapter_fleet.fleet.planning.decide import Decision, Step, decide
from adapter_fleet.fleet.planning.observe import new_record
from adapter_fleet.fleet.planning.settle import settle
from adapter_fleet.fleet.state.records import AdapterRecord, Event
from adapter_fleet.manifest.desired import DesiredAdapter


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The decision for every component of a fleet, and for the strangers on its endpoint."""

    decisions: Mapping[str, Decision]

    def components(self, *steps: Step) -> list[str]:
        """Return the components with one of these steps next, in the order of their names."""
        return sorted(name for name, decision in self.decisions.items() if decision.step in steps)

    @property
    def unknown(self) -> list[str]:
        """The components that have to be read before the next decision."""
        return sorted(name for name, decision in self.decisions.items() if decision.step.reads)


class NextStep(NamedTuple):
    """The settled record of a component, the events to note, and the decision."""

    record: AdapterRecord
    events: Sequence[Event]
    decision: Decision


def next_step(
    component: str, record: AdapterRecord | None, want: DesiredAdapter | None, context: PlanContext
) -> NextStep:
    """Settle the record of a component, and decide what comes next. A component without one gets one.

    A component whose record cannot be read fails, and is left alone.
    """
    if record is not None and record.unreadable is not None:
        return NextStep(record, (), Decision(step=Step.FAILED, why=record.unreadable))
    settled, events = settle(record or new_record(component, want), want, context)
    if want is not None and settled.name != want.name:
        settled = replace(settled, name=want.name)
    return NextStep(settled, events, decide(settled, want, context))


def plan(
    records: Mapping[str, AdapterRecord], wanted: Mapping[str, DesiredAdapter], context: PlanContext
) -> Plan:
    """Return the next step for each component that is stored, observed or wanted."""
    return Plan(
        decisions={
            component: next_step(component, records.get(component), wanted.get(component), context).decision
            for component in sorted(records.keys() | wanted.keys())
        }
    )
