"""The state machine that copies a model: plan, copy the missing files, and repeat until none is missing."""

from __future__ import annotations

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
_ENDED = {"done": True, "reason": "a function ended before its work did; its log says why"}


def definition(plan: str, advance: str, copy: str, *, seconds: int, max_concurrency: int) -> dict[str, Any]:
    """Return the definition. `plan`, `advance` and `copy` are the ARNs of the functions.

    The machine ends after `seconds`. At most `max_concurrency` ranges are copied at once.
    """
    files = min(_FILES_AT_ONCE, max_concurrency)
    ranges = max_concurrency // files
    of_file = {"request.$": "$.request", "commit.$": "$.commit"}

    def call(function: str, **payload: Any) -> dict[str, Any]:
        return {
            "Type": "Task",
            "Resource": f"arn:{Aws.PARTITION}:states:::lambda:invoke",
            "Parameters": {"FunctionName": function, "Payload": payload},
            "TimeoutSeconds": int(FUNCTION_TIMEOUT.to_seconds()) + 60,
        }

    def retried(state: dict[str, Any], *, otherwise: str) -> dict[str, Any]:
        return {
            **state,
            "Retry": [_RETRY_THROTTLED, _RETRY_ALL],
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": otherwise}],
        }

    def each(label: str, at_once: int, **processor: Any) -> dict[str, Any]:
        return {
            "Type": "Map",
            "Label": label,
            "MaxConcurrency": at_once,
            "ToleratedFailurePercentage": 100,
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                **processor,
            },
            "ResultPath": "$.outcomes",
        }

    ended = {"Type": "Pass", "Result": _ENDED, "End": True}
    copy_range = call(
        copy,
        **of_file,
        **{
            "file.$": "$.file",
            "upload.$": "$.upload",
            "part.$": "$.part",
            "attempt.$": "$$.State.RetryCount",
        },
    )
    one_range = {
        "StartAt": "Copy",
        "States": {
            "Copy": retried({**copy_range, "OutputPath": "$.Payload", "End": True}, otherwise="Not copied"),
            "Not copied": ended,
        },
    }
    look = call(
        advance,
        **of_file,
        **{
            "file.$": "$.file",
            "outcomes.$": "$.outcomes",
            "looks.$": "$.look.found.looks",
            "attempt.$": "$$.State.RetryCount",
        },
    )
    one_file = {
        "StartAt": "Look",
        "States": {
            "Look": retried(
                {
                    **look,
                    "ResultSelector": {"found.$": "$.Payload"},
                    "ResultPath": "$.look",
                    "Next": "Copied?",
                },
                otherwise="Not looked at",
            ),
            "Copied?": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.look.found.done", "BooleanEquals": True, "Next": "Copied"}],
                "Default": "Ranges",
            },
            "Ranges": {
                **each("ranges", ranges, **one_range),
                "ItemsPath": "$.look.found.parts",
                "ItemSelector": {
                    **of_file,
                    "file.$": "$.file",
                    "upload.$": "$.look.found.upload",
                    "part.$": "$$.Map.Item.Value",
                },
                "Next": "Look",
            },
            "Copied": {"Type": "Succeed", "OutputPath": "$.look.found"},
            "Not looked at": ended,
        },
    }
    next_plan = call(
        plan,
        **{
            "request.$": "$.request",
            "outcomes.$": "$.outcomes",
            "round.$": "$.round",
            "attempt.$": "$$.State.RetryCount",
        },
    )
    return {
        "StartAt": "Plan",
        "TimeoutSeconds": seconds,
        "States": {
            "Plan": {
                **next_plan,
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
                **each("files", files, **one_file),
                "ItemsPath": "$.files",
                "ItemSelector": {
                    **of_file,
                    "file.$": "$$.Map.Item.Value",
                    "outcomes": [],
                    "look": {"found": {"looks": 0}},
                },
                "Next": "Plan",
            },
            "Whole": {"Type": "Succeed"},
        },
    }
