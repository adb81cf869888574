"""The port to SageMaker: the calls that a fleet makes, and their errors.

Comments mark how sure a fact about SageMaker is. [V] was read in an API model, in official documentation, or
in the code of a public client, which may be named. [T] was reported by one third party. [I] is inferred.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from adapter_fleet.fleet.state.archive_version import ArchiveReading, ArchiveVersion
from adapter_fleet.fleet.state.components import ObservedBase, ObservedComponent
from adapter_fleet.manifest.desired import Artifact, SmokeRequest
from adapter_fleet.serving.completions import Completion, PromptRequest


class ServiceError(Exception):
    """A call failed."""


class ThrottledError(ServiceError):
    """SageMaker throttled the call and did nothing."""


class UnansweredError(ServiceError):
    """No conclusive answer came. The call may have taken effect."""


class ConflictError(ServiceError):
    """SageMaker refuses the write for now, because of the state of something."""


class MissingError(ServiceError):
    """The component does not exist."""


class ExistsError(ServiceError):
    """A component of that name exists."""


class RefusedError(ServiceError):
    """SageMaker refuses the call. The message is SageMaker's own."""


class LimitReachedError(RefusedError):
    """SageMaker refuses the call because a limit of the account is reached."""


class ModelFailedError(ServiceError):
    """The container answered a request with an error."""


class ComponentPage(NamedTuple):
    """One page of a listing, and the token of the next page; None after the last one."""

    components: dict[str, ObservedComponent]
    next_token: str | None


WRITE_OPERATIONS = frozenset(
    {
        "CreateInferenceComponent",
        "UpdateInferenceComponent",
        "DeleteInferenceComponent",
        "AddTags",
        "DeleteTags",
    }
)
READ_OPERATIONS = frozenset({"ListInferenceComponents", "DescribeInferenceComponent", "ListTags"})


@dataclass(frozen=True, kw_only=True)
class Requests:
    """The requests to one component in some minutes.

    errors:
        How many were answered with 4XX or 5XX.
    mean_latency:
        How long the container took for one, in microseconds; None if it is not known.
    unknown:
        Why nothing is known of them; empty if the rest says what happened.
    """

    count: float = 0.0
    errors: float = 0.0
    mean_latency: float | None = None
    unknown: str = ""


class SageMakerPort(Protocol):
    """SageMaker, S3, CloudWatch and CloudFormation in one account and region.

    Every method is one call, unless it says otherwise.

    All methods raise ThrottledError, UnansweredError and RefusedError.

    calls:
        The number of calls so far, by operation.
    """

    calls: Counter[str]

    def list_page(
        self, endpoint: str, *, token: str | None = None, created_after: float | None = None
    ) -> ComponentPage:
        """List a hundred components of an endpoint, or only of those created after a moment."""

    def describe(self, component: str) -> ObservedComponent | None:
        """Describe a component; None if it does not exist."""

    def describe_base(self, base: str) -> ObservedBase:
        """Describe a base component. Raises MissingError."""

    def tags(self, component: str, live: ObservedComponent) -> dict[str, str]:
        """Read the tags of a component. Raises MissingError."""

    def stack_of(self, component: str, live: ObservedComponent) -> str | None:
        """Return the CloudFormation stack that a component belongs to; None if it belongs to none.

        [V schema of the type, `cloudFormationSystemTags`] CloudFormation does not tag its components.
        """

    def create(
        self, component: str, *, endpoint: str, base: str, artifact: Artifact, tags: Mapping[str, str]
    ) -> str:
        """Create an adapter; return its ARN. Raises ExistsError, ConflictError, MissingError (the base)."""

    def update(self, component: str, artifact: Artifact) -> None:
        """Replace the artifact in place. Raises ConflictError, MissingError."""

    def delete(self, component: str) -> None:
        """Delete a component. Raises ConflictError, MissingError."""

    def tag(self, component: str, live: ObservedComponent, tags: Mapping[str, str]) -> None:
        """Add tags, and replace those with the same keys. Raises MissingError."""

    def untag(self, component: str, live: ObservedComponent, keys: list[str]) -> None:
        """Remove tags. Raises MissingError."""

    def find_archive(self, uri: str) -> ArchiveVersion | None:
        """Return the newest version of an archive in S3; None if there is none."""

    def read_archive(self, version: ArchiveVersion, stop: Callable[[], bool]) -> ArchiveReading:
        """Read an archive to its end, with several calls.

        Raises UnansweredError if `stop` returns True, or if another version has replaced this one.
        """

    def copy_archive(self, source: str, uri: str) -> None:
        """Copy an archive inside S3. Raises MissingError (the source)."""

    def ask(self, component: str, endpoint: str, smoke: SmokeRequest) -> str | None:
        """Send a smoke request; return what is wrong with the answer, None for a right answer.

        Raises if the request did not reach the adapter.
        """

    def requests(self, since: Mapping[str, float], until: float) -> dict[str, Requests]:
        """Count the requests to components, each since a moment, with one call or more for every 125."""

    def complete(self, component: str, endpoint: str, prompt: PromptRequest) -> Completion:
        """Return what a component generates for a prompt.

        Raises ModelFailedError for an answer that is an error or has no text. A container that refuses the
        form of the prompt gets it once more in another form.
        """
