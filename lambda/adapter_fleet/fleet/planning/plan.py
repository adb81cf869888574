"""The plan of a fleet: the next step for each of its components.

Settling and deciding read nothing but their arguments, so the same state gives the same plan, in the Lambda
and on the command line.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from adapter_fleet.fleet.planning.context import PlanContext
from adapter_fleet.fleet.planning.decide import Decision, Step, decide
from adapter_fleet.fleet.planning.observe import new_record
from adapter_fleet.fleet.planning.settle import settle
from adapter_fleet.fleet.state.records import AdapterRecord
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


def plan(
    records: Mapping[str, AdapterRecord], wanted: Mapping[str, DesiredAdapter], context: PlanContext
) -> Plan:
    """Return the next step for each component that is stored, observed or wanted."""
    decisions = {}
    for component in sorted(records.keys() | wanted.keys()):
        want = wanted.get(component)
        record, _ = settle(records.get(component) or new_record(component, want), want, context)
        decisions[component] = decide(record, want, context)
    return Plan(decisions=decisions)
