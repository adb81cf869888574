"""Routes: which component answers for an adapter, and which ones did before."""

from dataclasses import dataclass, replace

from adapter_fleet.fleet.state.fleet_settings import ReleaseSettings
from adapter_fleet.fleet.state.records import MAX_VERSIONS
from adapter_fleet.manifest.desired import Artifact


@dataclass(frozen=True, kw_only=True)
class RoutedVersion:
    """One version of an adapter, and the component that has it.

    until:
        When the route ceased to name it; None while it does.
    drain_seconds:
        The longest drain that the fleet declared while the route named it, and when it ceased to.
    """

    component: str
    artifact: Artifact
    until: float | None = None
    drain_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Route:
    """The route of one adapter.

    versions:
        The version that answers, then the earlier ones, newest first.
    revision:
        How often the stored route was written; 0 for one that is not stored yet.
    drain_seconds:
        What the fleet declared when the route was written.
    """

    adapter: str
    versions: tuple[RoutedVersion, ...]
    revision: int = 0
    drain_seconds: float = 0.0

    @classmethod
    def first(cls, adapter: str, component: str, artifact: Artifact, releases: ReleaseSettings) -> "Route":
        """Return the first route of an adapter."""
        live = RoutedVersion(component=component, artifact=artifact)
        return cls(adapter=adapter, versions=(live,), drain_seconds=releases.drain_seconds)

    @property
    def live(self) -> RoutedVersion:
        """The version that answers."""
        return self.versions[0]

    def to(self, component: str, artifact: Artifact, *, now: float, releases: ReleaseSettings) -> "Route":
        """Return the route to another component, or to the same one with another artifact."""
        longest = max(self.drain_seconds, releases.drain_seconds)
        before = (replace(self.live, until=now, drain_seconds=longest), *self.versions[1:])
        others = tuple(version for version in before if version.component != component)
        live = RoutedVersion(component=component, artifact=artifact)
        routed = replace(self, versions=(live, *others), drain_seconds=releases.drain_seconds)
        stay = routed.in_force(releases, now)
        listed = [version for index, version in enumerate(others) if index < MAX_VERSIONS or version in stay]
        return replace(routed, versions=(live, *listed))

    def in_force(self, releases: ReleaseSettings, now: float) -> list[RoutedVersion]:
        """Return the versions that stay: callers may still be sent there, or a rollback goes back there."""
        drained = self.drained_at(releases)
        return [version for version in self.versions if drained.get(version.component, now + 1) > now]

    def drained_at(self, releases: ReleaseSettings) -> dict[str, float]:
        """Return when the versions to which no rollback goes back are drained, by component."""
        return {
            version.component: version.until + max(releases.drain_seconds, version.drain_seconds)
            for version in self.versions[releases.keep + 1 :]
            if version.until is not None
        }
