"""The state machine whose executions run the passes of a fleet."""

import hashlib
import json
import re
import time
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from adapter_fleet.common.aws_errors import code_of

if TYPE_CHECKING:
    from types_boto3_stepfunctions import SFNClient


class StateMachine:
    """A state machine in Step Functions."""

    def __init__(self, client: "SFNClient", arn: str) -> None:
        self._client, self._arn = client, arn

    def start(self, trigger: str, key: str) -> None:
        """Start an execution, unless one with the same key was started before."""
        try:
            self._client.start_execution(
                stateMachineArn=self._arn,
                name=execution_name(key),
                input=json.dumps({"trigger": trigger, "requested_at": time.time()}),
            )
        except ClientError as error:
            if code_of(error) != "ExecutionAlreadyExists":
                raise


def execution_name(key: str) -> str:
    """Return the name of the execution for a key: readable, and unique for each key.

    A name may be used once in 90 days, and has at most 80 characters of `[a-zA-Z0-9-_]` (API reference of
    StartExecution).
    """
    readable = re.sub(r"[^a-zA-Z0-9_-]", "-", key)[:40]
    return f"{readable}-{hashlib.sha256(key.encode()).hexdigest()[:32]}"
