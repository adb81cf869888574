"""The entry points of the Lambda functions that copy a model from the hub. Thin, as those in `handlers`."""

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
from adapter_fleet.hub.requests import HubIntake

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 6})


def on_event(event: Mapping[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Take in an event of CloudFormation."""
    return _intake().on_event(event)


def is_complete(event: Mapping[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Say whether the model is copied. An error of AWS is "not yet": what is raised fails the deployment."""
    try:
        return _intake().is_complete(event)
    except (ClientError, BotoCoreError) as error:
        _log().warning("the state machine or the bucket did not answer", reason=str(error))
        return {"IsComplete": False}


def plan(event: Mapping[str, Any], _context: LambdaContext) -> Any:
    """Say which files are missing."""
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
    """Bring a file as far as it can be."""
    copy, looks = _file_copy(event), int(event["looks"])
    found = _told(event, lambda: hub_copy.advance(copy, event["outcomes"], looks, s3=_s3()))
    found.setdefault("done", True)
    _log().info("looked at a file", path=copy.file.path, **{**found, "parts": len(found.get("parts", ()))})
    return found if found["done"] else {**found, "looks": looks + 1}


def copy_range(event: Mapping[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Copy one range of a file."""
    copy, part = _file_copy(event), int(event["part"])

    def copied() -> dict[str, Any]:
        hub_copy.copy_range(copy, event["upload"], part, hub=_hub(), s3=_s3())
        return {}

    outcome = _told(event, copied)
    _log().info(
        "copied a range" if not outcome else "did not copy", path=copy.file.path, part=part, **outcome
    )
    return outcome


def _told(event: Mapping[str, Any], work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Do some work; return why it cannot be done, unless the machine is to call again."""
    try:
        return work()
    except Exception as error:
        told = _refusal(event, error)
        if told is None:
            raise
        return told


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


def _intake() -> HubIntake:
    return HubIntake(
        machine=os.environ["STATE_MACHINE_ARN"],
        machines=boto3.client("stepfunctions", config=_CONFIG),
        s3=_s3(),
        clock=WallClock(),
        left=lambda reason: _log().warning("what was begun before is left as it is", reason=reason),
    )


def _hub() -> Hub:
    """Return the hub; its token is read each time, as it may be replaced, and is nowhere but in here."""
    secret = os.environ.get("TOKEN_SECRET")
    return Hub(os.environ["HUB_ENDPOINT"], token=None if secret is None else _token(secret))


def _token(secret: str) -> str:
    """Return the text of a secret; HubError where it has none, which asking again does not help."""
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
