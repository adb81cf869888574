"""The versions of an adapter that have served, and those that need no evaluation now."""

from collections.abc import Iterable
from functools import cached_property

from adapter_fleet.fleet.state.records import AdapterRecord
from adapter_fleet.fleet.state.registry import Registry
from adapter_fleet.fleet.state.routes import Route
from adapter_fleet.manifest.desired import Artifact


def served_versions(records: Iterable[AdapterRecord], route: Route | None) -> tuple[Artifact, ...]:
    """Return the versions of an adapter that have served, each once, the latest first.

    A record is forgotten with its component, and the route still lists the version. One that a canary took
    back has not served.

    records:
        Those of the adapter's components.
    """
    served: list[Artifact] = []
    for version in () if route is None else (one.artifact for one in route.served):
        if not any(map(version.same_as, served)):
            served.append(version)
    taken_back = [] if route is None else [one.artifact for one in route.versions if one.abandoned]
    for version in (version for record in records for version in record.versions):
        if not any(map(version.same_as, served)) and not any(map(version.same_version_as, taken_back)):
            served.append(version)
    return tuple(served)


class KnownVersions:
    """The versions of the manifest in force, and those that the registry remembers to have served.

    So a bar that is turned on or raised stops no other change, and a person can go back to an earlier
    version by its manifest. Reads the registry when it is asked.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def __call__(self, adapter: str, digest: str) -> bool:
        """Return True if the fleet has accepted this version of an adapter before."""
        name = adapter.casefold()
        return self._in_force.get(name) == digest or digest in self._served.get(name, ())

    @cached_property
    def _in_force(self) -> dict[str, str | None]:
        fleet = self._registry.fleet()
        if fleet is None or not fleet.converged:
            return {}
        desired = self._registry.generations.desired(fleet.converged)
        return {adapter.name.casefold(): adapter.artifact.digest for adapter in desired.adapters}

    @cached_property
    def _served(self) -> dict[str, set[str | None]]:
        records: dict[str, list[AdapterRecord]] = {}
        for record in self._registry.records.all().values():
            records.setdefault(record.name, []).append(record)
        routes, served = self._registry.routes.read()[0], dict[str, set[str | None]]()
        for name in records.keys() | routes.keys():
            own = records.get(name, [])
            answering = [version for record in own for version in (record.serving, record.last_good)]
            versions = [*served_versions(own, routes.get(name)), *filter(None, answering)]
            served.setdefault(name.casefold(), set()).update(version.digest for version in versions)
        return served
