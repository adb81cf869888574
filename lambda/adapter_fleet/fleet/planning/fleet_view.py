"""A fleet as it is now, and what its manifest and the orders make of it.

The passes, `adapters plan` and `adapters status` plan by one view. They differ in how they observe.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from adapter_fleet.fleet.planning.context import PlanContext
from adapter_fleet.fleet.planning.deletion_guard import count_deletions, refusal
from adapter_fleet.fleet.planning.desired_state import DesiredState
from adapter_fleet.fleet.planning.plan import NextStep, Plan, next_step, plan
from adapter_fleet.fleet.planning.releases import by_adapter, is_superseded
from adapter_fleet.fleet.state.records import AdapterRecord, Order
from adapter_fleet.fleet.state.routes import Route
from adapter_fleet.manifest.desired import DesiredAdapter


@dataclass(frozen=True, kw_only=True)
class FleetView:
    """What is wanted, what is recorded, and what else decisions depend on."""

    desired: DesiredState
    records: Mapping[str, AdapterRecord]
    context: PlanContext

    @classmethod
    def of(
        cls,
        adapters: Iterable[DesiredAdapter],
        orders: Collection[Order],
        records: Mapping[str, AdapterRecord],
        context: PlanContext,
        *,
        routes: Mapping[str, Route],
        unreadable: Mapping[str, str],
    ) -> "FleetView":
        """Return the view of a manifest's adapters; the context gets the claims among the orders.

        unreadable:
            Why the routes of some adapters cannot be read.
        """
        desired = DesiredState.of(
            adapters,
            orders,
            records,
            routes=routes,
            target=context.target,
            now=context.now,
            unreadable=unreadable,
        )
        left_alone = {record.component: record for record in desired.left_alone(records)}
        context = replace(context, claims=desired.claims)
        return cls(desired=desired, records={**records, **left_alone}, context=context)

    # --- the next steps

    def next_step(self, component: str) -> NextStep:
        """Settle the record of a component, and decide what comes next."""
        wanted = self.desired.wanted.get(component)
        return next_step(component, self.records.get(component), wanted, self.context)

    def plan(self) -> Plan:
        """Return the next step of each component."""
        return plan(self.records, self.desired.wanted, self.context)

    # --- the guard

    def refusal(self, *, hour_ago: Collection[str]) -> str | None:
        """Return why the guard refuses the manifest; None if it does not.

        hour_ago:
            What `components_an_hour_before` returns.
        """
        desired = self.desired
        records = by_adapter(desired.versions, self.records, desired.declared)
        reason = refusal(records, desired.declared, self.context.target, hour_ago=hour_ago)
        return reason or desired.versions.clash

    def counted(self, *, spares_adopted: bool = False) -> dict[str, AdapterRecord]:
        """Return the records that the generation counts for deletion, as `count_deletions` marks them."""
        return count_deletions(
            self.records,
            self.desired.wanted,
            self.context.target,
            generation=self.context.generation,
            spares_adopted=spares_adopted,
        )

    def deleted(self, leaving: Iterable[str]) -> int:
        """Return how many adapters go with these components that are not wanted."""
        declared = self.desired.declared
        records = {component: self.records[component] for component in leaving}
        return len(by_adapter(self.desired.versions, records, declared).keys() - declared.keys())

    def superseded(self) -> dict[str, AdapterRecord]:
        """Return the records of earlier versions that nobody is sent to, counted for deletion."""
        return {
            component: replace(record, counted=self.context.generation)
            for component, record in self.records.items()
            if is_superseded(self.desired.versions, record)
        }

    def with_records(self, changed: Mapping[str, AdapterRecord]) -> "FleetView":
        """Return the view with these records changed."""
        return replace(self, records={**self.records, **changed})
