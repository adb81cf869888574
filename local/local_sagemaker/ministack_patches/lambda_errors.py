"""An exception of a Python handler is reported by its own type.

Fault of ministack: it reports Runtime.HandlerError for every exception.
"""

import re
from typing import Any

from ministack.services import lambda_svc

from local_sagemaker.ministack_patches.internals import expect

_MINISTACKS_TYPE = "Runtime.HandlerError"


def install() -> None:
    """Read the type from the traceback, which the worker appends to the log of a failed invocation."""
    expect(hasattr(lambda_svc, "_execute_function_warm"), "lambda_svc._execute_function_warm runs a handler")
    execute = lambda_svc._execute_function_warm

    def execute_with_type(function: Any, event: Any, request_id: str) -> Any:
        result = execute(function, event, request_id)
        body = result.get("body")
        if result.get("error") and isinstance(body, dict) and body.get("errorType") == _MINISTACKS_TYPE:
            raised = raised_type(result.get("log", ""), str(body.get("errorMessage")))
            body["errorType"] = raised or _MINISTACKS_TYPE
        return result

    lambda_svc._execute_function_warm = execute_with_type


def raised_type(log: str, message: str) -> str | None:
    """The type of the exception in the Python traceback at the end of a log, None if there is none."""
    _, traceback, text = log.rpartition("Traceback (most recent call last):\n")
    if not traceback:
        return None
    # The last line is "module.Type: message", or "module.Type" without a message.
    end = text.rfind(f": {message}") if message else len(text.rstrip())
    name = re.search(r"(\w+)$", text[:end]) if end >= 0 else None
    return None if name is None else name[1]
