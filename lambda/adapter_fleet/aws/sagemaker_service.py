"""SageMaker through boto3: the calls that a fleet makes, and the meaning of their errors."""

import hashlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from adapter_fleet.aws.invocations import Invocations
from adapter_fleet.aws.metric_reader import MetricReader
from adapter_fleet.aws.s3_objects import S3Archives
from adapter_fleet.common.aws_errors import Meaning, code_of, meaning_of, message_of
from adapter_fleet.fleet.state.archive_version import ArchiveReading, ArchiveVersion
from adapter_fleet.fleet.state.components import ObservedBase, ObservedComponent, Status
from adapter_fleet.fleet.state.sagemaker_port import (
    ComponentPage,
    ConflictError,
    ExistsError,
    LimitReachedError,
    MissingError,
    ModelFailedError,
    RefusedError,
    Requests,
    ServiceError,
    ThrottledError,
    UnansweredError,
)
from adapter_fleet.manifest.desired import Artifact, SmokeRequest
from adapter_fleet.serving.completions import Completion, PromptRequest

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient
    from types_boto3_s3 import S3Client
    from types_boto3_sagemaker import SageMakerClient
    from types_boto3_sagemaker_runtime import SageMakerRuntimeClient

MAX_SEARCH_SECONDS = 2.0

# Pattern and text go through standard input, as an argument holds no NUL and at most 128 KiB.
_SEARCH = "import json, re, sys; sys.exit(0 if re.search(*json.load(sys.stdin)) else 3)"


def matches(pattern: str, text: str, *, seconds: float = MAX_SEARCH_SECONDS) -> bool:
    """Search a text for a regular expression. A search that takes longer than `seconds` counts as no match.

    The search runs in its own process, as Python's `re` blocks all threads and cannot be stopped. Raises
    ChildProcessError if that process is killed, for example for want of memory.
    """
    command = [sys.executable, "-I", "-S", "-c", _SEARCH]
    given = json.dumps([pattern, text]).encode()
    try:
        done = subprocess.run(command, input=given, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return False
    if done.returncode < 0:
        raise ChildProcessError(f"the search for {pattern[:200]!r} was ended by signal {-done.returncode}")
    return done.returncode == 0


CLIENT_CONFIG = Config(
    # No retries: the reconciler decides about them with what the registry knows.
    retries={"total_max_attempts": 1},
    connect_timeout=3,
    read_timeout=20,
    max_pool_connections=16,
)
"""For all clients but the runtime's. Both timeouts together are below `CALL_SECONDS` of `steps/task.py`."""

RUNTIME_CONFIG = Config(retries={"total_max_attempts": 1}, connect_timeout=3, read_timeout=60)
"""[V] A container has a minute to answer, and may have to load the adapter first.

Both timeouts together are below `ASK_SECONDS` of `steps/smoke_requests.py`.
"""

_PAGE_COMPONENTS = 100
"""The most that one page of a listing may have (botocore's service model)."""

_NO_STACK = "ValidationError"
"""[T] Code of CloudFormation for a resource that no stack has."""

_ERRORS = {
    Meaning.THROTTLED: ThrottledError,
    Meaning.MISSING: MissingError,
    Meaning.EXISTS: ExistsError,
    Meaning.CONFLICT: ConflictError,
    Meaning.QUOTA: LimitReachedError,
    Meaning.UNAVAILABLE: UnansweredError,
}


class SageMakerService:
    """`SageMakerPort` by boto3's clients, which need `CLIENT_CONFIG` and `RUNTIME_CONFIG`.

    cloudwatch:
        Only `requests` needs it.
    """

    def __init__(
        self,
        *,
        sagemaker: "SageMakerClient",
        runtime: "SageMakerRuntimeClient",
        s3: "S3Client",
        cloudformation: "CloudFormationClient",
        cloudwatch: Any = None,
    ) -> None:
        self._sagemaker = sagemaker
        self._cloudformation = cloudformation
        self._invocations = Invocations(runtime, self._call)
        self._archives = S3Archives(s3, self._call)
        self._metrics = MetricReader(cloudwatch)
        self.calls: Counter[str] = Counter()

    def list_page(
        self, endpoint: str, *, token: str | None = None, created_after: float | None = None
    ) -> ComponentPage:
        """List a hundred components of an endpoint, or only of those created after a moment."""
        options: dict[str, Any] = {} if token is None else {"NextToken": token}
        if created_after is not None:
            options["CreationTimeAfter"] = datetime.fromtimestamp(created_after, UTC)
        with self._call("ListInferenceComponents"):
            # Sorted by a time that does not change, so that no component moves to another page meanwhile.
            page = self._sagemaker.list_inference_components(
                EndpointNameEquals=endpoint,
                MaxResults=_PAGE_COMPONENTS,
                SortBy="CreationTime",
                SortOrder="Ascending",
                **options,
            )
        components = {
            summary["InferenceComponentName"]: ObservedComponent(
                status=Status(summary["InferenceComponentStatus"]),
                created=summary["CreationTime"].timestamp(),
                modified=summary["LastModifiedTime"].timestamp(),
                arn=summary["InferenceComponentArn"],
                endpoint=summary["EndpointName"],
            )
            for summary in page["InferenceComponents"]
        }
        return ComponentPage(components, page.get("NextToken"))

    def describe(self, component: str) -> ObservedComponent | None:
        """Describe a component; None if it does not exist."""
        try:
            with self._call("DescribeInferenceComponent"):
                found: Any = self._sagemaker.describe_inference_component(InferenceComponentName=component)
        except MissingError:
            return None
        return _observed(found)

    def describe_base(self, base: str) -> ObservedBase:
        """Describe a base component."""
        with self._call("DescribeInferenceComponent"):
            found: Any = self._sagemaker.describe_inference_component(InferenceComponentName=base)
        # A base on several instance types has a specification for each.
        specifications = found.get("Specifications") or [found.get("Specification", {})]
        runs = [part for one in specifications for part in (one.get("ModelName"), one.get("Container"))]
        version = hashlib.sha256(json.dumps(runs, sort_keys=True, default=str).encode()).hexdigest()[:16]
        return ObservedBase(
            live=_observed(found), version=version, copies=_copies(found), running=_running_copies(found)
        )

    def tags(self, component: str, live: ObservedComponent) -> dict[str, str]:
        """Read the tags of a component."""
        tags: dict[str, str] = {}
        token: dict[str, Any] = {}
        while True:
            with self._call("ListTags"):
                page = self._sagemaker.list_tags(
                    ResourceArn=_arn(component, live), MaxResults=_PAGE_COMPONENTS, **token
                )
            tags |= {tag["Key"]: tag["Value"] for tag in page["Tags"]}
            if "NextToken" not in page:
                return tags
            token = {"NextToken": page["NextToken"]}

    def stack_of(self, component: str, live: ObservedComponent) -> str | None:
        """Return the CloudFormation stack that a component belongs to; None if it belongs to none."""
        arn = _arn(component, live)
        with self._call("DescribeStackResources"):
            try:
                found = self._cloudformation.describe_stack_resources(PhysicalResourceId=arn)
            except ClientError as error:
                if code_of(error) != _NO_STACK:
                    raise
                return None
        # [V] The answer has the first hundred resources of the stack, so perhaps not the component itself.
        # [I] It may have one that the stack has given up.
        resources = found["StackResources"]
        own = [one for one in resources if one.get("PhysicalResourceId", "").lower() == arn.lower()]
        kept = [one for one in own or resources if not one["ResourceStatus"].startswith("DELETE_")]
        return kept[0]["StackName"] if kept else None

    def create(
        self, component: str, *, endpoint: str, base: str, artifact: Artifact, tags: Mapping[str, str]
    ) -> str:
        """Create an adapter component; return its ARN."""
        with self._call("CreateInferenceComponent"):
            # [V Terraform] An adapter has a base and an artifact. Compute and variant are the base's.
            created = self._sagemaker.create_inference_component(
                InferenceComponentName=component,
                EndpointName=endpoint,
                Specification={
                    "BaseInferenceComponentName": base,
                    "Container": {"ArtifactUrl": artifact.uri},
                },
                Tags=[{"Key": key, "Value": value} for key, value in sorted(tags.items())],
            )
        return created["InferenceComponentArn"]

    def update(self, component: str, artifact: Artifact) -> None:
        """Replace the artifact in place."""
        with self._call("UpdateInferenceComponent"):
            self._sagemaker.update_inference_component(
                InferenceComponentName=component,
                Specification={"Container": {"ArtifactUrl": artifact.uri}},
            )

    def delete(self, component: str) -> None:
        """Delete a component."""
        with self._call("DeleteInferenceComponent"):
            self._sagemaker.delete_inference_component(InferenceComponentName=component)

    def tag(self, component: str, live: ObservedComponent, tags: Mapping[str, str]) -> None:
        """Add tags, and replace those with the same keys."""
        with self._call("AddTags"):
            self._sagemaker.add_tags(
                ResourceArn=_arn(component, live),
                Tags=[{"Key": key, "Value": value} for key, value in sorted(tags.items())],
            )

    def untag(self, component: str, live: ObservedComponent, keys: list[str]) -> None:
        """Remove tags."""
        with self._call("DeleteTags"):
            self._sagemaker.delete_tags(ResourceArn=_arn(component, live), TagKeys=keys)

    def find_archive(self, uri: str) -> ArchiveVersion | None:
        """Return the newest version of an archive in S3; None if there is none."""
        return self._archives.find(uri)

    def read_archive(self, version: ArchiveVersion, stop: Callable[[], bool]) -> ArchiveReading:
        """Read an archive to its end. Raises UnansweredError if `stop` returns True."""
        return self._archives.read(version, stop)

    def copy_archive(self, source: str, uri: str) -> None:
        """Copy an archive inside S3."""
        self._archives.copy(source, uri)

    def ask(self, component: str, endpoint: str, smoke: SmokeRequest) -> str | None:
        """Send a smoke request; return what is wrong with the answer, None for a right answer."""
        try:
            text = self._invocations.text(component, endpoint, smoke)
            right = smoke.expect is None or matches(smoke.expect, text)
        except ModelFailedError as error:
            return str(error)
        except ChildProcessError as error:
            raise UnansweredError(str(error)) from None
        if not right:
            return f"the answer should match {smoke.expect!r}, got {text[:200]!r}"
        return None

    def complete(self, component: str, endpoint: str, prompt: PromptRequest) -> Completion:
        """Return what a component generates for a prompt."""
        return self._invocations.complete(component, endpoint, prompt)

    def requests(self, since: Mapping[str, float], until: float) -> dict[str, Requests]:
        """Count the requests to components, each since a moment."""
        with self._call("GetMetricData"):
            return self._metrics.counted(since, until)

    @contextmanager
    def _call(self, operation: str) -> Iterator[None]:
        self.calls[operation] += 1
        try:
            yield
        except ClientError as error:
            raise _error_of(error) from error
        except ParamValidationError as error:
            raise RefusedError(str(error)) from error  # it was never sent
        except BotoCoreError as error:
            raise UnansweredError(str(error)) from error


def _error_of(error: ClientError) -> ServiceError:
    """Return the error of the port that an error of AWS means."""
    code, message = code_of(error), message_of(error)
    kind = ModelFailedError if code == "ModelError" else _ERRORS.get(meaning_of(error), RefusedError)
    return kind(message if code == "ValidationException" else f"{code}: {message}")


def _observed(found: Mapping[str, Any]) -> ObservedComponent:
    """Return the observation of a describe."""
    specification = found.get("Specification", {})
    return ObservedComponent(
        status=Status(found["InferenceComponentStatus"]),
        created=found["CreationTime"].timestamp(),
        modified=found["LastModifiedTime"].timestamp(),
        arn=found["InferenceComponentArn"],
        endpoint=found["EndpointName"],
        artifact_uri=specification.get("Container", {}).get("ArtifactUrl"),
        base=specification.get("BaseInferenceComponentName"),
        failure_reason=found.get("FailureReason"),
        described=True,
    )


def _copies(found: Mapping[str, Any]) -> int:
    """Return how many copies a base has; during a change, the larger number.

    0 if it is scaled to zero. The first copy counts once it is there, and the last one until it is to go.
    """
    runs: Mapping[str, int] = found.get("RuntimeConfig", {})
    counts = [runs[key] for key in ("CurrentCopyCount", "DesiredCopyCount") if key in runs]
    return max(counts, default=1) if all(counts) else 0


def _running_copies(found: Mapping[str, Any]) -> int:
    """Return how many copies of a base there are now, whatever change of their number is under way."""
    return int(found.get("RuntimeConfig", {}).get("CurrentCopyCount", _copies(found)))


def _arn(component: str, live: ObservedComponent) -> str:
    if live.arn is None:
        raise MissingError(f"the ARN of {component} is not known")
    return live.arn
