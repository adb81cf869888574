"""The entry points of the Lambda functions. Thin: they make the clients, and call what does the work."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.aws.dynamodb_registry import DynamoDbRegistry
from adapter_fleet.aws.sagemaker_service import CLIENT_CONFIG, RUNTIME_CONFIG, SageMakerService
from adapter_fleet.aws.telemetry import FleetTelemetry
from adapter_fleet.common.aws_errors import code_of
from adapter_fleet.common.clock import WallClock
from adapter_fleet.documents.document import MAX_DOCUMENT_BYTES
from adapter_fleet.fleet.reconcile.reconciler import Reconciler
from adapter_fleet.fleet.reconcile.requests import RequestHandler, StackState
from adapter_fleet.fleet.reconcile.session import DRIFT_TRIGGER, PassInput
from adapter_fleet.fleet.reconcile.step_executor import LONGEST_STEP_SECONDS
from adapter_fleet.fleet.state.generations import Generation, Outcome

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient
    from types_boto3_s3 import S3Client
    from types_boto3_stepfunctions import SFNClient

MOST_PASSES = 1000
"""An execution ends after this many and another one goes on: its history may have 25,000 events."""

MARGIN_SECONDS = LONGEST_STEP_SECONDS + 15.0
"""For the steps under way to end, and to save what they did, before the function's time is up.

A function that is stopped keeps its lease: no other pass can go on before that expires.
"""

_WORKERS = 8

_REREADS = (DRIFT_TRIGGER, "order")
"""Triggers of executions that first look for a manifest in S3 whose event was lost."""

LOOKING_SECONDS = 4.0
"""A deployment learns of its end sooner than by the framework's asking, and with fewer questions."""

_LOOK_AGAIN_SECONDS = 0.5

_PATIENT = Config(
    retries={"mode": "standard", "total_max_attempts": 4},
    connect_timeout=2,
    read_timeout=5,
    max_pool_connections=16,
)
"""A function whose time is up fails its deployment, so a connection that says nothing is given up before."""


def on_event(event: Mapping[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Take in an event of CloudFormation."""
    intake = _intake(os.environ["STATE_MACHINE_ARN"])
    answer = intake.on_event(event)
    try:
        intake.catch_up(answer["Generation"])
    except (ClientError, BotoCoreError, TimeoutError) as error:
        # The rollback itself is on its way, and whatever this function raises would fail it.
        _log().warning("the manifest in S3 waits for its next version", reason=str(error))
    return answer


def is_complete(event: Mapping[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Say whether the fleet is what the event wants; look for some seconds before saying no."""
    intake, clock = _intake(os.environ["STATE_MACHINE_ARN"]), WallClock()
    end = clock.now() + LOOKING_SECONDS
    while True:
        answer = _patiently(lambda: intake.is_complete(event))
        if answer["IsComplete"] or clock.now() >= end:
            return answer
        clock.sleep(_LOOK_AGAIN_SECONDS)


def _patiently(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Ask, and take an error of AWS for "not yet": whatever this function raises fails the deployment."""
    try:
        return ask()
    except (ClientError, BotoCoreError) as error:
        _log().warning("the registry or the state machine did not answer", reason=str(error))
        return {"IsComplete": False}


def manifest_object(event: Mapping[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Take in a new version of the manifest in S3: the newest, whichever the event is of.

    A schedule calls it as well, without the detail of an event: an event may have been lost.
    """
    intake = _intake(os.environ["STATE_MACHINE_ARN"])
    if "detail" in event:
        sequencer = event["detail"]["object"].get("sequencer", event["id"])
        generation = intake.manifest_changed(sequencer)
    else:
        generation = intake.reread()
    return {"generation": _number_of(generation)}


def _number_of(generation: Generation | None) -> int | None:
    """Return the number of a generation that a manifest in S3 made, and report one that is refused."""
    if generation is not None and generation.outcome is Outcome.REFUSED:
        _telemetry().rejected(generation)
    return None if generation is None else generation.number


def run_pass(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Make one pass over the fleet."""
    state = event.get("state") or {}
    machine, trigger = event["state_machine"], event["trigger"]
    clock = WallClock()
    passes = int(state.get("passes", 0))
    if trigger in _REREADS and passes == 0:
        _reread(machine)
    remaining = context.get_remaining_time_in_millis() / 1000
    with ThreadPoolExecutor(_WORKERS) as executor:
        reconciler = Reconciler(
            uid=os.environ["FLEET_UID"],
            registry=_registry(),
            service=_service(),
            clock=clock,
            executor=executor,
            telemetry=_telemetry(),
            start_machine=_Starter(_machines(), machine),
            workers=_WORKERS,
        )
        result = reconciler.run(
            PassInput(
                execution=event["execution"],
                started_at=datetime.fromisoformat(event["started_at"]).timestamp(),
                owner=f"{event['execution']}/{context.aws_request_id}",
                trigger=trigger,
                deadline=clock.now() + remaining - min(MARGIN_SECONDS, remaining / 2),
                listed=int(state.get("listed", 0)),
                passes=passes,
            )
        )
    done = result.done
    if not done and passes + 1 >= MOST_PASSES:
        _Starter(_machines(), machine)("order", f"after-{event['execution']}")
        done = True
    return {
        "done": done,
        "wait_seconds": result.wait_seconds,
        "trigger": trigger,
        "state": {"passes": passes + 1, "listed": result.listed},
    }


def _reread(machine: str) -> None:
    """Take in a manifest in S3 whose event was lost; the pass goes on whatever comes of that."""
    try:
        _number_of(_intake(machine).reread())
    except (ClientError, BotoCoreError, TimeoutError) as error:
        _log().warning("the manifest in S3 could not be looked at", reason=str(error))


class _Starter:
    """Starts executions; one of a name that was there already is started, as far as anyone needs to know."""

    def __init__(self, client: "SFNClient", machine: str) -> None:
        self._client, self._machine = client, machine

    def __call__(self, trigger: str, key: str) -> None:
        try:
            self._client.start_execution(
                stateMachineArn=self._machine,
                name=_execution_name(key),
                input=json.dumps({"trigger": trigger, "requested_at": WallClock().now()}),
            )
        except ClientError as error:
            if code_of(error) != "ExecutionAlreadyExists":
                raise


class _Stacks:
    """Describes stacks; None where CloudFormation does not answer."""

    def __init__(self, client: "CloudFormationClient") -> None:
        self._client = client

    def __call__(self, stack: str) -> StackState | None:
        try:
            (found,) = self._client.describe_stacks(StackName=stack)["Stacks"]
        except (ClientError, BotoCoreError) as error:
            # A rollback that is taken for a deployment might be refused, which cannot be mended.
            _log().warning("CloudFormation does not describe the stack", reason=str(error))
            return None
        return StackState(
            rolling_back="ROLLBACK" in found["StackStatus"],
            tags={tag["Key"]: tag["Value"] for tag in found.get("Tags", [])},
        )


class _S3Manifests:
    def __init__(self, client: "S3Client") -> None:
        self._client = client

    def read(self, bucket: str, key: str) -> tuple[bytes, str] | None:
        """Return the newest text of an object and its version, None where there is no such object."""
        try:
            found = self._client.get_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if code_of(error) in ("NoSuchKey", "404"):
                return None
            raise
        # One byte more than a manifest may have, so that one that is too large is refused as such.
        return found["Body"].read(MAX_DOCUMENT_BYTES + 1), _version_of(found)

    def look(self, bucket: str, key: str) -> tuple[str, float] | None:
        """Return the newest version of an object and when it was written, None where there is none."""
        try:
            found = self._client.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if code_of(error) in ("NoSuchKey", "404"):
                return None
            raise
        return _version_of(found), found["LastModified"].timestamp()


def _version_of(answer: Mapping[str, Any]) -> str:
    """Return the version id of an object; in a bucket without versioning, its entity tag."""
    version: str | None = answer.get("VersionId")
    return answer["ETag"].strip('"') if version in (None, "null") else version


def _execution_name(key: str) -> str:
    """Return the name of the execution for a key: readable, and another one for each key.

    A name may be used once in 90 days, and have 80 characters of `[a-zA-Z0-9-_]`.
    """
    readable = re.sub(r"[^a-zA-Z0-9_-]", "-", key)[:40]
    return f"{readable}-{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def _intake(machine: str) -> RequestHandler:
    return RequestHandler(
        uid=os.environ["FLEET_UID"],
        name=os.environ["FLEET_NAME"],
        machine=machine,
        registry=_registry(),
        manifests=_S3Manifests(_s3()),
        clock=WallClock(),
        start_machine=_Starter(_machines(), machine),
        describe_stack=_Stacks(_stacks()),
    )


@cache
def _registry() -> DynamoDbRegistry:
    return DynamoDbRegistry(os.environ["REGISTRY_TABLE"], boto3.client("dynamodb", config=_PATIENT))


@cache
def _service() -> SageMakerService:
    return SageMakerService(
        sagemaker=boto3.client("sagemaker", config=CLIENT_CONFIG),
        runtime=boto3.client("sagemaker-runtime", config=RUNTIME_CONFIG),
        s3=boto3.client("s3", config=CLIENT_CONFIG),
    )


@cache
def _log() -> Logger:
    return Logger(service="adapter-fleet")


@cache
def _s3() -> "S3Client":
    return boto3.client("s3", config=_PATIENT)


@cache
def _stacks() -> "CloudFormationClient":
    return boto3.client("cloudformation", config=_PATIENT)


@cache
def _machines() -> "SFNClient":
    return boto3.client("stepfunctions", config=_PATIENT)


@cache
def _telemetry() -> FleetTelemetry:
    return FleetTelemetry(uid=os.environ["FLEET_UID"], namespace=os.environ["METRICS_NAMESPACE"])
