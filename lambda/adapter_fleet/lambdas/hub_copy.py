"""The entry points of the Lambda functions that copy a model from the hub."""

import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.common.aws_errors import code_of
from adapter_fleet.common.clock import WallClock
from adapter_fleet.common.serialization import converter
from adapter_fleet.hub import copy as hub_copy
from adapter_fleet.hub.client import Hub, HubError
from adapter_fleet.hub.copy import RETRIES, CopyError, CopyRequest, FileCopy
from adapter_fleet.hub.files import ModelFile
from adapter_fleet.hub.requests import HubRequestHandler

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 6})


def on_event(event: Mapping[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Handle an event of CloudFormation."""
    return _handler().on_event(event)


def is_complete(event: Mapping[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Report whether the model is copied. An AWS error means "not yet": a raised one fails the deployment."""
    try:
        return _handler().is_complete(event)
    except (ClientError, BotoCoreError) as error:
        _log().warning("the state machine or the bucket did not answer", reason=str(error))
        return {"IsComplete": False}


def plan(event: Mapping[str, Any], _context: LambdaContext) -> Any:
    """List the missing files."""
    number = int(event["round"])
    try:
        found = hub_copy.plan(_request(event), event["outcomes"], number, hub=_hub(), s3=_s3())
    except Exception as error:
        if _refusal(event, error) is None:
            raise
        raise CopyError(str(error)) from None
    _log().info("planned", round=number, done=found["done"], commit=found["commit"])
    return found if found["done"] else {**found, "round": number + 1, "request": event["request"]}


def advance(event: Mapping[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Finish a file, or list its missing ranges."""
    copy, looks = _file_copy(event), int(event["looks"])
    found = _outcome(event, lambda: hub_copy.advance(copy, event["outcomes"], looks, s3=_s3()))
    found.setdefault("done", True)
    _log().info("looked at a file", path=copy.file.path, **{**found, "parts": len(found.get("parts", ()))})
    return found if found["done"] else {**found, "looks": looks + 1}


def copy_range(event: Mapping[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Copy one range of a file."""
    copy, part = _file_copy(event), int(event["part"])

    def copied() -> dict[str, Any]:
        hub_copy.copy_range(copy, event["upload"], part, hub=_hub(), s3=_s3())
        return {}

    outcome = _outcome(event, copied)
    _log().info(
        "copied a range" if not outcome else "did not copy", path=copy.file.path, part=part, **outcome
    )
    return outcome


def _outcome(event: Mapping[str, Any], work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the result of some work, or the outcome that reports its error; raise an error to retry."""
    try:
        return work()
    except Exception as error:
        refused = _refusal(event, error)
        if refused is None:
            raise
        return refused


def _refusal(event: Mapping[str, Any], error: Exception) -> dict[str, Any] | None:
    early = _request(event).is_early(WallClock().now())
    return hub_copy.refusal(error, last=int(event["attempt"]) >= RETRIES, early=early)


def _request(event: Mapping[str, Any]) -> CopyRequest:
    return converter.structure(event["request"], CopyRequest)


def _file_copy(event: Mapping[str, Any]) -> FileCopy:
    return FileCopy(
        request=_request(event),
        commit=event["commit"],
        file=converter.structure(event["file"], ModelFile),
    )


def _handler() -> HubRequestHandler:
    return HubRequestHandler(
        machine=os.environ["STATE_MACHINE_ARN"],
        machines=boto3.client("stepfunctions", config=_CONFIG),
        s3=_s3(),
        clock=WallClock(),
        report_leftover=lambda reason: _log().warning(
            "an unfinished copy could not be removed", reason=reason
        ),
    )


def _hub() -> Hub:
    """Return the hub. Its token is read each time, as it may be replaced, and is stored nowhere else."""
    secret = os.environ.get("TOKEN_SECRET")
    return Hub(os.environ["HUB_ENDPOINT"], token=None if secret is None else _token(secret))


def _token(secret: str) -> str:
    """Return the text of a secret; HubError if it has none, which no retry mends."""
    try:
        found = boto3.client("secretsmanager", config=_CONFIG).get_secret_value(SecretId=secret)
    except ClientError as error:
        if code_of(error) != "ResourceNotFoundException":
            raise
        raise HubError(f"the secret '{secret}' of the hub's token is not there, or has no value") from None
    text: str | None = found.get("SecretString")
    if text is None:
        raise HubError(f"the secret '{secret}' should hold the hub's token as text, got bytes")
    return text


@cache
def _s3() -> "S3Client":
    return boto3.client("s3", config=_CONFIG)


@cache
def _log() -> Logger:
    return Logger(service="hub-model")
