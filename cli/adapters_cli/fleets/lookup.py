"""Finding the adapters that a person names."""

from collections.abc import Iterable

from adapter_fleet.common.naming import component_name
from adapter_fleet.fleet.state.records import AdapterRecord
from adapter_fleet.manifest.desired import DesiredAdapter
from adapters_cli.aws.account import CommandError
from adapters_cli.fleets.fleet import Fleet
from adapters_cli.fleets.fleet_status import Overview, wanted


def component_of(fleet: Fleet, name: str) -> str:
    """Return the component of an adapter's name, or of a component's own, though it may be gone."""
    newest = fleet.registry.generation(fleet.record.generation)
    desired = wanted(fleet.registry, newest).adapters if newest is not None else ()
    known = [(adapter.name, adapter.component) for adapter in desired]
    known += [(record.name, record.component) for record in fleet.registry.records().values()]
    for column in (0, 1):
        for names in known:
            if names[column] == name:
                return names[1]
    prefix = newest.request.target.prefix if newest is not None else ""
    if not prefix or name.startswith(f"{prefix}-"):
        return name
    try:
        return component_name(prefix, name)
    except ValueError:
        return name


class Adapters:
    """The adapters of a fleet: what is remembered and what is wanted, by the names that people use."""

    def __init__(self, fleet: Fleet, seen: Overview) -> None:
        self._records = fleet.registry.records()
        self._wanted = {
            adapter.component: adapter for adapter in wanted(fleet.registry, seen.active).adapters
        }
        self._components = {record.name: record.component for record in self._records.values()}
        self._components |= {adapter.name: adapter.component for adapter in self._wanted.values()}

    def named(self, names: Iterable[str]) -> list[tuple[AdapterRecord | None, DesiredAdapter | None]]:
        """Return the adapters of these names, or of components; CommandError with all that are not there."""
        components = {name: self._component(name) for name in dict.fromkeys(names)}
        missing = [name for name, component in components.items() if component is None]
        if missing:
            raise CommandError("\n".join(f"the fleet has no adapter '{name}'" for name in missing))
        return [
            (self._records.get(component), self._wanted.get(component))
            for component in components.values()
            if component is not None
        ]

    def _component(self, name: str) -> str | None:
        if name in self._components:
            return self._components[name]
        return name if name in self._records or name in self._wanted else None
