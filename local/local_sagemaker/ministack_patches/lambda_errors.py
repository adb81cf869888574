"""An exception of a Python handler is reported by its own type, and a `LoggingConfig` takes effect.

Faults of ministack: it reports Runtime.HandlerError for every exception, and ignores the format and the
level of a `LoggingConfig`.
"""

import json
import re
from datetime import UTC, datetime
from typing import Any

from ministack.services import lambda_svc

from local_sagemaker.ministack_patches.internals import expect

_MINISTACKS_TYPE = "Runtime.HandlerError"
_TRACEBACK = "Traceback (most recent call last):\n"
_ABOVE_INFO = ("WARN", "ERROR", "FATAL")


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
        if "log" in result:
            result["log"] = shown_log(function.get("config") or function, result, request_id)
        return result

    lambda_svc._execute_function_warm = execute_with_type


def shown_log(config: dict[str, Any], result: dict[str, Any], request_id: str) -> str:
    """The log of an invocation in the format and from the level on that its function has.

    [V Lambda's guide] What Node.js prints has the level INFO, and what Python prints has none. [V
    awslambdaric/bootstrap.py, log_error] In JSON, an exception is one line.
    """
    log: str = result["log"]
    logging = config.get("LoggingConfig") or {}
    if logging.get("LogFormat") != "JSON":
        return log
    if logging.get("ApplicationLogLevel") in _ABOVE_INFO and "nodejs" in config.get("Runtime", ""):
        return ""
    before, traceback, frames = log.rpartition(_TRACEBACK)
    if not result.get("error") or not traceback:
        return log
    said = {
        "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "level": "ERROR",
        **result["body"],
        "requestId": request_id,
        "stackTrace": frames.splitlines(),
    }
    return before + json.dumps(said)


def raised_type(log: str, message: str) -> str | None:
    """The type of the exception in the Python traceback at the end of a log, None if there is none."""
    _, traceback, text = log.rpartition(_TRACEBACK)
    if not traceback:
        return None
    # The last line is "module.Type: message", or "module.Type" without a message.
    end = text.rfind(f": {message}") if message else len(text.rstrip())
    name = re.search(r"(\w+)$", text[:end]) if end >= 0 else None
    return None if name is None else name[1]
