"""The entry points of a fleet's Lambda functions. They create the clients and call what does the work."""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.aws.s3_objects import S3Manifests
from adapter_fleet.aws.sagemaker_service import CLIENT_CONFIG, RUNTIME_CONFIG, SageMakerService
from adapter_fleet.aws.stacks import Stacks
from adapter_fleet.aws.state_machine import StateMachine
from adapter_fleet.common.clock import Clock
from adapter_fleet.fleet.reconcile.reconciler import Reconciler
from adapter_fleet.fleet.reconcile.session import (
    CONTINUING_TRIGGER,
    DRIFT_TRIGGER,
    ORDER_TRIGGER,
    PassInput,
)
from adapter_fleet.fleet.requests.handler import RequestHandler
from adapter_fleet.fleet.requests.is_complete import Completion
from adapter_fleet.fleet.state.generations import Generation, Outcome
from adapter_fleet.fleet.state.registry import Registry
from adapter_fleet.fleet.state.rows.row import UnreadableError
from adapter_fleet.fleet.state.telemetry import FleetTelemetry
from adapter_fleet.fleet.steps.executor import MAX_STEP_SECONDS

if TYPE_CHECKING:
    from types_boto3_stepfunctions import SFNClient

MAX_PASSES = 1000
"""Passes of one execution. Then another execution goes on: a history may have 25,000 events (Step Functions'
service quotas)."""

MARGIN_SECONDS = MAX_STEP_SECONDS + 15.0
"""Time for the steps under way to end and to save their results before the function times out.

A function that times out keeps its lease, and no other pass goes on before the lease expires.
"""

_WORKERS = 8

_REREADING_TRIGGERS = (DRIFT_TRIGGER, ORDER_TRIGGER, CONTINUING_TRIGGER)
"""Triggers of executions that read the manifest in S3 first: its event may have been lost."""

_NOT_TAKEN_UP = (ClientError, BotoCoreError, TimeoutError, UnreadableError)
"""Errors after which a manifest in S3 waits: a deployment, or a pass, does not fail by them."""

MAX_LOOK_SECONDS = 4.0
"""How long one call of `is_complete` looks for the end of a deployment. The framework calls it less often."""

_LOOK_AGAIN_SECONDS = 0.5

_RETRYING_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 4},
    connect_timeout=2,
    read_timeout=5,
    max_pool_connections=16,
)
"""For all clients but SageMaker's. The timeouts are short: a function that times out fails its deployment."""


def on_event(event: Mapping[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Request what an event of CloudFormation asks for."""
    handler = _request_handler(os.environ["STATE_MACHINE_ARN"])
    answer = handler.on_event(event)
    try:
        handler.catch_up(answer["Generation"])
    except _NOT_TAKEN_UP as error:
        # The rollback has been requested. An exception of this function would fail it.
        _log().warning("the manifest in S3 waits for its next version", reason=str(error))
    return answer


def is_complete(event: Mapping[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Return whether the fleet is as the event wants; look for some seconds before returning False."""
    completion, clock = _completion(os.environ["STATE_MACHINE_ARN"]), Clock()
    end = clock.now() + MAX_LOOK_SECONDS
    while True:
        try:
            answer = completion.of(event)
        except (ClientError, BotoCoreError) as error:
            # An exception of this function would fail the deployment.
            _log().warning("the registry or the state machine did not answer", reason=str(error))
            answer = {"IsComplete": False}
        if answer["IsComplete"] or clock.now() >= end:
            return answer
        clock.sleep(_LOOK_AGAIN_SECONDS)


def manifest_object(event: Mapping[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Request the newest version of the manifest in S3, whichever version the event names.

    A schedule calls this function too, without the detail of an event: an event may have been lost.
    """
    handler = _request_handler(os.environ["STATE_MACHINE_ARN"])
    if "detail" in event:
        sequencer = event["detail"]["object"].get("sequencer", event["id"])
        generation = handler.manifest_changed(sequencer)
    else:
        generation = handler.reread()
    return {"generation": _number_of(generation)}


def _number_of(generation: Generation | None) -> int | None:
    """Return the number of the generation of a manifest in S3; report the generation if it was refused."""
    if generation is not None and generation.outcome is Outcome.REFUSED:
        _telemetry().rejected(generation)
    return None if generation is None else generation.number


def run_pass(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Make one pass over the fleet."""
    state = event.get("state") or {}
    machine, trigger = event["state_machine"], event["trigger"]
    clock = Clock()
    passes = int(state.get("passes", 0))
    if trigger in _REREADING_TRIGGERS and passes == 0:
        _reread_manifest(machine)
    remaining = context.get_remaining_time_in_millis() / 1000
    with ThreadPoolExecutor(_WORKERS) as executor:
        reconciler = Reconciler(
            uid=os.environ["FLEET_UID"],
            registry=_registry(),
            service=_service(),
            clock=clock,
            executor=executor,
            telemetry=_telemetry(),
            start_machine=_machine(machine).start,
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
        _machine(machine).start(CONTINUING_TRIGGER, f"after-{event['execution']}")
        done = True
    return {
        "done": done,
        "wait_seconds": result.wait_seconds,
        "trigger": trigger,
        "state": {"passes": passes + 1, "listed": result.listed},
    }


def _reread_manifest(machine: str) -> None:
    """Request a manifest in S3 whose event was lost. The pass goes on if that fails."""
    try:
        _number_of(_request_handler(machine).reread())
    except _NOT_TAKEN_UP as error:
        _log().warning("the manifest in S3 could not be looked at", reason=str(error))


def _request_handler(machine: str) -> RequestHandler:
    return RequestHandler(
        uid=os.environ["FLEET_UID"],
        name=os.environ["FLEET_NAME"],
        machine=machine,
        registry=_registry(),
        manifests=_manifests(),
        clock=Clock(),
        start_machine=_machine(machine).start,
        describe_stack=_stacks().describe,
    )


def _completion(machine: str) -> Completion:
    return Completion(registry=_registry(), clock=Clock(), start_machine=_machine(machine).start)


@cache
def _registry() -> Registry:
    return Registry(os.environ["REGISTRY_TABLE"], boto3.client("dynamodb", config=_RETRYING_CONFIG))


@cache
def _service() -> SageMakerService:
    return SageMakerService(
        sagemaker=boto3.client("sagemaker", config=CLIENT_CONFIG),
        runtime=boto3.client("sagemaker-runtime", config=RUNTIME_CONFIG),
        s3=boto3.client("s3", config=CLIENT_CONFIG),
        cloudformation=boto3.client("cloudformation", config=CLIENT_CONFIG),
        cloudwatch=boto3.client("cloudwatch", config=CLIENT_CONFIG),
    )


@cache
def _manifests() -> S3Manifests:
    return S3Manifests(boto3.client("s3", config=_RETRYING_CONFIG))


@cache
def _log() -> Logger:
    return Logger(service="adapter-fleet")


@cache
def _stacks() -> Stacks:
    return Stacks(boto3.client("cloudformation", config=_RETRYING_CONFIG), _log())


def _machine(arn: str) -> StateMachine:
    return StateMachine(_machines(), arn)


@cache
def _machines() -> "SFNClient":
    return boto3.client("stepfunctions", config=_RETRYING_CONFIG)


@cache
def _telemetry() -> FleetTelemetry:
    return FleetTelemetry(uid=os.environ["FLEET_UID"], namespace=os.environ["METRICS_NAMESPACE"])
