"""The adapters of a fleet whose use is counted: their components, names and tags."""

from collections.abc import Mapping
from dataclasses import dataclass

from adapter_fleet.fleet.state.generations import Generation, Source, Target
from adapter_fleet.fleet.state.registry import Registry
from adapter_fleet.manifest.desired import DesiredFleet


def no_value(tag: str) -> str:
    """Return the key of adapters that do not have a tag, or are in no manifest any more."""
    return f"(no {tag})"


@dataclass(frozen=True, kw_only=True)
class FleetMembers:
    """The adapters of a fleet.

    target:
        The endpoint and the base model that they run on.
    declared:
        The tags of the adapters in the manifest, by component. Those of the app are among them.
    names:
        Names by component; also of adapters that still exist, but are in no manifest, and of versions that
        are gone, but were used lately.
    """

    target: Target
    declared: Mapping[str, Mapping[str, str]]
    names: Mapping[str, str]

    @classmethod
    def of(cls, registry: Registry, newest: Generation) -> "FleetMembers":
        """Return the adapters of the generation in force, which may be an earlier one than the newest."""
        active = registry.lineage.active(newest) or newest
        deleted = active.request.source is Source.DELETION
        desired = DesiredFleet() if deleted else registry.generations.desired(active.number)
        present = {record.component: record.name for record in registry.records.all().values()}
        present |= {adapter.component: adapter.name for adapter in desired.adapters}
        target = newest.request.target
        # By name, as each version of an adapter may be a component of its own.
        tags = {adapter.name: {**target.tags, **adapter.tags} for adapter in desired.adapters}
        declared = {component: tags[name] for component, name in present.items() if name in tags}
        routes = registry.routes.read().routes.values()
        routed = {version.component: route.adapter for route in routes for version in route.all_versions}
        return cls(target=target, declared=declared, names={**routed, **present})

    def keys(self, tag: str | None) -> dict[str, str]:
        """Return by component what its use is summed by: the value of a tag, or its name for None."""
        if tag is None:
            return dict(self.names)
        tags = {self.names[component]: tags for component, tags in self.declared.items()}
        return {
            component: tags.get(name, {}).get(tag, no_value(tag)) for component, name in self.names.items()
        }
