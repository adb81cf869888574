"""The versions that a fleet has accepted before, and that need no evaluation now."""

from functools import cached_property

from adapter_fleet.fleet.state.registry import Registry


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
        desired = self._registry.desired(fleet.converged)
        return {adapter.name.casefold(): adapter.artifact.digest for adapter in desired.adapters}

    @cached_property
    def _served(self) -> dict[str, set[str | None]]:
        served: dict[str, set[str | None]] = {}
        for record in self._registry.records().values():
            versions = (record.serving, record.last_good, *record.versions)
            found = {version.digest for version in versions if version is not None}
            served.setdefault(record.name.casefold(), set()).update(found)
        return served
