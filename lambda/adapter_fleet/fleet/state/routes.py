"""Routes: which component answers for an adapter, and which ones did before."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from adapter_fleet.fleet.state.fleet_settings import ReleaseSettings
from adapter_fleet.fleet.state.records import MAX_VERSIONS
from adapter_fleet.manifest.desired import Artifact

MAX_DRAINING = 22
"""How many versions to which no rollback goes back a route names; of more, the oldest are drained early.

With these, the five before the one that answers, a candidate, and the longest texts, its item has 390 of
DynamoDB's 400 KB.
"""


@dataclass(frozen=True, kw_only=True)
class RoutedVersion:
    """One version of an adapter, and the component that has it.

    until:
        When the route ceased to name it; None while it does.
    drain_seconds:
        The longest drain that the fleet declared while the route named it, and when it ceased to.
    abandoned:
        True for a candidate that came to nothing: it leaves once it is drained.
    """

    component: str
    artifact: Artifact
    until: float | None = None
    drain_seconds: float = 0.0
    abandoned: bool = False

    def without_texts(self) -> "RoutedVersion":
        """Return the version without what only a rollback to it needs."""
        return replace(self, artifact=replace(self.artifact, probe=None, evaluation=None))


@dataclass(frozen=True, kw_only=True)
class Candidate(RoutedVersion):
    """The version that answers a share of the callers.

    percent, since:
        The share, from 1 to 99, and when it began.
    declared:
        The share that the manifest had then; None if it had none.
    judged:
        When the fleet last compared it with the version that answers the others, or its share began.
    held:
        Why its share stayed then.
    """

    percent: int
    since: float
    declared: int | None
    judged: float
    held: str = ""


@dataclass(frozen=True, kw_only=True)
class PublishedRoute:
    """What callers of an adapter read.

    percent:
        The share of the candidate in percent; 0 without one.
    revision:
        That of the route that was written with it.
    """

    component: str
    candidate: str = ""
    percent: int = 0
    revision: int = 0


@dataclass(frozen=True, kw_only=True)
class Route:
    """The route of one adapter.

    versions:
        The version that answers, then the earlier ones, newest first, and then abandoned ones.
    candidate:
        The version that answers a share of the callers; None if the first of `versions` answers all.
    revision:
        How often the stored route was written; 0 for one that is not stored yet.
    drain_seconds:
        What the fleet declared when the route was written.
    """

    adapter: str
    versions: tuple[RoutedVersion, ...]
    candidate: Candidate | None = None
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
        """Return the route of all callers to another component, or to the same one with another artifact."""
        live = RoutedVersion(component=component, artifact=artifact)
        earlier = self._left(self.live, now=now, releases=releases)
        others = self.without_candidate(now=now, releases=releases).versions[1:]
        routed = replace(self, candidate=None, drain_seconds=releases.drain_seconds)
        return routed._with((live, earlier, *others), now=now, releases=releases)

    def with_candidate(self, candidate: Candidate) -> "Route":
        """Return the route of a share of the callers to a candidate."""
        others = tuple(version for version in self.versions if version.component != candidate.component)
        return replace(self, versions=others, candidate=candidate)

    def without_candidate(self, *, now: float, releases: ReleaseSettings) -> "Route":
        """Return the route of all callers to the version that answers most of them."""
        candidate = self.candidate
        if candidate is None:
            return self
        left = RoutedVersion(component=candidate.component, artifact=candidate.artifact, abandoned=True)
        left = self._left(left.without_texts(), now=now, releases=releases)
        return replace(self, candidate=None)._with((*self.versions, left), now=now, releases=releases)

    def left_at(self, now: float, *, after: float) -> "Route":
        """Return the route that ceases now to name what it was to cease to name after a moment."""
        versions = tuple(
            version
            if version.until is None or version.until < after
            else replace(version, until=max(now, version.until))
            for version in self.versions
        )
        return replace(self, versions=versions)

    def _left(self, version: RoutedVersion, *, now: float, releases: ReleaseSettings) -> RoutedVersion:
        longest = max(self.drain_seconds, releases.drain_seconds)
        return replace(version, until=now, drain_seconds=longest)

    def _with(self, versions: Sequence[RoutedVersion], *, now: float, releases: ReleaseSettings) -> "Route":
        """Return the route with these versions: each component once, and few of those that only drain."""
        each: dict[str, RoutedVersion] = {}
        for version in versions:
            each.setdefault(version.component, version)
        routed = replace(self, versions=tuple(each.values()))
        stay = routed.in_force(releases, now)
        last = MAX_VERSIONS + 1
        draining = [version for version in routed.versions[last:] if version in stay]
        newest = sorted(draining, key=lambda version: version.until or now)[-MAX_DRAINING:]
        # Each is small, as there may be many.
        listed = [version.without_texts() for version in draining if version in newest]
        return replace(routed, versions=(*routed.versions[:last], *listed))

    @property
    def answering(self) -> tuple[RoutedVersion, ...]:
        """The version that answers, and the candidate."""
        return (self.live,) if self.candidate is None else (self.live, self.candidate)

    @property
    def published(self) -> PublishedRoute:
        """What callers are to read."""
        candidate = self.candidate
        return PublishedRoute(
            component=self.live.component,
            candidate="" if candidate is None else candidate.component,
            percent=0 if candidate is None else candidate.percent,
            revision=self.revision,
        )

    @property
    def served(self) -> list[RoutedVersion]:
        """The versions that answer or have answered all callers."""
        return [version for version in self.versions if not version.abandoned]

    @property
    def all_versions(self) -> tuple[RoutedVersion, ...]:
        """The versions, and the candidate."""
        return (*self.versions, *self.answering[1:])

    def in_force(self, releases: ReleaseSettings, now: float) -> list[RoutedVersion]:
        """Return the versions that stay: callers may still be sent there, or a rollback goes back there."""
        drained = self.drained_at(releases)
        return [version for version in self.all_versions if drained.get(version.component, now + 1) > now]

    def drained_at(self, releases: ReleaseSettings) -> dict[str, float]:
        """Return when the versions to which no rollback goes back are drained, by component."""
        return {
            version.component: version.until + max(releases.drain_seconds, version.drain_seconds)
            for index, version in enumerate(self.versions)
            if version.until is not None and (index > min(releases.keep, MAX_VERSIONS) or version.abandoned)
        }


class StoredRoutes(NamedTuple):
    """The routes in a registry, by adapter.

    unreadable:
        Why a row cannot be used.
    edited:
        The revisions of the rows among these that can be read, but that somebody edited.
    """

    routes: dict[str, Route]
    unreadable: dict[str, str]
    edited: dict[str, int]
