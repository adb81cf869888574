"""Reading the components of an endpoint, and the metrics of one, from AWS."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.aws.metric_reader import MetricReader, Series
from adapter_fleet.common.naming import did_you_mean
from adapter_fleet.fleet.state.components import ObservedComponent
from adapter_fleet.fleet.state.registry import Registry
from adapter_fleet.fleet.state.sagemaker_port import MissingError, ServiceError
from adapter_fleet.fleet.steps.archive_verification import known_problem, look_at_serving
from adapter_fleet.manifest.desired import Artifact
from adapters_cli.aws.account import Account
from adapters_cli.aws.worker_threads import read_each
from adapters_cli.output.errors import CommandError, NoAnswerError

LARGE_PAGES = {"PageSize": 100}
"""SageMaker's listings have 10 on a page by default, and 100 at most."""


def meant_name(name: str, known: Callable[[], Iterable[str]]) -> str:
    """Return a hint to add to the error of an unknown name; nothing if the caller may not list the known."""
    try:
        return did_you_mean(name, known())
    except (BotoCoreError, ClientError, ServiceError):
        return ""


def endpoint_names(account: Account) -> list[str]:
    """Return the names of all endpoints."""
    pages = account.client("sagemaker").get_paginator("list_endpoints").paginate(PaginationConfig=LARGE_PAGES)
    return sorted(found["EndpointName"] for page in pages for found in page["Endpoints"])


def no_endpoint(account: Account, name: str) -> NoAnswerError:
    """Return the error of an endpoint that does not exist, with the name that may be meant."""
    meant = meant_name(name, lambda: endpoint_names(account))
    return NoAnswerError(f"endpoint '{name}' is not there, or has no component{meant}")


def described_component(account: Account, name: str) -> ObservedComponent:
    """Describe a component of any endpoint. Raises CommandError if it does not exist."""
    live = account.service.describe(name)
    if live is None:
        raise CommandError(f"there is no component '{name}'")
    return live


class EndpointComponents:
    """The components of one endpoint. Only reads."""

    def __init__(self, account: Account, endpoint: str) -> None:
        self._service = account.service
        self.endpoint = endpoint

    def listed(self) -> dict[str, ObservedComponent]:
        """List every component."""
        page = self._service.list_page(self.endpoint)
        found = page.components
        while page.next_token is not None:
            page = self._service.list_page(self.endpoint, token=page.next_token)
            found |= page.components
        return found

    def described(self, names: Iterable[str]) -> dict[str, ObservedComponent | None]:
        """Describe components; None for one that is gone."""
        return read_each(names, self._service.describe)

    def tags(self, lives: Mapping[str, ObservedComponent]) -> dict[str, dict[str, str]]:
        """Read the tags of listed components. Components that are gone are left out."""
        read = read_each(lives, lambda name: self._tags(name, lives[name]))
        return {name: tags for name, tags in read.items() if tags is not None}

    def stacks(self, lives: Mapping[str, ObservedComponent]) -> dict[str, str]:
        """Return the CloudFormation stacks of listed components. Those of no stack are left out."""
        read = read_each(lives, lambda name: self._service.stack_of(name, lives[name]))
        return {name: stack for name, stack in read.items() if stack is not None}

    def unusable(self, artifacts: Iterable[Artifact], registry: Registry) -> dict[Artifact, str]:
        """Return what is wrong with archives in S3 that are missing or differ from what was recorded.

        An archive that the caller may not read counts as usable, and so does one that nobody has read yet.
        The fleet verifies both before it uses them.
        """
        checked = read_each(dict.fromkeys(artifacts), lambda artifact: self._problem(artifact, registry))
        return {artifact: problem for artifact, problem in checked.items() if problem is not None}

    def lost_archives(self, serving: Mapping[str, Artifact], registry: Registry) -> dict[str, str]:
        """Return by component why no new copy could load what serves.

        What the caller may not read is as the fleet's last drift check found it.
        """
        checked = read_each(serving, lambda name: self._lost(name, serving[name], registry))
        return {name: problem for name, problem in checked.items() if problem is not None}

    def _lost(self, name: str, artifact: Artifact, registry: Registry) -> str | None:
        try:
            verdict = look_at_serving(artifact, self._service, registry)
        except ServiceError:
            return None  # it did not answer, which shows nothing
        if not verdict.denied:
            return verdict.problem
        record = registry.records.find(name)
        return None if record is None else record.archive_trouble

    def _problem(self, artifact: Artifact, registry: Registry) -> str | None:
        try:
            return known_problem(artifact, self._service, registry)
        except ServiceError as error:
            return f"{artifact.uri} cannot be read: {error}"

    def _tags(self, name: str, live: ObservedComponent) -> dict[str, str] | None:
        try:
            return self._service.tags(name, live)
        except MissingError:
            return None


_PERIOD_SECONDS = 60

_QUERIES = (
    ("Invocations", "Sum"),
    ("Invocation4XXErrors", "Sum"),
    ("Invocation5XXErrors", "Sum"),
    ("ModelLatency", "Sum"),
    ("ModelLatency", "p99"),
)


@dataclass(frozen=True, kw_only=True)
class ComponentLoad:
    """What a component did in a span of time.

    mean_seconds, p99_seconds:
        Times of its container, the latter of the slowest minute; None without a request.
    """

    requests: float
    client_errors: float
    server_errors: float
    mean_seconds: float | None
    p99_seconds: float | None


def read_load(account: Account, component: str, start: float, end: float) -> ComponentLoad:
    """Read the load of a component between two times in seconds since 1970."""
    series = [(component, *query) for query in _QUERIES]
    values: dict[Series, list[float]] = {each: [] for each in series}
    reader = MetricReader(account.client("cloudwatch"))
    for each, _, value in reader.values(series, start, end, period=_PERIOD_SECONDS):
        values[each].append(value)
    requests, client_errors, server_errors, microseconds = (sum(values[each]) for each in series[:4])
    slowest = values[series[4]]
    return ComponentLoad(
        requests=requests,
        client_errors=client_errors,
        server_errors=server_errors,
        mean_seconds=microseconds / 1e6 / requests if requests else None,
        p99_seconds=max(slowest) / 1e6 if slowest else None,
    )
