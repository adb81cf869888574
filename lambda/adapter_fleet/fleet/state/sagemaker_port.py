"""SageMaker as a fleet needs it: the calls on inference components, and what can be wrong with each."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from adapter_fleet.fleet.state.archive_version import ArchiveVersion, ReadArchive
from adapter_fleet.fleet.state.records import Live, ObservedBase
from adapter_fleet.manifest.desired import Artifact, SmokeRequest


class ServiceError(Exception):
    """A call that did not do what was asked."""


class ThrottledError(ServiceError):
    """Too many calls; nothing was done."""


class UnansweredError(ServiceError):
    """No answer, or one that says nothing: it may have been done."""


class ConflictError(ServiceError):
    """Something is in a state in which the service refuses the write for now."""


class MissingError(ServiceError):
    """There is no such component."""


class ExistsError(ServiceError):
    """There is a component of that name."""


class RefusedError(ServiceError):
    """The service will not do it; the message is its own."""


class ModelFailedError(ServiceError):
    """The container answered a request with an error."""


class Service(Protocol):
    """The service, for one endpoint's account and region. Every method is one call, unless it says so.

    All raise ThrottledError, UnansweredError and RefusedError.

    calls:
        How many there were so far, by the operation's name.
    """

    calls: Counter[str]

    def pages(self, endpoint: str) -> Iterator[dict[str, Live]]:
        """List the components of an endpoint, a call for every hundred."""

    def describe(self, component: str) -> Live | None:
        """Describe a component, None where there is none."""

    def describe_base(self, base: str) -> ObservedBase:
        """Describe a base component. MissingError."""

    def tags(self, component: str, live: Live) -> dict[str, str]:
        """Read the tags of a component; MissingError where it is gone."""

    def create(
        self, component: str, *, endpoint: str, base: str, artifact: Artifact, tags: Mapping[str, str]
    ) -> str:
        """Create an adapter; return its ARN. ExistsError, ConflictError, MissingError (the base)."""

    def update(self, component: str, artifact: Artifact) -> None:
        """Serve another artifact in place. ConflictError, MissingError."""

    def delete(self, component: str) -> None:
        """Delete a component. ConflictError, MissingError."""

    def tag(self, component: str, live: Live, tags: Mapping[str, str]) -> None:
        """Add tags, and replace those of the same keys. MissingError."""

    def untag(self, component: str, live: Live, keys: list[str]) -> None:
        """Take tags away. MissingError."""

    def find_archive(self, uri: str) -> ArchiveVersion | None:
        """Ask S3 for the newest version of an archive; None where there is none."""

    def read_archive(self, version: ArchiveVersion, stop: Callable[[], bool]) -> ReadArchive:
        """Read an archive to its end, several calls; UnansweredError as soon as `stop` returns true.

        UnansweredError as well where another version has replaced it.
        """

    def copy_archive(self, source: str, uri: str) -> None:
        """Copy an archive inside S3. MissingError (the source)."""

    def ask(self, component: str, endpoint: str, smoke: SmokeRequest) -> str | None:
        """Send a smoke request; None if the answer is right, else what is wrong with it.

        A request that did not reach the adapter says nothing about it, and raises.
        """
