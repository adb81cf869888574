"""The state machine that copies a model: plan, copy the missing files, and repeat until none is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_cdk import Aws, Duration

from adapter_fleet.hub.copy import RETRIES

FUNCTION_TIMEOUT = Duration.minutes(15)

_FILES_AT_ONCE = 4

# A CopyError is final. Other errors are retried, and the last attempt returns the reason instead of raising.
_RETRY_ALL = {
    "ErrorEquals": ["States.ALL"],
    "IntervalSeconds": 2,
    "BackoffRate": 2,
    "MaxDelaySeconds": 60,
    "JitterStrategy": "FULL",
    "MaxAttempts": RETRIES,
}
# The plan uses the roles first. It retries for as long as a role that was just changed may be denied.
_RETRY_PLAN = {**_RETRY_ALL, "JitterStrategy": "NONE"}
_NO_RETRY = {"ErrorEquals": ["CopyError"], "MaxAttempts": 0}
# An account may run fewer functions at once than a copy asks for.
_RETRY_THROTTLED = {
    "ErrorEquals": ["Lambda.TooManyRequestsException"],
    "IntervalSeconds": 2,
    "BackoffRate": 1.5,
    "MaxDelaySeconds": 20,
    "JitterStrategy": "FULL",
    "MaxAttempts": 100,
}
_ENDED_STATE = {
    "Type": "Pass",
    "Result": {"done": True, "reason": "a function ended before its work did; its log says why"},
    "End": True,
}


_OF_REVISION = {"request.$": "$.request", "commit.$": "$.commit"}
"""The part of a state that every file and range of a revision has."""
_ATTEMPT = {"attempt.$": "$$.State.RetryCount"}


def definition(plan: str, advance: str, copy: str, *, seconds: int, max_concurrency: int) -> dict[str, Any]:
    """Return the definition. `plan`, `advance` and `copy` are the ARNs of the functions.

    The machine ends after `seconds`. At most `max_concurrency` ranges are copied at once.
    """
    files = min(_FILES_AT_ONCE, max_concurrency)
    next_plan = {"request.$": "$.request", "outcomes.$": "$.outcomes", "round.$": "$.round", **_ATTEMPT}
    return {
        "StartAt": "Plan",
        "TimeoutSeconds": seconds,
        "States": {
            "Plan": {
                **_call(plan, next_plan),
                "OutputPath": "$.Payload",
                "Retry": [_NO_RETRY, _RETRY_THROTTLED, _RETRY_PLAN],
                "Next": "Whole?",
            },
            "Whole?": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.done", "BooleanEquals": True, "Next": "Whole"}],
                "Default": "Files",
            },
            "Files": {
                **_map("files", files, _copy_file(advance, copy, ranges=max_concurrency // files)),
                "ItemsPath": "$.files",
                "ItemSelector": {
                    **_OF_REVISION,
                    "file.$": "$$.Map.Item.Value",
                    "outcomes": [],
                    "look": {"found": {"looks": 0}},
                },
                "Next": "Plan",
            },
            "Whole": {"Type": "Succeed"},
        },
    }


def _copy_file(advance: str, copy: str, *, ranges: int) -> dict[str, Any]:
    """Return the states for one file: look, copy the missing ranges, and repeat until it is copied."""
    look = {
        **_OF_REVISION,
        "file.$": "$.file",
        "outcomes.$": "$.outcomes",
        "looks.$": "$.look.found.looks",
        **_ATTEMPT,
    }
    return {
        "StartAt": "Look",
        "States": {
            "Look": {
                **_call(advance, look),
                "ResultSelector": {"found.$": "$.Payload"},
                "ResultPath": "$.look",
                "Next": "Copied?",
                **_retry_or("Not looked at"),
            },
            "Copied?": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.look.found.done", "BooleanEquals": True, "Next": "Copied"}],
                "Default": "Ranges",
            },
            "Ranges": {
                **_map("ranges", ranges, _copy_range(copy)),
                "ItemsPath": "$.look.found.parts",
                "ItemSelector": {
                    **_OF_REVISION,
                    "file.$": "$.file",
                    "upload.$": "$.look.found.upload",
                    "part.$": "$$.Map.Item.Value",
                },
                "Next": "Look",
            },
            "Copied": {"Type": "Succeed", "OutputPath": "$.look.found"},
            "Not looked at": _ENDED_STATE,
        },
    }


def _copy_range(copy: str) -> dict[str, Any]:
    """Return the states for one range of a file."""
    of_range = {
        **_OF_REVISION,
        "file.$": "$.file",
        "upload.$": "$.upload",
        "part.$": "$.part",
        **_ATTEMPT,
    }
    return {
        "StartAt": "Copy",
        "States": {
            "Copy": {
                **_call(copy, of_range),
                "OutputPath": "$.Payload",
                "End": True,
                **_retry_or("Not copied"),
            },
            "Not copied": _ENDED_STATE,
        },
    }


def _call(function: str, payload: Mapping[str, str]) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": f"arn:{Aws.PARTITION}:states:::lambda:invoke",
        "Parameters": {"FunctionName": function, "Payload": payload},
        "TimeoutSeconds": int(FUNCTION_TIMEOUT.to_seconds()) + 60,
    }


def _retry_or(otherwise: str) -> dict[str, Any]:
    """Retry every error. After the last attempt, continue with the state `otherwise`."""
    return {
        "Retry": [_RETRY_THROTTLED, _RETRY_ALL],
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": otherwise}],
    }


def _map(label: str, at_once: int, item: Mapping[str, Any]) -> dict[str, Any]:
    """Return a distributed map, without its items. A failed item does not fail the map."""
    return {
        "Type": "Map",
        "Label": label,
        "MaxConcurrency": at_once,
        "ToleratedFailurePercentage": 100,
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            **item,
        },
        "ResultPath": "$.outcomes",
    }
