"""The entry points of the fleet's Lambda functions. They make the clients and call the rooms below."""

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
from adapter_fleet.aws.s3_manifests import S3Manifests
from adapter_fleet.aws.sagemaker_service import CLIENT_CONFIG, RUNTIME_CONFIG, SageMakerService
from adapter_fleet.aws.telemetry import FleetTelemetry
from adapter_fleet.common.aws_errors import code_of
from adapter_fleet.common.clock import WallClock
from adapter_fleet.fleet.reconcile.reconciler import Reconciler
from adapter_fleet.fleet.reconcile.requests import RequestHandler, StackState
from adapter_fleet.fleet.reconcile.session import DRIFT_TRIGGER, PassInput
from adapter_fleet.fleet.reconcile.step_executor import LONGEST_STEP_SECONDS
from adapter_fleet.fleet.state.generations import Generation, Outcome

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient
    from types_boto3_s3 import S3Client
    from types_boto3_stepfunctions import SFNClient

MAX_PASSES = 1000
"""After this many passes a new execution takes over, as the history of one has at most 25,000 events.

https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
"""

MARGIN_SECONDS = LONGEST_STEP_SECONDS + 15.0
"""The time before the function's end in which running steps end and save their results.

A function that is stopped keeps its lease, and no other pass can start before the lease expires.
"""

_WORKERS = 8

_REREADING_TRIGGERS = (DRIFT_TRIGGER, "order")
"""Executions with these triggers first look for a manifest in S3 whose event was lost."""

POLLING_SECONDS = 4.0
"""How long one call of `is_complete` polls. A deployment then ends sooner, and with fewer calls."""

_POLLING_INTERVAL_SECONDS = 0.5

_PATIENT = Config(
    retries={"mode": "standard", "total_max_attempts": 4},
    connect_timeout=2,
    read_timeout=5,
    max_pool_connections=16,
)
"""A function that times out fails its deployment, so a silent connection is closed before that."""


def on_event(event: Mapping[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Handle an event of CloudFormation."""
    handler = _handler(os.environ["STATE_MACHINE_ARN"])
    answer = handler.on_event(event)
    try:
        handler.catch_up(answer["Generation"])
    except (ClientError, BotoCoreError, TimeoutError) as error:
        # The rollback has started, and an error of this function would fail it.
        _log().warning("the manifest in S3 waits for its next version", reason=str(error))
    return answer


def is_complete(event: Mapping[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Report whether the fleet has the state that the event wants; poll for a few seconds before "no"."""
    handler, clock = _handler(os.environ["STATE_MACHINE_ARN"]), WallClock()
    end = clock.now() + POLLING_SECONDS
    while True:
        answer = _or_incomplete(lambda: handler.is_complete(event))
        if answer["IsComplete"] or clock.now() >= end:
            return answer
        clock.sleep(_POLLING_INTERVAL_SECONDS)


def _or_incomplete(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Take an AWS error for "not yet", as an error of this function would fail the deployment."""
    try:
        return ask()
    except (ClientError, BotoCoreError) as error:
        _log().warning("the registry or the state machine did not answer", reason=str(error))
        return {"IsComplete": False}


def manifest_object(event: Mapping[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Handle a new version of the manifest in S3. It reads the newest version, whichever the event is about.

    A schedule calls it too, without the detail of an event, in case an event was lost.
    """
    handler = _handler(os.environ["STATE_MACHINE_ARN"])
    if "detail" in event:
        sequencer = event["detail"]["object"].get("sequencer", event["id"])
        generation = handler.manifest_changed(sequencer)
    else:
        generation = handler.reread()
    return {"generation": _number_of(generation)}


def _number_of(generation: Generation | None) -> int | None:
    """Return the number of the generation of a manifest in S3, and report a refused one."""
    if generation is not None and generation.outcome is Outcome.REFUSED:
        _telemetry().rejected(generation)
    return None if generation is None else generation.number


def run_pass(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Make one pass over the fleet."""
    state = event.get("state") or {}
    machine, trigger = event["state_machine"], event["trigger"]
    clock = WallClock()
    passes = int(state.get("passes", 0))
    if trigger in _REREADING_TRIGGERS and passes == 0:
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
    if not done and passes + 1 >= MAX_PASSES:
        _Starter(_machines(), machine)("order", f"after-{event['execution']}")
        done = True
    return {
        "done": done,
        "wait_seconds": result.wait_seconds,
        "trigger": trigger,
        "state": {"passes": passes + 1, "listed": result.listed},
    }


def _reread(machine: str) -> None:
    """Handle a manifest in S3 whose event was lost. The pass goes on after an error."""
    try:
        _number_of(_handler(machine).reread())
    except (ClientError, BotoCoreError, TimeoutError) as error:
        _log().warning("the manifest in S3 could not be looked at", reason=str(error))


class _Starter:
    """Starts executions. An execution whose name exists already counts as started."""

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
    """Describes stacks; returns None if CloudFormation does not answer."""

    def __init__(self, client: "CloudFormationClient") -> None:
        self._client = client

    def __call__(self, stack: str) -> StackState | None:
        try:
            (found,) = self._client.describe_stacks(StackName=stack)["Stacks"]
        except (ClientError, BotoCoreError) as error:
            # A rollback that is taken for a deployment might be refused, which nobody could repair.
            _log().warning("CloudFormation does not describe the stack", reason=str(error))
            return None
        return StackState(
            rolling_back="ROLLBACK" in found["StackStatus"],
            tags={tag["Key"]: tag["Value"] for tag in found.get("Tags", [])},
        )


def _execution_name(key: str) -> str:
    """Return the name of the execution for a key: readable, and different for each key.

    A name can be used once in 90 days, and has at most 80 characters of `[a-zA-Z0-9-_]`.
    """
    readable = re.sub(r"[^a-zA-Z0-9_-]", "-", key)[:40]
    return f"{readable}-{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def _handler(machine: str) -> RequestHandler:
    return RequestHandler(
        uid=os.environ["FLEET_UID"],
        name=os.environ["FLEET_NAME"],
        machine=machine,
        registry=_registry(),
        manifests=S3Manifests(_s3()),
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
